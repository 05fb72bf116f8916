//! The rule `static`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::decision_rule::{Decision, DecisionRule};
use crate::decide::doc::{ParameterDoc, RuleDoc};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{NamedRule, named};
use crate::decide::text::{Text, Words};
use crate::layer::fact::Fact;
use crate::layer::facts::Layer;
use crate::layer::globs::Globs;
use crate::layer::kind::Kind;
use crate::layer::select::{BLOCK_EXPECTED, Position, Select};
use crate::number::exact;

/// Gives one action to the layers that it selects, and leaves the others unconstrained.
///
/// As text the rule has parameters that select. In a file of [`Rules`](crate::decide::Rules) every rule has a
/// selection, so there `static` has no such parameters.
///
/// Gogianu et al. 2021 normalize only the penultimate layer of a Q-network: `static:position=penultimate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Static {
    /// Which layers. Default: all.
    pub select: Select,
    /// What is done to them. Default: normalize to 1.
    pub action: Action,
}

impl Default for Static {
    fn default() -> Self {
        Self { select: Select::default(), action: Action::Normalize { target: 1.0 } }
    }
}

const ACTIONS: &str = "one of normalize, cap, scale_update, cap_update, off";

impl NamedRule for Static {
    const DOC: RuleDoc = RuleDoc {
        name: "static",
        sentence: "Gives one action to the layers selected by path, block, kind, network, position and facts.",
        parameters: &[
            ParameterDoc::list("path", "glob of the paths to take, such as blocks.**.weight"),
            ParameterDoc::list("exclude", "glob of the paths to leave out"),
            ParameterDoc::list("block", "number from 0 of the blocks to take, such as heads"),
            ParameterDoc::list("kind", "kind of the layers to take, such as linear or conv"),
            ParameterDoc::list("network", "name of the network to take layers of"),
            ParameterDoc::list(
                "position",
                "first, last, penultimate, largest or an index from 0, within the network",
            ),
            ParameterDoc::list(
                "fact",
                "normalized (a normalization follows), residual, output or embedding",
            ),
            ParameterDoc::list("without", "fact that must not hold for the layers"),
            ParameterDoc::new(
                "action",
                "normalize",
                "normalize, cap, scale_update, cap_update or off",
            ),
            ParameterDoc::new(
                "target",
                "1",
                "the σ to normalize to, to cap at or to scale updates by",
            ),
            ParameterDoc::new("sharpness", "inf", "how sharp a cap's corner is; inf is a hard cap"),
        ],
    };

    fn read(text: &Text) -> Result<Self, RuleError> {
        let select = Select {
            paths: Globs::new(text.pairs.all("path"))?,
            exclude: Globs::new(text.pairs.all("exclude"))?,
            blocks: text.parse_all("block", BLOCK_EXPECTED)?,
            kinds: text.parse_all("kind", &Kind::expected())?,
            networks: text.pairs.all("network").map(str::to_owned).collect(),
            positions: text.parse_all("position", Position::EXPECTED)?,
            facts: text.parse_all("fact", Fact::EXPECTED)?,
            without: text.parse_all("without", Fact::EXPECTED)?,
        };
        Ok(Self { select, action: read_action(text)? })
    }

    fn write(&self, words: &mut Words) {
        words.list("path", self.select.paths.patterns());
        words.list("exclude", self.select.exclude.patterns());
        words.list("block", &self.select.blocks);
        words.list("kind", &self.select.kinds);
        words.list("network", &self.select.networks);
        words.list("position", &self.select.positions);
        words.list("fact", &self.select.facts);
        words.list("without", &self.select.without);
        if self.action.name() != "normalize" {
            words.list("action", [self.action.name()]);
        }
        words.list("target", self.action.target().filter(|it| *it != 1.0).map(exact));
        if let Action::Cap { sharpness, .. } = self.action {
            words.value("sharpness", &sharpness, &f64::INFINITY);
        }
    }
}

impl DecisionRule for Static {
    type Memory = ();

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        Self::DOC.check_action(self.action)
    }

    fn excludes(&self, layer: &Layer) -> Option<String> {
        self.select.mismatch(layer).map(|why| format!("not selected: {why}"))
    }

    fn begin(&self, _: &[Layer]) {}

    fn at_attach(&self, _: &Layer) -> Decision {
        Decision { action: self.action, reason: self.reason() }
    }
}

impl Static {
    fn reason(&self) -> String {
        if self.select == Select::default() {
            return format!("static: {}", self.action);
        }
        format!("selected by {}: {}", self.select, self.action)
    }
}

