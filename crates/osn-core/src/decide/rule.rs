//! The rules there are, as text, as files and as documentation.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::decide::decision_rule::DecisionRule;
use crate::decide::doc::RuleDoc;
use crate::decide::erased::{AnyRule, CustomRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::NamedRule;
use crate::decide::rules::always::Always;
use crate::decide::rules::auto::Auto;
use crate::decide::rules::budget::Budget;
use crate::decide::rules::cap::Cap;
use crate::decide::rules::learned::Learned;
use crate::decide::rules::lr_over_sigma::{LrOverMaxSigma, LrOverSigma};
use crate::decide::rules::never::Never;
use crate::decide::rules::observe::Observe;
use crate::decide::rules::pay::Pay;
use crate::decide::rules::plateau::Plateau;
use crate::decide::rules::random::Random;
use crate::decide::rules::schedule::Schedule;
use crate::decide::rules::r#static::Static;
use crate::decide::signals::Needs;
use crate::decide::text::Text;

/// Lists the rules once; all that is done for each of them follows from it.
macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident,)*) => {
        /// A rule that decides what is done to each layer.
        ///
        /// As text it is a name and parameters, `cap:target=2,dwell=100`; in a file it is an object,
        /// `{"rule": "cap", "target": 2, "dwell": 100}`. What is left out has its default. A rule of your
        /// own is code: text and files can name it, but it cannot be read from them.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "rule", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $rule($rule),)*
            /// A rule of your own; [`Rule::custom`] makes it.
            Custom(CustomRule),
        }

        impl<'de> Deserialize<'de> for Rule {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let Tagged { rule: name, parameters } = Tagged::deserialize(deserializer)?;
                let rule = match &*name {
                    $(name if name == $rule::DOC.name => {
                        serde_json::from_value(parameters).map(Rule::$rule)
                    })*
                    "custom" => {
                        let rule = serde_json::from_value(parameters).map(Rule::Custom);
                        return rule.map_err(de::Error::custom);
                    }
                    name => return Err(de::Error::custom(unknown(name))),
                };
                rule.map_err(|error| de::Error::custom(format!("rule `{name}`: {error}")))
            }
        }

        $(impl From<$rule> for Rule {
            fn from(rule: $rule) -> Self {
                Self::$rule(rule)
            }
        })*

        impl Rule {
            /// What every rule does, and its parameters, in the order in which they are offered.
            pub fn catalogue() -> &'static [RuleDoc] {
                &[$($rule::DOC),*]
            }

            pub(crate) fn read(doc: &RuleDoc, text: &Text) -> Result<Rule, RuleError> {
                $(if doc.name == $rule::DOC.name {
                    return Ok(Rule::$rule($rule::read(text)?));
                })*
                Err(unknown(doc.name))
            }

            pub(crate) fn erased(&self) -> &dyn AnyRule {
                match self {
                    $(Rule::$rule(rule) => rule,)*
                    Rule::Custom(rule) => rule.erased(),
                }
            }
        }
    };
}

rules! {
    /// Decides as fits the kind of task.
    Auto,
    /// Leaves every layer unconstrained.
    Never,
    /// Leaves every layer unconstrained and requests every signal.
    Observe,
    /// Normalizes every layer.
    Always,
    /// Gives one action to selected layers.
    Static,
    /// Constrains a layer while its σ is above a cap.
    Cap,
    /// Constrains every layer at planned steps.
    Schedule,
    /// Constrains each layer at random.
    Random,
    /// Bounds the product of all σ by a total.
    Budget,
    /// Tries another target when a reported metric stalls.
    Plateau,
    /// Learns for each layer how far it is constrained, from a held-out loss.
    Learned,
    /// Caps each layer while a larger σ of it does not pay on held-out data.
    Pay,
    /// Multiplies the updates of every layer by target/σ.
    LrOverSigma,
    /// Multiplies the updates of every layer by target/σ where that is below 1.
    LrOverMaxSigma,
}

