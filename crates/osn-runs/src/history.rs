//! What was decided when, read back from a record.

use std::collections::BTreeMap;

use osn_core::act::Action;

use crate::event::Event;

/// The decisions of a run, layer by layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    layers: BTreeMap<(String, String), Vec<Turn>>,
    end: u64,
}

/// One decision about one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Optimizer steps done when it was taken; 0 is the start.
    pub step: u64,
    /// What was to be done from then on.
    pub to: String,
    /// Why, in words and numbers.
    pub reason: String,
}

impl History {
    /// Reads the decisions of a record; its last step is where the last ones end.
    pub fn of(events: &[Event]) -> Self {
        let mut history = Self::default();
        for event in events {
            history.end = history.end.max(event.step());
            if let Event::Decision { step, network, path, to, reason, .. } = event {
                let turns = history.layers.entry((network.clone(), path.clone())).or_default();
                turns.push(Turn { step: *step, to: to.clone(), reason: reason.clone() });
            }
        }
        history
    }

    /// For each layer, its network and path, the decision in force after `step` steps.
    pub fn at(&self, step: u64) -> impl Iterator<Item = (&str, &str, &Turn)> {
        self.layers.iter().filter_map(move |((network, path), turns)| {
            let turn = turns.iter().rev().find(|turn| turn.step <= step)?;
            Some((network.as_str(), path.as_str(), turn))
        })
    }

    /// The steps in the run.
    pub fn steps(&self) -> u64 {
        self.end
    }

    /// The share of the steps at which a layer was constrained, in [0, 1], as the mean over the layers;
    /// `None` without any decision.
    pub fn duty(&self) -> Option<f64> {
        let stretches: Vec<(u64, bool)> = self.stretches().collect();
        let total: u64 = stretches.iter().map(|(steps, _)| steps).sum();
        let held: u64 = stretches.iter().filter(|(_, held)| *held).map(|(steps, _)| steps).sum();
        (total > 0).then(|| held as f64 / total as f64)
    }

    /// The mean number of steps between two switches of a layer between constrained and unconstrained;
    /// the last stretch ends with the run. `None` without any decision.
    pub fn dwell(&self) -> Option<f64> {
        let (count, total) =
            self.stretches().fold((0_u64, 0), |(n, sum), (it, _)| (n + 1, sum + it));
        (count > 0).then(|| total as f64 / count as f64)
    }

    /// The lengths of the stretches without a switch, and whether the layer was constrained in them.
    fn stretches(&self) -> impl Iterator<Item = (u64, bool)> {
        self.layers.values().flat_map(|turns| stretches(turns, self.end))
    }
}

fn stretches(turns: &[Turn], end: u64) -> Vec<(u64, bool)> {
    let is_held = |turn: &Turn| !Action::leaves_sigma_free(&turn.to);
    let mut stretches = Vec::new();
    for same in turns.chunk_by(|a, b| is_held(a) == is_held(b)) {
        stretches.push((same[0].step, is_held(&same[0])));
    }
    let ends: Vec<u64> = stretches.iter().skip(1).map(|(step, _)| *step).chain([end]).collect();
    let lengths = stretches.into_iter().zip(ends);
    let lengths = lengths.map(|((step, held), end)| (end.saturating_sub(step), held));
    lengths.filter(|(steps, _)| *steps > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(step: u64, path: &str, to: &str) -> Event {
        Event::Decision {
            step,
            network: "discriminator".to_owned(),
            path: path.to_owned(),
            from: "nothing".to_owned(),
            to: to.to_owned(),
            reason: format!("because of {step}"),
        }
    }

    fn history() -> History {
        let end = Event::Eval {
            step: 100,
            metrics: BTreeMap::new(),
            curve: BTreeMap::new(),
            real_vs_real: BTreeMap::new(),
            wall_secs: 0.0,
        };
        // One layer is held from 20 to 70, with a new target between; the other one throughout.
        History::of(&[
            decision(0, "a", "off"),
            decision(0, "b", "hard cap at 1"),
            decision(20, "a", "normalize to 2"),
            decision(40, "a", "normalize to 3"),
            decision(70, "a", "off"),
            end,
        ])
    }

    #[test]
    fn the_decision_that_stood_is_the_last_one_before() {
        let history = history();
        let at =
            |step| history.at(step).map(|(_, path, turn)| (path, turn.step)).collect::<Vec<_>>();
        assert_eq!(at(0), [("a", 0), ("b", 0)]);
        assert_eq!(at(69), [("a", 40), ("b", 0)]);
        assert_eq!(at(1_000), [("a", 70), ("b", 0)]);
    }

    #[test]
    fn the_duty_is_the_part_of_the_time_held() {
        assert_eq!(history().duty(), Some((50.0 + 100.0) / 200.0));
        assert_eq!(History::default().duty(), None);
    }

    #[test]
    fn a_layer_that_was_let_go_is_not_held() {
        let let_go = Action::Keep { scale: 0.4 }.to_string();
        let decisions = [
            decision(0, "a", "normalize to 1"),
            decision(30, "a", &let_go),
            decision(90, "a", "off"),
        ];
        assert_eq!(History::of(&decisions).duty(), Some(30.0 / 90.0));
    }

    #[test]
    fn a_new_target_is_no_switch() {
        // 20 left, 50 held, 30 left, and 100 held.
        assert_eq!(history().dwell(), Some(200.0 / 4.0));
    }
}