/// A parameter that the chosen action does not have is refused, not dropped.
fn read_action(text: &Text) -> Result<Action, RuleError> {
    let name = text.pairs.one("action").unwrap_or("normalize");
    let target = text.value("target", "1", 1.0)?;
    let sharpness = text.value("sharpness", "inf", f64::INFINITY)?;
    let (action, unused): (_, &[&str]) = match name {
        "off" => (Action::Off, &["target", "sharpness"]),
        "normalize" => (Action::Normalize { target }, &["sharpness"]),
        "cap" => (Action::Cap { target, sharpness }, &[]),
        "scale_update" => (Action::ScaleUpdate { target }, &["sharpness"]),
        "cap_update" => (Action::CapUpdate { target }, &["sharpness"]),
        _ => return Err(text.bad_value("action", name, ACTIONS)),
    };
    match unused.iter().find_map(|key| Some((key, text.pairs.one(key)?))) {
        Some((key, value)) => {
            Err(text.bad_value(key, value, format!("nothing, as action {name} has no {key}")))
        }
        None => Ok(action),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::{assert_bad_value, layers};
    use crate::decide::rule::Rule;

    #[test]
    fn one_head_is_taken_by_its_number() {
        let heads = layers(4).into_iter().enumerate().map(|(place, layer)| {
            // The second weight is seen as two heads, the third as one piece.
            let (index, block) = [(0, None), (1, Some(0)), (1, Some(1)), (2, None)][place];
            Layer { path: format!("{index}.weight"), index, block, ..layer }
        });
        let decider =
            Decider::new(Rule::parse("static:path=1.*,block=1").unwrap(), heads.collect()).unwrap();
        let is_held: Vec<bool> =
            decider.decisions().iter().map(|decision| decision.action != Action::Off).collect();
        assert_eq!(is_held, [false, false, true, false]);
        assert_bad_value("static:block=first", "block");
    }

    fn q_network() -> Vec<Layer> {
        let mut layers = layers(3);
        for (layer, (path, kind)) in layers.iter_mut().zip([
            ("body.conv.weight", Kind::Conv),
            ("body.hidden.weight", Kind::Linear),
            ("head.weight", Kind::Linear),
        ]) {
            (layer.path, layer.kind) = (path.to_owned(), kind);
            (layer.network, layer.is_largest) = ("q".to_owned(), layer.index == 1);
            layer.architecture.is_output = layer.index == 2;
        }
        layers
    }

    fn actions(text: &str) -> [Action; 3] {
        let decider = Decider::new(Rule::parse(text).unwrap(), q_network()).unwrap();
        [0, 1, 2].map(|place: usize| decider.decisions()[place].action)
    }

    #[test]
    fn each_selector_takes_its_layers() {
        for (text, expected) in [
            ("static", [true, true, true]),
            ("static:position=penultimate", [false, true, false]),
            ("static:position=first,position=last", [true, false, true]),
            ("static:position=0", [true, false, false]),
            ("static:path=body.**", [true, true, false]),
            ("static:path={head,body.conv}.weight", [true, false, true]),
            ("static:exclude=body.**", [false, false, true]),
            ("static:kind=linear", [false, true, true]),
            ("static:network=q", [true, true, true]),
            ("static:kind=linear,position=largest", [false, true, false]),
            ("static:fact=output", [false, false, true]),
            ("static:kind=linear,without=output", [false, true, false]),
        ] {
            assert_eq!(actions(text).map(|action| action != Action::Off), expected, "{text}");
        }
    }

    #[test]
    fn the_selected_get_the_action_and_the_others_none() {
        let [first, second, _] =
            actions("static:action=cap,target=2,sharpness=8,position=penultimate");
        assert_eq!(second, Action::Cap { target: 2.0, sharpness: 8.0 });
        assert_eq!(first, Action::Off);
        let updates = actions("static:action=cap_update,target=2");
        assert_eq!(updates, [Action::CapUpdate { target: 2.0 }; 3]);
    }

    #[test]
    fn one_that_selects_nothing_is_refused() {
        for text in ["path=nothing.*", "network=Q", "kind=embedding", "kind=conv,position=last"] {
            let rule = Rule::parse(&format!("static:{text}")).unwrap();
            let refused = Decider::new(rule, q_network());
            assert!(matches!(refused, Err(RuleError::Idle { number: 1, .. })), "{text}");
        }
    }

    #[test]
    fn a_parameter_that_the_action_lacks_is_refused() {
        for (text, bad) in [
            ("sharpness=8", "sharpness"),
            ("target=2,action=off", "target"),
            ("action=clip", "action"),
        ] {
            assert_bad_value(&format!("static:{text}"), bad);
        }
    }
}