/// A rule in a file, of which only the name is known yet.
#[derive(Deserialize)]
struct Tagged {
    rule: String,
    #[serde(flatten)]
    parameters: serde_json::Value,
}

impl Rule {
    /// Reads a rule from its text: `always`, `always:target=2`, `cap:target=1,hysteresis=0.05`.
    ///
    /// Parameters of `static` that are lists may be repeated: `static:kind=conv,kind=linear`.
    ///
    /// # Errors
    ///
    /// [`RuleError`], with the names or values that would be valid.
    pub fn parse(text: &str) -> Result<Rule, RuleError> {
        let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
        let name = name.trim();
        let doc = Self::documented(name)?;
        let rule = Self::read(doc, &Text::new(doc, parameters)?)?;
        rule.validate()?;
        Ok(rule)
    }

    /// What the rule of this name does, and its parameters.
    ///
    /// # Errors
    ///
    /// [`RuleError::UnknownRule`], with the names there are.
    pub fn documented(name: &str) -> Result<&'static RuleDoc, RuleError> {
        let known = Self::catalogue().iter().find(|doc| doc.name == name);
        known.ok_or_else(|| unknown(name))
    }

    /// Makes a rule of your own a rule that [`Decider`](super::Decider) and all that takes rules accept.
    pub fn custom(rule: impl DecisionRule + Send + Sync + 'static) -> Rule {
        Rule::Custom(CustomRule::new(rule))
    }

    /// Checks that the parameters make sense, wherever they came from.
    ///
    /// # Errors
    ///
    /// [`RuleError`], naming the parameter and what it should be.
    pub fn validate(&self) -> Result<(), RuleError> {
        if let Rule::Custom(rule) = self {
            check_custom(rule.erased())?;
        }
        self.erased().validate()
    }

    /// The signals that the rule uses besides σ; without them it changes nothing and says so.
    pub fn needs(&self) -> Needs {
        self.erased().needs()
    }

    /// The name of the metric that the rule follows ([`Signals::metrics`](super::Signals)), if it
    /// follows one.
    pub fn metric(&self) -> Option<&str> {
        self.erased().metric()
    }

    /// The rule's name, without its parameters.
    pub fn name(&self) -> &str {
        self.erased().name()
    }

    /// The rule's text, with the parameters that are not at their default: [`parse`](Self::parse)
    /// reads it back to the same rule, unless it is a rule of your own.
    pub fn label(&self) -> String {
        let (name, parameters) = (self.name(), self.erased().parameters());
        if parameters.is_empty() { name.to_owned() } else { format!("{name}:{parameters}") }
    }

    /// The label with nothing in it that a file name should not have: `always-target=2`.
    ///
    /// Characters other than letters, digits and `. _ = -` become `_`, so two rules that differ only
    /// in their globs can share one.
    pub fn slug(&self) -> String {
        slug(&self.label())
    }
}

/// A text with nothing in it that a file name should not have: `:` and `,` become `-`, and characters
/// other than letters, digits and `. _ = -` become `_`.
pub fn slug(text: &str) -> String {
    let safe = |character: char| match character {
        ':' | ',' => '-',
        '.' | '_' | '=' | '-' => character,
        _ if character.is_ascii_alphanumeric() => character,
        _ => '_',
    };
    text.chars().map(safe).collect()
}

/// Checks what the types of a rule of one's own cannot.
fn check_custom(rule: &dyn AnyRule) -> Result<(), RuleError> {
    let problem = if rule.name().is_empty() {
        "a rule needs a name"
    } else if Rule::documented(rule.name()).is_ok() {
        "this name is taken: choose another"
    } else if rule.interval() == Some(0) {
        "the interval must be at least 1"
    } else {
        return Ok(());
    };
    Err(RuleError::Custom { rule: rule.name().to_owned(), problem: problem.to_owned() })
}

