//! What `auto` does with stacks of blocks, such as those of a Transformer: it holds the blocks of a stack until the
//! gradient reaches the first of them, and again where it vanishes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::checks::is_target;
use crate::decide::control::relative_to_init::smoothed;
use crate::decide::decision_rule::{Context, Decision};
use crate::decide::evidence::Evidence;
use crate::layer::facts::Layer;
use crate::layer::measurement::Measurement;
use crate::number::concise;

// Found on the regimes of `nmt`, on a seed other than those that they are reported with.
/// Below this ratio of gradients, first block to last, a stack that was let go is held again.
const VANISHING: f64 = 0.03;
/// Above it, a stack that is held is let go.
const ARRIVING: f64 = 0.3;
/// The optimizer steps for which a stack is held at least.
const DWELL: u64 = 100;
/// The weight of the old mean in the exponential mean of the logarithm of the ratio.
const SMOOTHING: f64 = 0.5;
/// What is done to a held layer.
const HOLD: Action = Action::Normalize { target: 1.0 };

/// What is remembered of one stack.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flow {
    is_held: bool,
    /// The step since which it is held or not.
    since: u64,
    /// The mean of the logarithm of the ratio of gradients, first block to last.
    log_ratio: Option<f64>,
}

/// The places of the layers of each block of a stack, by the block's number.
type Blocks = BTreeMap<usize, Vec<usize>>;

/// Holds the blocks of each stack while the gradient does not reach the first of them; the equations are in the
/// documentation of [`Auto`](crate::decide::Auto).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradientFlowControl {
    /// By the name of the stack.
    flows: BTreeMap<String, Flow>,
    /// The scale of each layer that was let go, by its place.
    kept: Vec<Option<f64>>,
}

impl GradientFlowControl {
    pub(crate) fn begin(layers: &[Layer]) -> Self {
        Self { flows: BTreeMap::new(), kept: vec![None; layers.len()] }
    }

    pub(crate) fn fits(&self, n_layers: usize) -> bool {
        self.kept.len() == n_layers
            && self.kept.iter().flatten().all(|scale| is_target(*scale))
            && self.flows.values().all(|flow| flow.log_ratio.is_none_or(f64::is_finite))
    }

    /// Why a layer is in no block, if it is in none.
    pub(crate) fn excludes(layer: &Layer) -> Option<String> {
        let is_in_block = !layer.architecture.is_output && block(layer).is_some();
        (!is_in_block).then(|| "in no numbered block: unconstrained".to_owned())
    }

    pub(crate) fn at_attach() -> Decision {
        Decision { action: HOLD, reason: Flow::START.reason("") }
    }

    pub(crate) fn decide(&mut self, context: &Context) -> Vec<Decision> {
        let Context { layers, measurements, step, .. } = *context;
        let alone = Decision::off("the only block of its stack: unconstrained");
        let mut decisions = vec![alone; layers.len()];
        for ((network, stack), blocks) in stacks(layers) {
            let flow = self.flows.entry(name_of(network, stack)).or_insert(Flow::START);
            flow.follow(step, ratio(&blocks, measurements));
            let reason = flow.reason(stack);
            for place in blocks.into_values().flatten() {
                let action = action(&mut self.kept[place], flow.is_held, measurements[place].sigma);
                decisions[place] = Decision { action, reason: reason.clone() };
            }
        }
        decisions
    }

    /// How much of the gradient reaches the first block of each layer's stack.
    pub(crate) fn evidence(&self, layers: &[Layer]) -> Vec<Option<Evidence>> {
        let of_layer = |layer: &Layer| {
            let (stack, _) = block(layer)?;
            let log_ratio = self.flows.get(&name_of(&layer.network, stack))?.log_ratio?;
            let name = format!("gradient of {stack}, first block by last");
            Some(Evidence::new(&name, log_ratio.exp(), [VANISHING, ARRIVING]))
        };
        layers.iter().map(of_layer).collect()
    }
}

