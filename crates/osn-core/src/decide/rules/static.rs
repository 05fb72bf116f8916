//! The rule `static`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::checks::checked;
use crate::decide::decision_rule::{Decision, DecisionRule};
use crate::decide::doc::{ParameterDoc, RuleDoc};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{NamedRule, named};
use crate::decide::text::{Text, Words};
use crate::layer::facts::Layer;
use crate::layer::globs::Globs;
use crate::layer::kind::Kind;
use crate::layer::select::{Position, Select};

/// Gives one action to the layers that are selected by what they are, and leaves the others as they are.
///
/// Its selection is its own because a rule in text has no other place for one. In a file of
/// [`Rules`](crate::decide::Rules) every rule has a selection, so `static` is written there without these
/// parameters.
///
/// Gogianu et al. 2021 normalize a single layer of a Q-network this way, the second to last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Static {
    /// Which layers. Default: all.
    pub select: Select,
    /// What they get. Default: normalize to 1.
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
        sentence: "Gives one action to the layers selected by path, kind, network and position.",
        parameters: &[
            ParameterDoc::list("path", "glob of the paths to take, such as blocks.**.weight"),
            ParameterDoc::list("exclude", "glob of the paths to leave out"),
            ParameterDoc::list("kind", "kind of the layers to take, such as linear or conv"),
            ParameterDoc::list("network", "name of the network to take layers of"),
            ParameterDoc::list(
                "position",
                "first, last, penultimate, largest or an index from 0, within the network",
            ),
            ParameterDoc {
                name: "action",
                default: "normalize",
                meaning: "what the selected layers get: normalize, cap, scale_update, cap_update or off",
            },
            ParameterDoc {
                name: "target",
                default: "1",
                meaning: "the σ to normalize to, to cap at, or at which updates stay as they are",
            },
            ParameterDoc {
                name: "sharpness",
                default: "inf",
                meaning: "how sharp a cap's corner is; inf is a hard cap",
            },
        ],
    };

    fn read(text: &Text) -> Result<Self, RuleError> {
        let select = Select {
            paths: Globs::new(text.all("path"))?,
            exclude: Globs::new(text.all("exclude"))?,
            kinds: text.parse_all("kind", &Kind::expected())?,
            networks: text.all("network").map(str::to_owned).collect(),
            positions: text.parse_all("position", Position::EXPECTED)?,
        };
        Ok(Self { select, action: read_action(text)? })
    }

    fn write(&self, words: &mut Words) {
        words.list("path", self.select.paths.patterns());
        words.list("exclude", self.select.exclude.patterns());
        words.list("kind", &self.select.kinds);
        words.list("network", &self.select.networks);
        words.list("position", &self.select.positions);
        match self.action {
            Action::Off => words.list("action", ["off"]),
            Action::Normalize { target } => words.value("target", &target, &1.0),
            Action::Cap { target, sharpness } => {
                words.list("action", ["cap"]);
                words.value("target", &target, &1.0);
                words.value("sharpness", &sharpness, &f64::INFINITY);
            }
            Action::ScaleUpdate { target } | Action::CapUpdate { target } => {
                words.list("action", [self.action.name()]);
                words.value("target", &target, &1.0);
            }
        }
    }
}