/// The rules that earlier versions had, and what became of each.
const REMOVED: [(&str, &str); 5] = [
    ("patience", "is now `plateau`, with the same parameters"),
    ("bandit", "was removed: `plateau` follows a metric, too"),
    ("balance", "was removed: `auto` follows the separation of a discriminator"),
    ("slope", "was removed: `auto` follows the input gradient of a discriminator"),
    ("gradient", "was removed: `budget` uses the gradients of each layer"),
];

fn unknown(name: &str) -> RuleError {
    if let Some((_, instead)) = REMOVED.into_iter().find(|(removed, _)| *removed == name) {
        return RuleError::Removed { name: name.to_owned(), instead };
    }
    let valid = Rule::catalogue().iter().map(|doc| doc.name).collect::<Vec<_>>();
    RuleError::UnknownRule { name: name.to_owned(), valid: valid.join(", ") }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::tests::assert_bad_value;
    use proptest::prelude::*;

    #[test]
    fn text_becomes_the_rule_it_says() {
        assert_eq!(Rule::parse("always"), Ok(Rule::Always(Always { target: 1.0 })));
        assert_eq!(Rule::parse("always:target=2"), Ok(Rule::Always(Always { target: 2.0 })));
        assert_eq!(Rule::parse("never"), Ok(Rule::Never(Never {})));
        assert_eq!(Rule::parse("static"), Ok(Rule::Static(Static::default())));
        let cap = Cap {
            target: 1.5,
            sharpness: 8.0,
            hysteresis: 0.1,
            dwell: 50,
            interval: 5,
            ..Cap::default()
        };
        let text = " cap : target = 1.5, sharpness=8, hysteresis=0.1, dwell=50, interval=5 ";
        assert_eq!(Rule::parse(text), Ok(Rule::Cap(cap)));
    }

    #[test]
    fn the_documented_defaults_are_the_defaults() {
        for doc in Rule::catalogue() {
            let default = Rule::parse(doc.name).unwrap();
            assert_eq!(default.name(), doc.name);
            for parameter in doc.parameters.iter().filter(|it| !it.may_repeat()) {
                // Sharpness is a parameter of caps only.
                let action = if doc.name == "static" && parameter.name == "sharpness" {
                    "action=cap,"
                } else {
                    ""
                };
                let plain = Rule::parse(&format!("{}:{action}", doc.name));
                let text = format!("{}:{action}{}={}", doc.name, parameter.name, parameter.default);
                assert_eq!(Rule::parse(&text), plain, "{text}");
            }
        }
    }

    #[test]
    fn a_name_or_a_parameter_that_is_not_known_is_refused() {
        for text in ["allways", ""] {
            assert!(matches!(Rule::parse(text), Err(RuleError::UnknownRule { .. })), "{text}");
        }
        for text in ["cap:taget=1", "never:target=1", "always:2", "always:target=1,target=2"] {
            assert!(matches!(Rule::parse(text), Err(RuleError::Parameters { .. })), "{text}");
        }
        for (name, _) in REMOVED {
            assert!(matches!(Rule::parse(name), Err(RuleError::Removed { .. })), "{name}");
            let file = format!(r#"{{"rule":"{name}","start":2}}"#);
            assert!(serde_json::from_str::<Rule>(&file).is_err());
        }
    }

    #[test]
    fn a_bad_value_is_refused_with_its_parameter() {
        for (rule, bad, value) in [
            ("always", "target", "big"),
            ("cap", "hysteresis", "1"),
            ("cap", "hysteresis", "1e300"),
            ("cap", "hysteresis", "nan"),
            ("cap", "interval", "0"),
            ("cap", "dwell", "-1"),
            ("static", "kind", "convolution"),
            ("static", "position", "middle"),
        ] {
            let text = format!("{rule}:{bad}={value}");
            assert_bad_value(&text, bad);
        }
        for text in ["always:target=0", "always:target=nan", "cap:sharpness=0", "cap:sharpness=nan"]
        {
            assert!(matches!(Rule::parse(text), Err(RuleError::Action { .. })), "{text}");
        }
        assert!(matches!(Rule::parse("static:path=a.[b"), Err(RuleError::Glob(_))));
    }

    #[test]
    fn a_label_says_only_what_is_not_default_and_reads_back() {
        for text in [
            "always",
            "always:target=2",
            "always:target=1e-30",
            "never",
            "cap",
            "cap:target=2,sharpness=8,hysteresis=0,dwell=0,interval=1",
            "static",
            "static:action=off",
            "static:target=1.5",
            "schedule:on=10,off=5000,period=400,duty=0.25,target=2,end_target=8,from=1,until=9,action=cap,\
             interval=5",
            "random:target=2,duty=0.25,dwell=50,seed=7,action=cap,interval=5",
            "static:path=blocks.{0,1}.**,path=head.[!,]*,exclude=**.bias,block=0,block=12,kind=conv,kind=conv_transpose,\
             network=discriminator,position=penultimate,position=3,action=cap,target=2,sharpness=4",
        ] {
            let rule = Rule::parse(text).unwrap();
            assert_eq!(rule.label(), text);
            assert_eq!(Rule::parse(&rule.label()), Ok(rule));
        }
        assert_eq!(Rule::parse("cap:target=1,dwell=200").unwrap().label(), "cap");
    }

    #[test]
    fn a_slug_is_a_file_name() {
        let slug = |text: &str| Rule::parse(text).unwrap().slug();
        assert_eq!(slug("always"), "always");
        assert_eq!(slug("always:target=2"), "always-target=2");
        assert_eq!(slug("cap:target=1.5,dwell=50"), "cap-target=1.5-dwell=50");
        assert_eq!(slug("static:path=**.{a,b}/c"), "static-path=__._a-b__c");
    }

    #[test]
    fn a_rule_is_an_object_with_its_name_in_a_file() {
        let read = |text: &str| serde_json::from_str::<Rule>(text);
        assert_eq!(read(r#"{"rule":"never"}"#).unwrap(), Rule::Never(Never {}));
        assert_eq!(read(r#"{"rule":"cap"}"#).unwrap(), Rule::Cap(Cap::default()));
        let cap = read(r#"{"rule":"cap","target":2,"sharpness":"inf"}"#).unwrap();
        assert_eq!(cap, Rule::parse("cap:target=2").unwrap());
        let selected =
            r#"{"rule":"static","select":{"positions":["last"]},"action":{"cap":{"target":2}}}"#;
        let expected = Rule::parse("static:position=last,action=cap,target=2").unwrap();
        assert_eq!(read(selected).unwrap(), expected);
        assert!(read(r#"{"rule":"cap","taget":2}"#).is_err());
        assert!(read(r#"{"rule":"sometimes"}"#).is_err());
    }

    #[test]
    fn a_file_cannot_bring_in_what_text_could_not() {
        for text in [
            r#"{"rule":"always","target":-1}"#,
            r#"{"rule":"cap","interval":0}"#,
            r#"{"rule":"static","action":{"normalize":{"target":0}}}"#,
        ] {
            assert!(serde_json::from_str::<Rule>(text).unwrap().validate().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_cap_reads_back_from_its_label_and_its_file(
            log_target in -80.0..80.0_f64,
            sharpness in prop_oneof![Just(f64::INFINITY), 1e-3..1e6_f64],
            hysteresis in 0.0..1.0_f64,
            dwell: u64,
            interval in 1..u64::MAX,
        ) {
            let target = log_target.exp();
            let rule = Rule::Cap(Cap {
                target, sharpness, hysteresis, dwell, interval, ..Cap::default()
            });
            prop_assert_eq!(Rule::parse(&rule.label()), Ok(rule.clone()));
            let file = serde_json::to_string(&rule).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rule>(&file).unwrap(), rule);
        }
    }
}