/// The name of a stack among those of all networks.
fn name_of(network: &str, stack: &str) -> String {
    format!("{network}/{stack}")
}

impl Flow {
    const START: Self = Self { is_held: true, since: 0, log_ratio: None };

    /// Takes in the ratio of gradients since the last decision, if there is one.
    fn follow(&mut self, step: u64, ratio: Option<f64>) {
        let Some(log_ratio) = ratio.map(f64::ln).filter(|it| it.is_finite()) else { return };
        let mean = smoothed(self.log_ratio, log_ratio, SMOOTHING);
        self.log_ratio = Some(mean);
        let is_held = if self.is_held {
            mean <= ARRIVING.ln() || step.saturating_sub(self.since) < DWELL
        } else {
            mean < VANISHING.ln()
        };
        if is_held != self.is_held {
            (self.is_held, self.since) = (is_held, step);
        }
    }

    fn reason(&self, stack: &str) -> String {
        let Some(log_ratio) = self.log_ratio else {
            return "held until the gradient is seen to reach the first block".to_owned();
        };
        let (ratio, since) = (concise(log_ratio.exp()), self.since);
        let done = if self.is_held { "held" } else { "let go, at the scale it had," };
        format!(
            "the gradient at the first block of {stack} is {ratio} of that at the last: {done} since step {since}"
        )
    }
}

/// What is done to a layer of this `sigma`. One that is let go keeps the scale that it has then, so that no function
/// changes; a σ that is no size of a weight tells no scale, and the layer stays held.
fn action(kept: &mut Option<f64>, is_held: bool, sigma: f64) -> Action {
    if is_held {
        *kept = None;
    } else if kept.is_none() && is_target(sigma) {
        *kept = Some(HOLD.scale(1.0, sigma)).filter(|scale| is_target(*scale));
    }
    kept.map_or(HOLD, |scale| Action::Keep { scale })
}

/// The path of the stack that a layer is in, and the number of its block there: `decoder.3.attention.query.weight` is in
/// block 3 of `decoder`.
fn block(layer: &Layer) -> Option<(&str, usize)> {
    let parts = || layer.path.split('.');
    let (before, number) =
        parts().enumerate().find_map(|(place, part)| Some((place, part.parse().ok()?)))?;
    let length: usize = parts().take(before).map(|part| part.len() + 1).sum();
    Some((&layer.path[..length.saturating_sub(1)], number))
}

/// The stacks of at least two blocks, by network and path.
fn stacks(layers: &[Layer]) -> BTreeMap<(&str, &str), Blocks> {
    let mut stacks: BTreeMap<_, Blocks> = BTreeMap::new();
    for (place, layer) in layers.iter().enumerate() {
        if let Some((stack, number)) = block(layer) {
            let blocks = stacks.entry((layer.network.as_str(), stack)).or_default();
            blocks.entry(number).or_default().push(place);
        }
    }
    stacks.retain(|_, blocks| blocks.len() > 1);
    stacks
}

/// The size of the gradient at the first block of a stack in units of that at the last.
fn ratio(blocks: &Blocks, measurements: &[Measurement]) -> Option<f64> {
    let (first, last) = (blocks.first_key_value()?.1, blocks.last_key_value()?.1);
    Some(size(first, measurements) / size(last, measurements))
}

