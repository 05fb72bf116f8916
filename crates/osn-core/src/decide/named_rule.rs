//! A rule that text can name, and what its documentation, its reader and its writer are made of.

use crate::decide::decision_rule::DecisionRule;
use crate::decide::doc::RuleDoc;
use crate::decide::error::RuleError;
use crate::decide::text::{Text, Words};

/// A rule that text can name: how it is documented, read and written.
pub(crate) trait NamedRule: DecisionRule + Sized {
    /// What it does and its parameters.
    const DOC: RuleDoc;

    /// Reads the parameters.
    fn read(text: &Text) -> Result<Self, RuleError>;

    /// Writes the parameters that are not at their default.
    fn write(&self, words: &mut Words);

    /// The parameters that are not at their default, as text.
    fn written(&self) -> String {
        let mut words = Words::default();
        self.write(&mut words);
        words.to_string()
    }
}

/// The name and the parameters of a [`NamedRule`], and with `interval` the field of this name, for its
/// `impl DecisionRule`.
macro_rules! named {
    (interval) => {
        $crate::decide::named_rule::named!();

        fn interval(&self) -> Option<u64> {
            Some(self.interval)
        }
    };
    () => {
        fn name(&self) -> &str {
            Self::DOC.name
        }

        fn parameters(&self) -> String {
            $crate::decide::named_rule::NamedRule::written(self)
        }
    };
}
pub(crate) use named;

/// What the parameter `interval` means, which most rules have.
pub(crate) const INTERVAL: &str = "optimizer steps between two decisions";

/// The name, the sentence and the parameters of a rule, each parameter a field of it: how they are
/// documented, read and written. The word of a default is that of the field's default.
macro_rules! parameters {
    ($name:literal, $sentence:literal; $($field:ident = $default:literal, $meaning:expr;)*) => {
        const DOC: $crate::decide::doc::RuleDoc = $crate::decide::doc::RuleDoc {
            name: $name,
            sentence: $sentence,
            parameters: &[$($crate::decide::doc::ParameterDoc::new(
                stringify!($field), $default, $meaning,
            )),*],
        };

        fn read(
            text: &$crate::decide::text::Text,
        ) -> Result<Self, $crate::decide::error::RuleError> {
            let default = Self::default();
            Ok(Self { $($field: text.value(stringify!($field), $default, default.$field)?),* })
        }

        fn write(&self, words: &mut $crate::decide::text::Words) {
            let default = Self::default();
            $(words.value(stringify!($field), &self.$field, &default.$field);)*
        }
    };
}
pub(crate) use parameters;
