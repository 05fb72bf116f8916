//! What the shards tell the rules, as one.

use std::collections::BTreeMap;

use osn_core::decide::{Adversarial, Generalization, Signals};

use crate::together::fixed::{ABSENT, Fixed, NOT_FINITE, exponent_of};
use crate::together::team::{Call, Team, TeamError};
use crate::together::transport::Workers;

const SEPARATION: &str = "adversarial.separation";
const SLOPE: &str = "adversarial.input_gradient_norm";
const TRAIN: &str = "generalization.train_loss";
const HELD_OUT: &str = "generalization.held_out_loss";
const METRIC: &str = "metrics.";

/// Every number of some signals, by name.
fn numbers(signals: &Signals) -> BTreeMap<String, f64> {
    let adversarial = signals.adversarial.unwrap_or_default();
    let losses = signals.generalization;
    let named = [
        (SEPARATION, adversarial.separation),
        (SLOPE, adversarial.input_gradient_norm),
        (TRAIN, losses.map(|it| it.train_loss)),
        (HELD_OUT, losses.map(|it| it.held_out_loss)),
    ];
    let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let metrics = signals.metrics.iter();
    named.chain(metrics.map(|(name, value)| (format!("{METRIC}{name}"), *value))).collect()
}

/// The signals of such numbers.
fn signals(numbers: &BTreeMap<String, f64>) -> Signals {
    let of = |name: &str| numbers.get(name).copied();
    let (separation, input_gradient_norm) = (of(SEPARATION), of(SLOPE));
    let mut signals = Signals::new();
    if separation.is_some() || input_gradient_norm.is_some() {
        signals = signals.adversarial(Adversarial { separation, input_gradient_norm });
    }
    if let (Some(train_loss), Some(held_out_loss)) = (of(TRAIN), of(HELD_OUT)) {
        signals = signals.generalization(Generalization { train_loss, held_out_loss });
    }
    let metrics = numbers.iter().filter_map(|(name, it)| Some((name.strip_prefix(METRIC)?, *it)));
    metrics.fold(signals, |signals, (name, value)| signals.metric(name, value))
}

impl<W: Workers> Team<W> {
    /// The mean of each number over the shards that have it; NaN where one of those is not finite.
    pub(crate) fn mean_of(&mut self, told: &[Signals]) -> Result<Signals, TeamError> {
        self.meet(Call::Signals, None)?;
        let told: Vec<_> = told.iter().map(numbers).collect();
        let names = self.all_names(&told)?;
        let values = |name: &str| told.iter().filter_map(|it| it.get(name).copied()).collect();
        let values: Vec<Vec<f64>> = names.iter().map(|name| values(name)).collect();
        let own = |values: &Vec<f64>| values.iter().map(|v| exponent_of(*v)).max();
        let mut largest: Vec<i64> = values.iter().map(|it| own(it).unwrap_or(ABSENT)).collect();
        self.workers.max(&mut largest)?;
        let fixed = |largest: i64| {
            (largest != NOT_FINITE).then(|| Fixed::new(largest, self.n_shards().max(1)))
        };
        let fixed: Vec<Option<Fixed>> = largest.into_iter().map(fixed).collect();
        let counts = values.iter().map(|it| i64::try_from(it.len()).unwrap_or(i64::MAX));
        let units = values.iter().zip(&fixed);
        let units =
            units.map(|(values, it)| it.map_or(0, |it| values.iter().map(|v| it.units(*v)).sum()));
        let mut sums: Vec<i64> = units.chain(counts).collect();
        self.workers.sum(&mut sums)?;
        let (sums, counts) = sums.split_at(names.len());
        let mean = |index: usize| {
            fixed[index]
                .map_or(f64::NAN, |it| it.mean_of(sums[index], counts[index].unsigned_abs()))
        };
        Ok(signals(
            &names.into_iter().enumerate().map(|(index, name)| (name, mean(index))).collect(),
        ))
    }

    /// The names that any worker has, in order.
    fn all_names(&mut self, told: &[BTreeMap<String, f64>]) -> Result<Vec<String>, TeamError> {
        let own: Vec<&str> = told.iter().flat_map(BTreeMap::keys).map(String::as_str).collect();
        let own = own.join("\0").into_bytes();
        let mut length = [i64::try_from(own.len()).unwrap_or(i64::MAX)];
        self.workers.max(&mut length)?;
        let length = usize::try_from(length[0]).unwrap_or_default() + 1;
        let mut all = vec![0; length * self.count()];
        let place = all[self.rank() * length..].iter_mut();
        place.zip(own).for_each(|(all, own)| *all = i64::from(own));
        self.workers.sum(&mut all)?;
        let all: Vec<u8> = all.into_iter().filter_map(|byte| u8::try_from(byte).ok()).collect();
        let names = all.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let mut names: Vec<String> =
            names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::together::threads::Threads;

    fn told(shard: usize) -> Signals {
        let x = (shard as f64 + 0.3).ln();
        let signals = Signals::new()
            .metric("loss", x * 1e-7)
            .metric("large", x * 1e300)
            .generalization(Generalization { train_loss: x, held_out_loss: 2.0 * x });
        if shard == 4 { signals.metric("seldom", 7.25).metric("zero", 0.0) } else { signals }
    }

    /// The signals that `count` workers have in common.
    fn common(count: usize, shards: usize, told: impl Fn(usize) -> Signals + Sync) -> Signals {
        let mut all = Threads::run(count, |workers| {
            let mut team = Team::new(workers, shards).unwrap();
            let own: Vec<Signals> = team.shards().map(&told).collect();
            team.mean_of(&own).unwrap()
        });
        let first = all.swap_remove(0);
        assert!(all.iter().all(|other| format!("{other:?}") == format!("{first:?}")));
        first
    }

    #[test]
    fn signals_are_the_mean_over_the_shards_that_have_them_whoever_has_the_shards() {
        let alone = common(1, 9, told);
        for count in 2..=8 {
            assert_eq!(common(count, 9, told), alone, "{count} workers");
        }
        let exact = (0..9).map(|shard| told(shard).metrics["loss"]).sum::<f64>() / 9.0;
        assert!((alone.metrics["loss"] / exact - 1.0).abs() < 1e-14);
        assert_eq!([alone.metrics["seldom"], alone.metrics["zero"]], [7.25, 0.0]);
        let losses = alone.generalization.unwrap();
        assert_eq!(losses.held_out_loss, 2.0 * losses.train_loss);
        assert_eq!(alone.adversarial, None);
    }

    #[test]
    fn a_number_that_is_not_finite_on_one_shard_is_nan_for_all() {
        let bad = |shard| if shard == 2 { f64::INFINITY } else { 1.0 };
        let common =
            common(3, 5, |shard| Signals::new().metric("bad", bad(shard)).metric("good", 3.0));
        assert!(common.metrics["bad"].is_nan());
        assert_eq!(common.metrics["good"], 3.0);
    }

    #[test]
    fn no_signals_are_none() {
        assert_eq!(common(3, 3, |_| Signals::new()), Signals::new());
    }
}
