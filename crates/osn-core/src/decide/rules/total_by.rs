//! The rule that sets the total of a `budget`.

use serde::{Deserialize, Serialize};

use crate::decide::{
    Balance, Needs, RuleError, Signals, Slope, TargetAction,
    control::target_control::{Controlled, Limit, TargetControl},
    decision_rule::{DecisionRule, NamedRule},
    rule::{Rule, required},
    text::{Parameter, Text},
};

/// A rule that moves one target of all layers, here the mean that a [`Budget`](crate::decide::Budget) shares out.
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
    pub(crate) const MEANING: &str = "balance or slope, which then moves the total: its target is \
                                      the mean of what the layers share";

    /// Checks the rule, and that it does not bring what the budget has itself.
    pub(crate) fn validate(&self) -> Result<(), RuleError> {
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

    pub(crate) fn needs(&self) -> Needs {
        match self {
            TotalBy::Balance(balance) => balance.needs(),
            TotalBy::Slope(slope) => slope.needs(),
        }
    }

    pub(crate) fn begin(&self) -> Controlled {
        self.control().begin()
    }

    /// Moves the target, at most to the mean σ (no more is held there), and says where it went.
    pub(crate) fn steer(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Adversarial, Decider, Decision, tests::layers};
    use crate::{Action, GradientStatistics, Measurement};

    const SIGMAS: [f64; 3] = [4.0, 2.0, 1.0];

    fn decider(text: &str) -> Decider {
        Decider::new(Rule::parse(text).unwrap(), layers(3)).unwrap()
    }

    fn separated(separation: f64) -> Signals {
        let adversarial = Adversarial {
            separation: Some(separation),
            input_gradient_norm: Some(0.5),
            ..Adversarial::default()
        };
        Signals::new().adversarial(adversarial)
    }

    /// Decides on layers of the same σ again and again, of which the last is the most sensitive.
    fn decide(decider: &mut Decider, step: u64, signals: &Signals) -> Vec<Decision> {
        let measured = [0.1, 0.2, 0.6].into_iter().zip(SIGMAS).map(|(sensitivity, sigma)| {
            let gradient = GradientStatistics { sensitivity, ..GradientStatistics::default() };
            Measurement::new(sigma, 0.0).with_gradient(gradient)
        });
        decider.decide(step, &measured.collect::<Vec<_>>(), signals).to_vec()
    }

    /// `ln σ` of each effective weight once the decisions are in force.
    fn effective(decisions: &[Decision]) -> Vec<f64> {
        let pairs = decisions.iter().zip(SIGMAS);
        pairs.map(|(it, sigma)| (sigma * it.action.scale(1.0, sigma)).ln()).collect()
    }

    fn near(actual: f64, expected: f64) -> bool {
        (actual - expected).abs() < 1e-9
    }

    #[test]
    fn a_separated_discriminator_shrinks_the_total_by_the_rules_own_equation() {
        let rule = "balance:set_point=0.6,start=1.9,gain=0.01,proportional=0";
        let mut decider = decider(&format!("budget:threshold=0,total_by=[{rule}]"));
        let mut expected = 1.9_f64.ln();
        let mut last = f64::INFINITY;
        for step in (0..=200).step_by(10) {
            expected -= 0.01 * (if step == 0 { 0.0 } else { 10.0 }) * 0.3;
            let total: f64 = effective(&decide(&mut decider, step, &separated(0.9))).iter().sum();
            assert!(near(total, 3.0 * expected), "at {step}: {total} is not 3·{expected}");
            assert!(total < last);
            last = total;
        }
    }

    #[test]
    fn the_total_is_shared_out_as_the_budget_does_it_and_not_layer_by_layer() {
        let steered = "budget:threshold=0,total_by=[balance:start=1,proportional=0]";
        let steered = decide(&mut decider(steered), 0, &separated(0.9));
        let given = decide(&mut decider("budget:threshold=0,total=1"), 0, &separated(0.9));
        let pairs = effective(&steered).into_iter().zip(effective(&given));
        assert!(pairs.clone().all(|(steered, given)| near(steered, given)));
        // The most sensitive layer gives least.
        let given: Vec<_> = pairs.zip(SIGMAS).map(|((it, _), sigma)| sigma.ln() - it).collect();
        assert!(given[0] > given[1] && given[1] > given[2] && given[2] > 0.0, "{given:?}");
    }

    #[test]
    fn a_discriminator_that_tells_nothing_apart_is_let_go_and_caught_again_at_once() {
        let mut decider = decider("budget:threshold=0,total_by=[balance:proportional=0]");
        let mut last = Vec::new();
        for step in (0..100_000).step_by(10) {
            last = decide(&mut decider, step, &separated(0.0));
        }
        assert!(last.iter().all(|decision| decision.action == Action::Off));
        assert_eq!(
            last[0].reason,
            "separation 0, wanted 0.6: target stays at 2, the mean σ; \
             ln ∏σ 2.079 against ln Λ 2.079, nothing to take: off"
        );
        // Nothing has wound up: one decision of 10 steps at an error of 0.3 takes 3·0.03.
        let total: f64 = effective(&decide(&mut decider, 100_000, &separated(0.9))).iter().sum();
        assert!(near(total, 8_f64.ln() - 3.0 * 0.03), "{total}");
    }

    #[test]
    fn without_a_signal_the_total_stays_and_the_reason_says_both() {
        let mut decider = decider("budget:total_by=slope");
        let decisions = decide(&mut decider, 0, &Signals::new());
        let reason = &decisions[0].reason;
        let said = "no slope told: target stays at 1.5; ln ∏σ 2.079 against ln Λ 1.216, share";
        assert!(reason.starts_with(said), "{reason}");
        let total: f64 = effective(&decisions).iter().sum();
        assert!(near(total, 3.0 * 1.5_f64.ln()));
    }

    #[test]
    fn time_passes_while_a_sigma_is_broken() {
        let mut decider = decider("budget:threshold=0,total_by=[balance:start=1.9,proportional=0]");
        decide(&mut decider, 0, &separated(0.6));
        let broken = [4.0, f64::NAN, 1.0].map(|sigma| Measurement::new(sigma, 0.0));
        decider.decide(1_000, &broken, &Signals::new());
        assert!(decider.decisions()[0].reason.contains("product not known"));
        let total: f64 = effective(&decide(&mut decider, 1_010, &separated(0.9))).iter().sum();
        assert!(near(total, 3.0 * (1.9_f64.ln() - 0.03)), "{total}");
    }

    #[test]
    fn the_needs_are_those_of_both() {
        let needs = |text: &str| Rule::parse(text).unwrap().needs();
        let gradients = Needs { gradients: true, ..Needs::default() };
        assert_eq!(needs("budget"), gradients);
        assert_eq!(needs("budget:total_by=balance"), Needs { separation: true, ..gradients });
        assert_eq!(
            needs("budget:total_by=slope"),
            Needs { separation: true, input_gradient_norm: true, ..gradients }
        );
    }

    #[test]
    fn the_total_is_set_in_one_way_and_by_a_rule_that_can() {
        let message = |text: &str| Rule::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("budget:total=4,total_by=balance"),
            "rule `budget`: total_by is `[balance]`, expected nothing, as the total is given"
        );
        assert!(
            message("budget:total_relative_to_init=2,total_by=slope")
                .ends_with("the total is given")
        );
        assert_eq!(
            message("budget:total_by=cap"),
            "rule `budget`: total_by is `cap`, expected balance or slope, with parameters as \
             [balance:set_point=0.5]"
        );
        assert_eq!(
            message("budget:total_by=[balance:action=cap]"),
            "rule `balance`: action is `cap`, expected nothing, as the budget holds by caps"
        );
        assert!(
            message("budget:total_by=[slope:set_point=-1]").starts_with("rule `slope`: set_point")
        );
        for text in
            ["budget:total_by=[slope:set_point=3,min=0.25],interval=5", "budget:total_by=[balance]"]
        {
            assert_eq!(Rule::parse(text).unwrap().label(), text);
        }
    }
}
