//! Reads rules from the text of a TOML file, with errors that name the line.
//!
//! A parameter becomes the word that it would be on the command line and is read by the same code, so a
//! file can say all that text can, and is refused in the same words.

use toml::{
    Spanned,
    de::{DeFloat, DeInteger, DeString, DeTable, DeValue},
};

use crate::decide::doc::RuleDoc;
use crate::decide::error::RuleError;
use crate::decide::rule::Rule;
use crate::decide::scoped_rules::{Rules, ScopedRule};
use crate::decide::text::Text;
use crate::key_values::unknown_key;
use crate::layer::fact::UnknownFact;
use crate::layer::globs::{GlobError, Globs};
use crate::layer::kind::UnknownKind;
use crate::layer::select::{BLOCK_EXPECTED, Select, UnknownPosition};

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
    /// A word that is the number of no block.
    #[error("`{word}` is no block: expected {BLOCK_EXPECTED}")]
    Block {
        /// The word.
        word: String,
    },
    /// A word that names no position.
    #[error(transparent)]
    Position(#[from] UnknownPosition),
    /// A word that is no fact about a layer.
    #[error(transparent)]
    Fact(#[from] UnknownFact),
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
    /// `exclude`, `blocks`, `kinds`, `networks`, `positions`, `facts` and `without`, as [`Select`]; a list of one may be
    /// written without brackets. Values are written as in the text of a rule, numbers also as TOML has them.
    ///
    /// The parameters of `static` that select are not there: `select` is for every rule.
    ///
    /// ```
    /// use osn_core::decide::Rules;
    ///
    /// let rules = Rules::from_toml(
    ///     r#"
    ///     [[rule]]
    ///     rule = "budget"
    ///     total = 100
    ///
    ///     [[rule]]
    ///     rule = "cap"
    ///     target = 2
    ///     select = { kinds = ["conv"], positions = ["last"] }
    ///     "#,
    /// )?;
    /// assert_eq!(
    ///     rules.label(),
    ///     "budget:total=100; cap:target=2 for kind conv and position last"
    /// );
    /// let error = Rules::from_toml("[[rule]]\nrule = \"cap\"\ntaget = 2").unwrap_err();
    /// assert!(error.to_string().starts_with("line 3: rule `cap` has no parameter `taget` (did you mean 'target'?)"));
    /// # Ok::<(), osn_core::decide::RulesFileError>(())
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
    let rule = read_rule(entry.span().start, table)?;
    Ok(ScopedRule { select, rule })
}

fn read_select(value: &Value) -> Result<Select, Misread> {
    let DeValue::Table(table) = value.get_ref() else {
        return Err(of_type(SELECT, value, "a table, such as { positions = [\"last\"] }"));
    };
    let lists =
        ["paths", "exclude", "blocks", "kinds", "networks", "positions", "facts", "without"];
    let facts = |key| read_list(table, key, |word| Ok(word.parse::<crate::layer::fact::Fact>()?));
    only(table, &lists, &format!("one of {}", lists.join(", ")))?;
    Ok(Select {
        paths: read_globs(table, "paths")?,
        exclude: read_globs(table, "exclude")?,
        blocks: read_list(table, "blocks", read_block)?,
        kinds: read_list(table, "kinds", |word| Ok(word.parse::<crate::layer::kind::Kind>()?))?,
        networks: read_list(table, "networks", |word| Ok(word.to_owned()))?,
        positions: read_list(table, "positions", |word| {
            Ok(word.parse::<crate::layer::select::Position>()?)
        })?,
        facts: facts("facts")?,
        without: facts("without")?,
    })
}

fn read_block(word: &str) -> Result<usize, RulesFileProblem> {
    word.parse().map_err(|_| RulesFileProblem::Block { word: word.to_owned() })
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

/// The rule that a table names, with its parameters.
fn read_rule(at: usize, table: &DeTable) -> Result<Rule, Misread> {
    let doc = read_name(at, table)?;
    let mut parameters = Vec::new();
    for (key, value) in in_order(table) {
        if ![RULE, SELECT].contains(&&**key.get_ref()) {
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
    let valid = doc.parameters.iter().filter(|parameter| !parameter.may_repeat());
    let names: Vec<&'static str> = valid.map(|parameter| parameter.name).collect();
    let (key, at) = (key.get_ref(), key.span().start);
    let Some(&name) = names.iter().find(|name| *name == key) else {
        let error = RuleError::Parameters { rule: doc.name, source: unknown_key(key, &names) };
        return Err(Misread { at, problem: error.into() });
    };
    let word = plain_word(value.get_ref());
    let word = word.ok_or_else(|| of_type(name, value, "a number or a word"))?;
    Ok(Parameter { name, word, at })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::fact::Fact;
    use crate::layer::kind::Kind;
    use crate::layer::select::Position;
    use proptest::prelude::*;

    fn refused(text: &str) -> RulesFileError {
        Rules::from_toml(text).unwrap_err()
    }

    /// A value of a parameter that is not its default, as TOML.
    fn other_value(name: &str, default: &str) -> String {
        let value = match (name, default) {
            ("action", _) => "\"cap\"",
            ("task", _) => "\"control\"",
            ("weights", _) => "\"uniform\"",
            ("metric", _) => "\"loss\"",
            ("sharpness", _) => "8",
            (_, "true") => "false",
            ("off", _) => "7_000",
            ("until", _) => "0x10",
            ("max", _) => "20",
            ("end_target", _) | (_, "none") => "2.5",
            (_, whole) if whole.parse::<u64>().is_ok() && whole != "1" && whole != "0" => "7",
            ("on" | "period" | "from" | "seed" | "every", _) => "3",
            _ => "0.75",
        };
        value.to_owned()
    }

    /// Parameters without which another one makes no sense.
    fn companions(rule: &str, name: &str) -> &'static str {
        match (rule, name) {
            ("static", "sharpness") => "action = \"cap\"",
            ("schedule", "duty") => "period = 40",
            ("schedule", "from") => "end_target = 4\nuntil = 9",
            ("schedule", "until") => "end_target = 4",
            ("schedule", "end_target") => "until = 9",
            _ => "",
        }
    }

    #[test]
    fn every_documented_parameter_is_read_from_a_file_and_arrives() {
        for doc in Rule::catalogue() {
            for parameter in doc.parameters.iter().filter(|it| !it.may_repeat()) {
                let (name, value) =
                    (parameter.name, other_value(parameter.name, parameter.default));
                let companion = companions(doc.name, name);
                let text =
                    format!("[[rule]]\nrule = \"{}\"\n{companion}\n{name} = {value}", doc.name);
                let rules =
                    Rules::from_toml(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
                let label = rules.label();
                assert!(label.contains(&format!("{name}=")), "{label} lost {name} of\n{text}");
                assert_eq!(Rules::from(Rule::parse(&label).unwrap()), rules);
                let json = serde_json::to_string(&rules).unwrap();
                assert_eq!(serde_json::from_str::<Rules>(&json).unwrap(), rules);
            }
        }
    }

    #[test]
    fn a_file_of_documented_defaults_is_the_defaults() {
        for doc in Rule::catalogue() {
            // Sharpness is a parameter of caps only.
            let is_plain = |name: &str| !(doc.name == "static" && name == "sharpness");
            let parameters = doc.parameters.iter();
            let plain = parameters.filter(|it| !it.may_repeat() && is_plain(it.name));
            let lines = plain.map(|it| format!("{} = \"{}\"\n", it.name, it.default));
            let text = format!("[[rule]]\nrule = \"{}\"\n", doc.name) + &lines.collect::<String>();
            let expected = Rules::from(Rule::parse(doc.name).unwrap());
            assert_eq!(Rules::from_toml(&text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_selection_is_read_with_lists_or_without_brackets() {
        let text = r#"
            [[rule]]
            rule = "static"
            action = "off"
            [rule.select]
            paths = ["blocks.{0,1}.**", "head.*"]
            exclude = "**.bias"
            blocks = [0, "7"]
            kinds = ["conv", "linear"]
            networks = "discriminator"
            positions = ["penultimate", 3]
            facts = "residual"
            without = ["output", "embedding"]
        "#;
        let rules = Rules::from_toml(text).unwrap();
        let expected = Select {
            paths: Globs::new(["blocks.{0,1}.**", "head.*"]).unwrap(),
            exclude: Globs::new(["**.bias"]).unwrap(),
            blocks: vec![0, 7],
            kinds: vec![Kind::Conv, Kind::Linear],
            networks: vec!["discriminator".to_owned()],
            positions: vec![Position::Penultimate, Position::Nth(3)],
            facts: vec![Fact::Residual],
            without: vec![Fact::Output, Fact::Embedding],
        };
        assert_eq!(rules.entries()[0].select, expected);
        assert_eq!(rules.entries()[0].rule, Rule::parse("static:action=off").unwrap());
    }

    #[test]
    fn an_error_is_at_the_line_of_what_is_wrong() {
        for (text, line) in [
            ("[[rule]]\nrule = \"cap\"\ntarget = \n", 3),
            ("[[rule]\n", 1),
            ("\n\nrules = 1", 3),
            ("[rule]\nrule = \"cap\"", 1),
            ("rule = [1]", 1),
            ("rule = []", 1),
            ("", 1),
            ("[[rule]]\nrule = \"cap\"\n\n[[rule]]\nrule = \"capp\"", 5),
            ("[[rule]]\ntarget = 2", 1),
            ("[[rule]]\nrule = 3", 2),
            ("[[rule]]\nrule = \"cap\"\ndwell = 3\ntaget = 2", 4),
            ("[[rule]]\nrule = \"cap\"\n\n# big\ntarget = \"big\"", 5),
            ("[[rule]]\nrule = \"cap\"\ndwell = 1979-05-27", 3),
            ("[[rule]]\nrule = \"cap\"\ninterval = 0", 3),
            ("[[rule]]\nrule = \"cap\"\ntarget = [\n 1, [2]]", 3),
            ("[[rule]]\nrule = \"static\"\nkind = \"conv\"", 3),
            // Errors that name no parameter, or another than the one to blame.
            ("[[rule]]\nrule = \"plateau\"\nstart = 1\nmin = -1", 4),
            ("[[rule]]\nrule = \"schedule\"\nperiod = 4\nend_target = 2", 4),
            ("[[rule]]\nrule = \"cap\"\nselect = \"conv\"", 3),
            ("[[rule]]\nrule = \"cap\"\nselect = { kind = \"conv\" }", 3),
            ("[[rule]]\nrule = \"cap\"\nselect = { kinds = [\n\"conv\",\n\"con\"] }", 5),
            ("[[rule]]\nrule = \"cap\"\nselect.positions = [-1]", 3),
            ("[[rule]]\nrule = \"cap\"\nselect.paths = [\"a\",\n\"b.[c\"]", 4),
            ("[[rule]]\nrule = \"cap\"\nselect.paths = [[1]]", 3),
        ] {
            assert_eq!(refused(text).line, line, "{text}");
        }
    }

    #[test]
    fn a_huge_or_deep_file_is_refused_or_read_and_never_panics() {
        let deep = |open: &str, close: &str| {
            let (open, close) = (open.repeat(50_000), close.repeat(50_000));
            format!("[[rule]]\nrule = \"cap\"\ntarget = {open}1{close}")
        };
        let dotted = format!("[[rule]]\nrule = \"cap\"\n{}b = 1", "a.".repeat(50_000));
        for text in [deep("[", "]"), deep("{a=", "}"), dotted] {
            assert!(matches!(refused(&text).problem, RulesFileProblem::Syntax { .. }));
        }
        let glob = format!("[[rule]]\nrule = \"cap\"\nselect.paths = \"{}\"", "{a".repeat(400));
        assert!(matches!(refused(&glob).problem, RulesFileProblem::Glob(_)));
        let many = "[[rule]]\nrule = \"cap\"\nselect.positions = [1]\n".repeat(20_000);
        assert_eq!(Rules::from_toml(&many).unwrap().entries().len(), 20_000);
        let digits = format!("[[rule]]\nrule = \"cap\"\ndwell = {}", "9".repeat(100_000));
        let RulesFileProblem::Rule(error) = refused(&digits).problem else { panic!("no rule") };
        assert!(matches!(error, RuleError::BadValue { key: "dwell", .. }));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\[\\[rule\\]\\]|rule|select|paths|cap|budget|total| = |\"|[\\[\\]{}.,'#0-9a\n-])*") {
            let _ = Rules::from_toml(&text);
        }

        #[test]
        fn a_file_cut_short_is_refused_or_read_and_never_panics(end in 0_usize..200) {
            let whole = "[[rule]]\nrule = \"budget\"\ntotal = 1e-3\n\
                         [[rule]]\nrule = \"cap\"\nselect = { paths = [\"ä.**\"], positions = [1] }\n";
            let end = (0..=end.min(whole.len())).rev().find(|end| whole.is_char_boundary(*end));
            let _ = Rules::from_toml(&whole[..end.unwrap_or(0)]);
        }
    }
}