/// `√Σ (σ·‖∇W‖)²` over the layers of a block that a gradient reached: how much the loss changes as their weights change by a
/// part of their size, whatever their scale.
fn size(layers: &[usize], measurements: &[Measurement]) -> f64 {
    let square = |&place: &usize| {
        let Measurement { sigma, gradient, .. } = measurements[place];
        let size = sigma * gradient?.mean_norm;
        (!size.is_nan()).then_some(size * size)
    };
    layers.iter().filter_map(square).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::{layers, read_back};
    use crate::decide::error::RuleError;
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;
    use crate::layer::measurement::GradientStatistics;

    /// `auto` on layers of these paths.
    fn decider(paths: &[&str]) -> Result<Decider, RuleError> {
        let mut layers = layers(paths.len());
        for (layer, path) in layers.iter_mut().zip(paths) {
            layer.path = (*path).to_owned();
        }
        Decider::new(Rule::parse("auto:task=sequence").unwrap(), layers)
    }

    fn measured(sigma: f64, mean_norm: f64) -> Measurement {
        let gradient = GradientStatistics { mean_norm, ..GradientStatistics::default() };
        Measurement::new(sigma, 1e-3).with_gradient(gradient)
    }

    /// The actions at a step, of layers of these σ and norms of gradients.
    fn decide(decider: &mut Decider, step: u64, seen: &[(f64, f64)]) -> Vec<Action> {
        let measurements: Vec<_> =
            seen.iter().map(|&(sigma, norm)| measured(sigma, norm)).collect();
        let decisions = decider.decide(step, &measurements, &Signals::new());
        decisions.iter().map(|decision| decision.action).collect()
    }

    fn keep(scale: f64) -> Action {
        Action::Keep { scale }
    }

    /// What a stack of two blocks does at each decision of these ratios, from step 10 on.
    fn is_held(ratios: impl IntoIterator<Item = f64>) -> Vec<bool> {
        let mut decider = decider(&["encoder.0.weight", "encoder.1.weight"]).unwrap();
        let decided = (10..).step_by(10).zip(ratios).map(|(step, ratio)| {
            decide(&mut decider, step, &[(2.0, ratio), (2.0, 1.0)]) == [HOLD; 2]
        });
        decided.collect()
    }

    #[test]
    fn blocks_are_found_by_the_first_number_of_a_path() {
        let mut layers = layers(4);
        let paths = ["decoder.11.attention.3.weight", "7.weight", "layers.x2.weight", "embedding"];
        for (layer, path) in layers.iter_mut().zip(paths) {
            layer.path = path.to_owned();
        }
        let found: Vec<_> = layers.iter().map(block).collect();
        assert_eq!(found, [Some(("decoder", 11)), Some(("", 7)), None, None]);
    }

    #[test]
    fn what_is_in_no_stack_is_unconstrained() {
        let paths = ["embedding.weight", "encoder.0.weight", "encoder.1.weight", "bridge.0.weight"];
        let mut decider = decider(&paths).unwrap();
        let decided = decide(&mut decider, 10, &[(2.0, 1.0); 4]);
        assert_eq!(decided, [Action::Off, HOLD, HOLD, Action::Off]);
    }

    #[test]
    fn a_network_without_numbered_blocks_is_refused() {
        assert!(matches!(decider(&["body.weight", "head.weight"]), Err(RuleError::Idle { .. })));
    }

    #[test]
    fn a_stack_is_held_from_the_start_for_a_hundred_steps_and_let_go_where_the_gradient_arrives() {
        let mut expected = [true; 30];
        expected[9..].fill(false);
        assert_eq!(is_held([0.5; 30]), expected);
        assert_eq!(is_held([0.2; 30]), [true; 30], "it does not arrive");
    }

    #[test]
    fn a_stack_is_held_again_where_the_gradient_vanishes() {
        let ratios = [0.5; 15].into_iter().chain([1e-4; 12]).chain([0.5; 20]);
        let held = is_held(ratios);
        assert!(!held[14] && held[16..27].iter().all(|it| *it), "{held:?}");
        assert!(held[..9].iter().all(|it| *it) && !held[46], "{held:?}");
        assert!(!is_held([0.5; 15].into_iter().chain([0.1; 30]))[44], "between the two");
    }

    #[test]
    fn each_stack_follows_its_own_gradient() {
        let paths = ["encoder.0.w", "encoder.1.w", "decoder.0.w", "decoder.1.w"];
        let mut decider = decider(&paths).unwrap();
        for step in (10..=200).step_by(10) {
            decide(&mut decider, step, &[(4.0, 1.0), (2.0, 2.0), (2.0, 1e-3), (2.0, 1.0)]);
        }
        let decided = decide(&mut decider, 210, &[(9.0, 1.0); 4]);
        assert_eq!(decided, [keep(0.25), keep(0.5), HOLD, HOLD]);
        let reason = &decider.decisions()[0].reason;
        let expected = "the gradient at the first block of encoder is 1 of that at the last";
        assert!(reason.starts_with(expected) && reason.ends_with("since step 100"), "{reason}");
    }

    #[test]
    fn a_layer_that_has_no_size_when_its_stack_is_let_go_is_held_until_it_has() {
        let mut decider = decider(&["0.a", "0.b", "1.a"]).unwrap();
        for step in (10..=100).step_by(10) {
            decide(&mut decider, step, &[(4.0, 1.0), (0.0, 8.0), (4.0, 1.0)]);
        }
        let decided = decide(&mut decider, 110, &[(5.0, 1.0), (f64::NAN, 8.0), (5.0, 1.0)]);
        assert_eq!(decided, [keep(0.25), HOLD, keep(0.25)]);
        let decided = decide(&mut decider, 120, &[(6.0, 1.0), (2.0, 8.0), (6.0, 1.0)]);
        assert_eq!(decided, [keep(0.25), keep(0.5), keep(0.25)]);
    }

    #[test]
    fn the_scale_of_a_weight_changes_no_decision() {
        // W times 8 has a gradient of an eighth: 0.4 arrives, 0.05 would not.
        let mut decider = decider(&["0.w", "1.w"]).unwrap();
        for step in (10..=100).step_by(10) {
            decide(&mut decider, step, &[(8.0, 0.05), (1.0, 1.0)]);
        }
        assert_eq!(decide(&mut decider, 110, &[(8.0, 0.05), (1.0, 1.0)]), [keep(0.125), keep(1.0)]);
    }

    #[test]
    fn what_is_missing_or_broken_moves_nothing() {
        for norm in [f64::NAN, f64::INFINITY, 0.0] {
            let mut decider = decider(&["0.w", "1.w"]).unwrap();
            for step in (10..300).step_by(10) {
                assert_eq!(decide(&mut decider, step, &[(2.0, norm), (2.0, norm)]), [HOLD; 2]);
            }
        }
        let mut half = decider(&["0.a", "0.b", "1.a"]).unwrap();
        for step in (10..=100).step_by(10) {
            decide(&mut half, step, &[(2.0, 1.0), (2.0, f64::NAN), (2.0, 1.0)]);
        }
        let decided = decide(&mut half, 110, &[(4.0, 1.0), (4.0, f64::NAN), (4.0, 1.0)]);
        assert_eq!(decided, [keep(0.5); 3], "an unused layer is left out");
    }

    #[test]
    fn a_saved_rule_goes_on_as_if_nothing_had_happened() {
        let mut original = decider(&["0.w", "1.w"]).unwrap();
        let seen = |step: u64| {
            let ratio = if step < 250 { 1.0 } else { 1e-4 };
            [(2.0 + step as f64 / 50.0, ratio), (2.0, 1.0)]
        };
        for step in (10..200).step_by(10) {
            decide(&mut original, step, &seen(step));
        }
        let mut copy = read_back(&original);
        for step in (200..400).step_by(10) {
            let (one, other) =
                (decide(&mut copy, step, &seen(step)), decide(&mut original, step, &seen(step)));
            assert_eq!(one, other);
        }
        assert_eq!(copy, original);
    }

    #[test]
    fn a_memory_that_no_decision_leaves_is_refused() {
        let sound = GradientFlowControl::begin(&layers(1));
        assert!(sound.fits(1) && !sound.fits(2));
        let flow = Flow { log_ratio: Some(f64::NAN), ..Flow::START };
        let broken = GradientFlowControl {
            flows: BTreeMap::from([("/encoder".to_owned(), flow)]),
            ..sound.clone()
        };
        let kept = vec![Some(-1.0)];
        assert!(!broken.fits(1) && !GradientFlowControl { kept, ..sound }.fits(1));
    }
}
