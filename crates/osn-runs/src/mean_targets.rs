//! At what size a run held each layer, whenever it did.

use std::collections::BTreeMap;

use crate::event::Event;

/// A layer of a run, and at what size it was held.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanTarget {
    /// Its network.
    pub network: String,
    /// Its path, with the block behind it where there are several.
    pub path: String,
    /// `None` where it had no target at any logged step.
    pub held: Option<Held>,
}

/// How a layer was held.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The name of the last action that had a target.
    pub action: String,
    /// The geometric mean of the targets over the logged steps at which there was one.
    pub target: f64,
}

/// The layers of a record, by network and path.
pub fn mean_targets(events: &[Event]) -> Vec<MeanTarget> {
    let mut seen: BTreeMap<(&str, &str), (&str, f64, u32)> = BTreeMap::new();
    for event in events {
        let Event::Layer { network, path, target, action, .. } = event else { continue };
        let (last, sum, count) = seen.entry((network, path)).or_default();
        if let Some(target) = target.filter(|it| it.is_finite() && *it > 0.0) {
            (*last, *sum, *count) = (action, *sum + target.ln(), *count + 1);
        }
    }
    let mean =
        |((network, path), (action, sum, count)): ((&str, &str), (&str, f64, u32))| MeanTarget {
            network: network.to_owned(),
            path: path.to_owned(),
            held: (count > 0).then(|| Held {
                action: action.to_owned(),
                target: (sum / f64::from(count)).exp(),
            }),
        };
    seen.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(step: u64, path: &str, target: Option<f64>) -> Event {
        Event::Layer {
            step,
            network: "d".to_owned(),
            path: path.to_owned(),
            sigma: 3.0,
            residual: 0.0,
            stable_rank: 1.0,
            target,
            scale: 1.0,
            elasticity: 0.0,
            action: if target.is_some() { "cap" } else { "off" }.to_owned(),
            reason: String::new(),
            evidence: None,
        }
    }

    #[test]
    fn a_layer_has_the_geometric_mean_of_its_targets_and_one_without_has_none() {
        let events = [
            layer(10, "a", Some(1.0)),
            layer(10, "b", None),
            layer(20, "a", Some(4.0)),
            layer(20, "b", None),
            layer(30, "a", None),
            layer(30, "c", Some(f64::NAN)),
        ];
        let [a, b, c] = &mean_targets(&events)[..] else { panic!() };
        assert_eq!([&a.path, &b.path, &c.path], ["a", "b", "c"]);
        let held = a.held.as_ref().unwrap();
        assert_eq!(held.action, "cap");
        assert!((held.target - 2.0).abs() < 1e-12);
        assert_eq!((&b.held, &c.held), (&None, &None));
        assert_eq!(mean_targets(&[]), []);
    }
}
