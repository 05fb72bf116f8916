//! At what size a run held each layer, whenever it did.

use std::collections::BTreeMap;

use crate::event::Event;

/// A layer that a run held.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanTarget {
    /// Its network.
    pub network: String,
    /// Its path, with the block behind it where there are several.
    pub path: String,
    /// The name of the last action that had a target.
    pub action: String,
    /// The geometric mean of its targets over the logged steps at which it had one.
    pub target: f64,
}

/// The layers that had a target at a logged step, by network and path.
pub fn mean_targets(events: &[Event]) -> Vec<MeanTarget> {
    let mut seen: BTreeMap<(&str, &str), (&str, f64, u32)> = BTreeMap::new();
    for event in events {
        let Event::Layer { network, path, target: Some(target), action, .. } = event else {
            continue;
        };
        if target.is_finite() && *target > 0.0 {
            let (last, sum, count) = seen.entry((network, path)).or_default();
            (*last, *sum, *count) = (action, *sum + target.ln(), *count + 1);
        }
    }
    let mean =
        |((network, path), (action, sum, count)): ((&str, &str), (&str, f64, u32))| MeanTarget {
            network: network.to_owned(),
            path: path.to_owned(),
            action: action.to_owned(),
            target: (sum / f64::from(count)).exp(),
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
    fn a_layer_has_the_geometric_mean_of_its_targets_and_one_without_is_left_out() {
        let events = [
            layer(10, "a", Some(1.0)),
            layer(10, "b", None),
            layer(20, "a", Some(4.0)),
            layer(20, "b", None),
            layer(30, "a", None),
            layer(30, "c", Some(f64::NAN)),
        ];
        let [only] = &mean_targets(&events)[..] else { panic!() };
        assert_eq!((only.path.as_str(), only.action.as_str()), ("a", "cap"));
        assert!((only.target - 2.0).abs() < 1e-12);
        assert_eq!(mean_targets(&[]), []);
    }
}
