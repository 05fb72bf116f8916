//! The documentation of rules, as data.

/// What a rule does, and its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleDoc {
    /// Its name.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub sentence: &'static str,
    /// Its parameters.
    pub parameters: &'static [ParameterDoc],
}

/// One parameter of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterDoc {
    /// Its name.
    pub name: &'static str,
    /// Its default, as it would be written; [`ParameterDoc::ANY`] for a list, which may be repeated.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

impl ParameterDoc {
    /// The default of a list: without a value it lets everything pass.
    pub const ANY: &'static str = "any";

    pub(crate) const fn new(
        name: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> Self {
        Self { name, default, meaning }
    }

    pub(crate) const fn list(name: &'static str, meaning: &'static str) -> Self {
        Self::new(name, Self::ANY, meaning)
    }

    /// Whether the parameter may be given more than once.
    pub fn may_repeat(&self) -> bool {
        self.default == Self::ANY
    }
}