impl DecisionRule for Static {
    type Memory = ();

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        checked(&Self::DOC, self.action)
    }

    fn interval(&self) -> Option<u64> {
        None
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
    let name = text.one("action").unwrap_or("normalize");
    let action = match name {
        "off" => Action::Off,
        "normalize" => Action::Normalize { target: text.value("target", "1", 1.0)? },
        "cap" => Action::Cap {
            target: text.value("target", "1", 1.0)?,
            sharpness: text.value("sharpness", "inf", f64::INFINITY)?,
        },
        "scale_update" => Action::ScaleUpdate { target: text.value("target", "1", 1.0)? },
        "cap_update" => Action::CapUpdate { target: text.value("target", "1", 1.0)? },
        _ => return Err(text.bad_value("action", name, ACTIONS)),
    };
    let unused: &[&str] = match action {
        Action::Off => &["target", "sharpness"],
        Action::Normalize { .. } | Action::ScaleUpdate { .. } | Action::CapUpdate { .. } => {
            &["sharpness"]
        }
        Action::Cap { .. } => &[],
    };
    match unused.iter().find_map(|key| Some((key, text.one(key)?))) {
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
    use crate::decide::rule::Rule;

    fn layer(path: &str, kind: Kind, index: usize) -> Layer {
        Layer {
            path: path.to_owned(),
            network: "q".to_owned(),
            kind,
            shape: vec![4, 4],
            index,
            count: 3,
            is_largest: index == 1,
            block: None,
        }
    }

    fn q_network() -> [Layer; 3] {
        [
            layer("body.conv.weight", Kind::Conv, 0),
            layer("body.hidden.weight", Kind::Linear, 1),
            layer("head.weight", Kind::Linear, 2),
        ]
    }

    fn decisions(text: &str) -> [Decision; 3] {
        let decider = Decider::new(Rule::parse(text).unwrap(), q_network().to_vec()).unwrap();
        decider.decisions().to_vec().try_into().unwrap()
    }

    fn held(text: &str) -> [bool; 3] {
        decisions(text).map(|decision| decision.action != Action::Off)
    }

    #[test]
    fn each_selector_takes_its_layers() {
        assert_eq!(held("static"), [true, true, true]);
        assert_eq!(held("static:position=penultimate"), [false, true, false]);
        assert_eq!(held("static:position=first,position=last"), [true, false, true]);
        assert_eq!(held("static:position=0"), [true, false, false]);
        assert_eq!(held("static:path=body.**"), [true, true, false]);
        assert_eq!(held("static:path={head,body.conv}.weight"), [true, false, true]);
        assert_eq!(held("static:exclude=body.**"), [false, false, true]);
        assert_eq!(held("static:kind=linear"), [false, true, true]);
        assert_eq!(held("static:network=q"), [true, true, true]);
        assert_eq!(held("static:kind=linear,position=largest"), [false, true, false]);
    }

    #[test]
    fn the_selected_get_the_action_and_the_others_the_selector_that_left_them_out() {
        let [first, second, _] =
            decisions("static:action=cap,target=2,sharpness=8,position=penultimate");
        assert_eq!(second.action, Action::Cap { target: 2.0, sharpness: 8.0 });
        assert_eq!(second.reason, "selected by position penultimate: soft cap at 2 (sharpness 8)");
        assert_eq!(first.action, Action::Off);
        assert_eq!(first.reason, "not selected: position 0 (from 0) of 3 is not penultimate");
        assert_eq!(decisions("static:action=off")[0].reason, "static: off");
    }

    #[test]
    fn one_that_selects_nothing_is_refused_with_what_there_is() {
        for (text, why) in [
            ("path=nothing.*", "path body.conv.weight is not nothing.*"),
            ("exclude=**", "path body.conv.weight is excluded by **"),
            ("network=Q", "network q is not Q"),
            ("kind=embedding", "kind conv is not embedding"),
            ("position=99999", "position 0 (from 0) of 3 is not 99999"),
            ("kind=conv,position=last", "position 0 (from 0) of 3 is not last"),
        ] {
            let rule = Rule::parse(&format!("static:{text}")).unwrap();
            let error = Decider::new(rule, q_network().to_vec()).unwrap_err().to_string();
            let expected = format!(
                "rule 1, static:{text}, decides no layer: of body.conv.weight, body.hidden.weight, \
                 head.weight it leaves each; the first: not selected: {why}"
            );
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn an_update_can_be_capped_too() {
        let [first, ..] = decisions("static:action=cap_update,target=2");
        assert_eq!(first.action, Action::CapUpdate { target: 2.0 });
        let text = "static:action=cap_update,target=2";
        assert_eq!(Rule::parse(text).unwrap().label(), text);
    }

    #[test]
    fn a_parameter_that_the_action_lacks_is_refused() {
        let message = |text: &str| Rule::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("static:sharpness=8"),
            "rule `static`: sharpness is `8`, expected nothing, as action normalize has no sharpness"
        );
        assert_eq!(
            message("static:target=2,action=off"),
            "rule `static`: target is `2`, expected nothing, as action off has no target"
        );
        assert_eq!(
            message("static:action=clip"),
            "rule `static`: action is `clip`, expected one of normalize, cap, scale_update, \
             cap_update, off"
        );
    }
}
