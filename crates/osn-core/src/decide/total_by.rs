//! The rule that sets the total of a `budget`.

use serde::{Deserialize, Serialize};

use super::{
    Balance, Needs, RuleError, Signals, Slope, TargetAction,
    deciding::Deciding,
    rule::{Rule, required},
    target_control::{Controlled, Limit, TargetControl},
    text::{Parameter, Text},
};

/// A rule that moves one target of all layers, here the mean that a [`Budget`](super::Budget) shares out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TotalBy {
    /// By the discriminator's separation.
    Balance(Balance),
    /// By its slope.
    Slope(Slope),
}

impl TotalBy {
    pub(super) const MEANING: &str = "balance or slope, which then moves the total: its target is \
                                      the mean of what the layers share";

    /// Checks the rule, and that it does not bring what the budget has itself.
    pub(super) fn validate(&self) -> Result<(), RuleError> {
        let (doc, action, interval, own) = match self {
            TotalBy::Balance(balance) => {
                balance.validate()?;
                (Balance::DOC, balance.action, balance.interval, Balance::default().interval)
            }
            TotalBy::Slope(slope) => {
                slope.validate()?;
                (Slope::DOC, slope.action, slope.interval, Slope::default().interval)
            }
        };
        let is_plain = action == TargetAction::default();
        required(&doc, is_plain, "action", action, "nothing, as the budget holds by caps")?;
        required(&doc, interval == own, "interval", interval, "nothing, as the budget has its own")
    }

    pub(super) fn needs(&self) -> Needs {
        match self {
            TotalBy::Balance(balance) => balance.needs(),
            TotalBy::Slope(slope) => slope.needs(),
        }
    }

    pub(super) fn begin(&self) -> Controlled {
        self.control().begin()
    }

    /// Moves the target, at most to the mean σ (no more is held there), and says where it went.
    pub(super) fn steer(
        &self,
        memory: &mut Controlled,
        step: u64,
        signals: &Signals,
        mean: Option<f64>,
    ) -> String {
        let finding = match self {
            TotalBy::Balance(balance) => balance.find(signals),
            TotalBy::Slope(slope) => slope.find(signals),
        };
        let limit = mean.map(|sigma| Limit { sigma, name: "the mean σ" });
        self.control().steer(memory, step, finding, limit)
    }

    fn control(&self) -> TargetControl {
        match self {
            TotalBy::Balance(balance) => balance.control(),
            TotalBy::Slope(slope) => slope.control(),
        }
    }

    fn rule(&self) -> Rule {
        match *self {
            TotalBy::Balance(balance) => Rule::Balance(balance),
            TotalBy::Slope(slope) => Rule::Slope(slope),
        }
    }
}

/// The rule's text between brackets, which keep its commas from those around it.
impl Parameter for TotalBy {
    const EXPECTED: &'static str = "balance or slope, with parameters as [balance:set_point=0.5]";

    fn parse(word: &str) -> Option<Self> {
        let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']'));
        let word = bare.unwrap_or(word);
        let (name, parameters) = word.split_once(':').unwrap_or((word, ""));
        match name.trim() {
            "balance" => Text::new(&Balance::DOC, parameters)
                .and_then(|text| Balance::read(&text))
                .map(TotalBy::Balance)
                .ok(),
            "slope" => Text::new(&Slope::DOC, parameters)
                .and_then(|text| Slope::read(&text))
                .map(TotalBy::Slope)
                .ok(),
            _ => None,
        }
    }

    fn word(&self) -> String {
        format!("[{}]", self.rule().label())
    }
}
