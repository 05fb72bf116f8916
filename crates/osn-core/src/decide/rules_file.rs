//! Reads rules from the text of a TOML file, with errors that name the line.
//!
//! A parameter becomes the word that it would be on the command line and is read by the same code, so a
//! file can say all that text can, and is refused in the same words.

use toml::{
    Spanned,
    de::{DeArray, DeFloat, DeInteger, DeString, DeTable, DeValue},
};

use super::{
    ParameterDoc, Rule, RuleDoc, RuleError, Rules, ScopedRule,
    text::{Text, unknown_parameter},
};
use crate::{GlobError, Globs, Select, UnknownKind, UnknownPosition};

/// Why the text of a rules file cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RulesFileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    #[source]
    pub problem: RulesFileProblem,
}

/// What is wrong with a line of a rules file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RulesFileProblem {
    /// It is not TOML.
    #[error("bad TOML: {message}")]
    Syntax {
        /// What the reader of TOML says.
        message: String,
    },
    /// A key that nothing is known by.
    #[error("unknown key `{key}`: expected {expected}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The keys there are.
        expected: String,
    },
    /// A key that must be there is not.
    #[error("no `{key}`: expected {expected}")]
    NoKey {
        /// The key.
        key: &'static str,
        /// What it is to hold.
        expected: String,
    },
    /// A value of another type than is expected.
    #[error("`{key}` is {found}, expected {expected}")]
    Type {
        /// The key.
        key: String,
        /// What kind of value it has.
        found: &'static str,
        /// What it should have.
        expected: &'static str,
    },
    /// A rule that makes no sense.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A glob that is none.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// A word that names no kind.
    #[error(transparent)]
    Kind(#[from] UnknownKind),
    /// A word that names no position.
    #[error(transparent)]
    Position(#[from] UnknownPosition),
}

/// A problem, and the byte at which it is.
#[derive(Debug)]
struct Misread {
    at: usize,
    problem: RulesFileProblem,
}

type Key<'i> = Spanned<DeString<'i>>;
type Value<'i> = Spanned<DeValue<'i>>;

const RULE: &str = "rule";
const SELECT: &str = "select";

impl Rules {
    /// Reads rules from the text of a TOML file.
    ///
    /// Each `[[rule]]` has the rule's name as `rule`, its parameters by their names, and in `select` the
    /// layers that it is for; without it the rule is for every layer. `select` has lists of `paths`,
    /// `not`, `kinds`, `networks` and `positions`, as [`Select`]; a list of one may be written without
    /// brackets. Values are written as in the text of a rule, numbers also as TOML has them. A list of
    /// arms is an array; the rule in `total_by` is a table with its name and parameters.
    ///
    /// The parameters of `static` that select are not there: `select` is for every rule.
    ///
    /// ```
    /// use osn_core::Rules;
    ///
    /// let rules = Rules::from_toml(
    ///     r#"
    ///     [[rule]]
    ///     rule = "budget"
    ///     total_by = { rule = "balance", set_point = 0.5 }
    ///
    ///     [[rule]]
    ///     rule = "cap"
    ///     target = 2
    ///     select = { kinds = ["conv"], positions = ["last"] }
    ///     "#,
    /// )?;
    /// assert_eq!(
    ///     rules.label(),
    ///     "budget:total_by=[balance:set_point=0.5]; cap:target=2 for kind conv and position last"
    /// );
    /// let error = Rules::from_toml("[[rule]]\nrule = \"cap\"\ntaget = 2").unwrap_err();
    /// assert!(error.to_string().starts_with("line 3: rule `cap` has no parameter `taget`: expected"));
    /// # Ok::<(), osn_core::RulesFileError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RulesFileError`], with the line and what would be valid there.
    pub fn from_toml(text: &str) -> Result<Rules, RulesFileError> {
        read(text)
            .map_err(|Misread { at, problem }| RulesFileError { line: line_of(text, at), problem })
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

fn read(text: &str) -> Result<Rules, Misread> {
    let root = DeTable::parse(text).map_err(|error| not_toml(&error))?;
    let at = root.span().start;
    let root = root.get_ref();
    only(root, &[RULE], "[[rule]]")?;
    let Some(value) = root.get(RULE) else { return Err(Misread { at, problem: no_rule() }) };
    let DeValue::Array(entries) = value.get_ref() else {
        return Err(of_type(RULE, value, "a table under the heading [[rule]]"));
    };
    if entries.is_empty() {
        return Err(Misread { at: value.span().start, problem: no_rule() });
    }
    entries.iter().map(read_entry).collect()
}

fn not_toml(error: &toml::de::Error) -> Misread {
    let at = error.span().map_or(0, |span| span.start);
    Misread { at, problem: RulesFileProblem::Syntax { message: error.message().to_owned() } }
}

fn no_rule() -> RulesFileProblem {
    RulesFileProblem::NoKey { key: RULE, expected: "at least one [[rule]]".to_owned() }
}

fn read_entry(entry: &Value) -> Result<ScopedRule, Misread> {
    let DeValue::Table(table) = entry.get_ref() else {
        return Err(of_type(RULE, entry, "a table under the heading [[rule]]"));
    };
    let select = table.get(SELECT).map_or(Ok(Select::default()), read_select)?;
    let rule = read_rule(entry.span().start, table, &[RULE, SELECT])?;
    Ok(ScopedRule { select, rule })
}

fn read_select(value: &Value) -> Result<Select, Misread> {
    let DeValue::Table(table) = value.get_ref() else {
        return Err(of_type(SELECT, value, "a table, such as { positions = [\"last\"] }"));
    };
    let lists = ["paths", "not", "kinds", "networks", "positions"];
    only(table, &lists, "one of paths, not, kinds, networks, positions")?;
    Ok(Select {
        paths: read_globs(table, "paths")?,
        not: read_globs(table, "not")?,
        kinds: read_list(table, "kinds", |word| Ok(word.parse::<crate::Kind>()?))?,
        networks: read_list(table, "networks", |word| Ok(word.to_owned()))?,
        positions: read_list(table, "positions", |word| Ok(word.parse::<crate::Position>()?))?,
    })
}

fn read_globs(table: &DeTable, key: &str) -> Result<Globs, Misread> {
    // Each by itself first, so that a bad one is found on its own line.
    let globs = read_list(table, key, |word| {
        Globs::new([word])?;
        Ok(word.to_owned())
    })?;
    let at = table.get(key).map_or(0, |value| value.span().start);
    Globs::new(globs).map_err(|error| Misread { at, problem: error.into() })
}

/// The items of a list, or the one that stands there without brackets.
fn read_list<T>(
    table: &DeTable,
    key: &str,
    item: impl Fn(&str) -> Result<T, RulesFileProblem>,
) -> Result<Vec<T>, Misread> {
    let Some(value) = table.get(key) else { return Ok(Vec::new()) };
    let items = match value.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        _ => vec![value],
    };
    let read = |value: &Value| {
        let word = plain_word(value.get_ref());
        let word = word.ok_or_else(|| of_type(key, value, "a list of words"))?;
        item(&word).map_err(|problem| Misread { at: value.span().start, problem })
    };
    items.into_iter().map(read).collect()
}

/// The rule that a table names, with its parameters; `known` are the keys that are none.
fn read_rule(at: usize, table: &DeTable, known: &[&str]) -> Result<Rule, Misread> {
    let doc = read_name(at, table)?;
    let mut parameters = Vec::new();
    for (key, value) in in_order(table) {
        if !known.contains(&&**key.get_ref()) {
            parameters.push(read_parameter(doc, key, value)?);
        }
    }
    build(doc, &parameters, None)
        .map_err(|error| Misread { at: blame(doc, &parameters, &error, at), problem: error.into() })
}

fn read_name(at: usize, table: &DeTable) -> Result<&'static RuleDoc, Misread> {
    let Some(value) = table.get(RULE) else {
        let names: Vec<_> = Rule::catalogue().iter().map(|doc| doc.name).collect();
        let expected = format!("the rule's name, one of {}", names.join(", "));
        return Err(Misread { at, problem: RulesFileProblem::NoKey { key: RULE, expected } });
    };
    let DeValue::String(name) = value.get_ref() else {
        return Err(of_type(RULE, value, "the rule's name in quotation marks"));
    };
    Rule::documented(name)
        .map_err(|error| Misread { at: value.span().start, problem: error.into() })
}

/// A parameter as it would be written on the command line, and where it is in the file.
struct Parameter {
    name: &'static str,
    word: String,
    at: usize,
}

fn read_parameter(doc: &'static RuleDoc, key: &Key, value: &Value) -> Result<Parameter, Misread> {
    // What may be repeated selects layers, for which a file has one place.
    let mut valid = doc.parameters.iter().filter(|parameter| !parameter.may_repeat());
    let (name, at) = (key.get_ref(), key.span().start);
    let parameter = valid.clone().find(|parameter| parameter.name == name);
    let unknown = || Misread { at, problem: unknown_parameter(doc, name, valid.by_ref()).into() };
    let ParameterDoc { name, .. } = parameter.ok_or_else(unknown)?;
    Ok(Parameter { name, word: word(name, value)?, at })
}

fn word(key: &str, value: &Value) -> Result<String, Misread> {
    match value.get_ref() {
        DeValue::Array(items) => list(key, items),
        DeValue::Table(table) => {
            let rule = read_rule(value.span().start, table, &[RULE])?;
            Ok(format!("[{}]", rule.label()))
        }
        plain => plain_word(plain).ok_or_else(|| of_type(key, value, "a number or a word")),
    }
}

fn list(key: &str, items: &DeArray) -> Result<String, Misread> {
    let item = |value: &Value| {
        plain_word(value.get_ref()).ok_or_else(|| of_type(key, value, "a number or a word"))
    };
    let words: Result<Vec<String>, Misread> = items.iter().map(item).collect();
    Ok(words?.join("/"))
}

fn plain_word(value: &DeValue) -> Option<String> {
    match value {
        DeValue::String(word) => Some(word.to_string()),
        DeValue::Integer(number) => Some(whole(number)),
        DeValue::Float(number) => Some(DeFloat::as_str(number).to_owned()),
        DeValue::Boolean(is_true) => Some(is_true.to_string()),
        _ => None,
    }
}

/// A whole number in decimal digits; one that is too large for anything stays as it was written.
fn whole(number: &DeInteger) -> String {
    let digits = number.as_str();
    i128::from_str_radix(digits, number.radix())
        .map_or_else(|_| digits.to_owned(), |value| value.to_string())
}

/// The rule of these parameters, or of all but one of them.
fn build(
    doc: &'static RuleDoc,
    parameters: &[Parameter],
    without: Option<usize>,
) -> Result<Rule, RuleError> {
    let kept = parameters.iter().enumerate().filter(|(place, _)| Some(*place) != without);
    let pairs = kept.map(|(_, parameter)| (parameter.name, parameter.word.as_str())).collect();
    let rule = Rule::read(doc, &Text::of_pairs(doc, pairs))?;
    rule.validate()?;
    Ok(rule)
}

/// Where the parameter is that an error is about: the one it names, or else the first without which there
/// would be no error.
fn blame(doc: &'static RuleDoc, parameters: &[Parameter], error: &RuleError, at: usize) -> usize {
    let named = parameters.iter().find(|parameter| Some(parameter.name) == error.key());
    let guilty = || {
        let is_guilty = |place: &usize| build(doc, parameters, Some(*place)).is_ok();
        (0..parameters.len()).find(is_guilty).map(|place| &parameters[place])
    };
    named.or_else(guilty).map_or(at, |parameter| parameter.at)
}

/// Refuses a key that is not known, the first in the file.
fn only(table: &DeTable, known: &[&str], expected: &str) -> Result<(), Misread> {
    let is_known = |key: &Key| known.contains(&&**key.get_ref());
    let unknown = in_order(table).into_iter().find(|(key, _)| !is_known(key));
    unknown.map_or(Ok(()), |(key, _)| {
        let (at, key) = (key.span().start, key.get_ref().to_string());
        Err(Misread {
            at,
            problem: RulesFileProblem::UnknownKey { key, expected: expected.to_owned() },
        })
    })
}

/// Keys and values as they stand in the file.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a Key<'i>, &'a Value<'i>)> {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    pairs
}

fn of_type(key: &str, value: &Value, expected: &'static str) -> Misread {
    let found = match value.get_ref() {
        DeValue::String(_) => "a word",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let problem = RulesFileProblem::Type { key: key.to_owned(), found, expected };
    Misread { at: value.span().start, problem }
}
