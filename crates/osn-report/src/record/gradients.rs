//! How large gradients were at the start and are at the end of a record.

use std::collections::{BTreeMap, VecDeque};

use osn_core::number::median;

use crate::record::lines::Numbers;

/// Logged steps whose median is taken, at the start and at the end.
pub(crate) const LOOKS: usize = 10;

/// The first and the last values of the signals that are about gradients.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GradientSignals {
    ends: BTreeMap<String, Ends>,
}

/// The medians of a signal over the first and the last [`LOOKS`] logged steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GradientEnds<'a> {
    pub(crate) signal: &'a str,
    pub(crate) before: f64,
    pub(crate) now: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Ends {
    first: Vec<f64>,
    last: VecDeque<f64>,
}

impl GradientSignals {
    /// Takes in the signals of a logged step; what is not finite is left out.
    pub(crate) fn add(&mut self, signals: &Numbers) {
        let is_about_gradients =
            |name: &str| name.ends_with("gradient_norm") || name.ends_with("gradient_ratio");
        for (name, value) in signals.iter().filter(|(name, _)| is_about_gradients(name)) {
            let Some(value) = value.filter(|value| value.is_finite()) else { continue };
            self.ends.entry(name.clone()).or_default().push(value);
        }
    }

    /// The medians of each signal that was logged often enough.
    pub(crate) fn ends(&self) -> impl Iterator<Item = GradientEnds<'_>> {
        self.ends.iter().filter_map(|(signal, ends)| {
            let (before, now) = ends.medians()?;
            Some(GradientEnds { signal, before, now })
        })
    }
}

impl Ends {
    fn push(&mut self, value: f64) {
        if self.first.len() < LOOKS {
            self.first.push(value);
            return;
        }
        if self.last.len() == LOOKS {
            self.last.pop_front();
        }
        self.last.push_back(value);
    }

    fn medians(&self) -> Option<(f64, f64)> {
        let last: Vec<f64> = self.last.iter().copied().collect();
        if last.len() < LOOKS { None } else { Some((median(&self.first)?, median(&last)?)) }
    }
}
