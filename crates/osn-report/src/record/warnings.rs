//! What a record says went wrong although every number is finite: mode collapse and vanishing gradients.

use std::fmt;

use crate::record::gradients::{GradientEnds, LOOKS};
use crate::record::run::RunRecord;
use crate::text::{escaped, short};

/// Diversity below this share of the most that a run had before has collapsed.
const FALL: f64 = 0.5;
/// A recall of less than this share of real images' is noise, and its fall says nothing.
const LEAST_RECALL: f64 = 0.1;
/// The same of effective classes.
const LEAST_CLASSES: f64 = 0.3;
/// A generator whose images are of less than this share of the effective classes of real images is collapsed
/// wherever it came from, once there are so many scorings.
const FEW_CLASSES: f64 = 0.2;
const ENOUGH_SCORINGS: usize = 4;
/// Gradients below this share of those at the start have vanished.
const VANISHED: f64 = 1e-3;

/// Something that went wrong while every number stayed finite.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// Generated images have lost most of their diversity.
    ///
    /// At the last scoring of the curve, `recall` or the effective number of classes `e^H`, with `class_entropy` H,
    /// each divided by its value on real images, is below half of its largest value at an earlier scoring (which was
    /// at least 0.1 for recall and 0.3 for classes); or the share of effective classes is below 0.2 at the last two
    /// of at least four scorings.
    ModeCollapse {
        /// What is lost: `recall` or `effective classes`.
        measure: &'static str,
        /// The most that there was of it, as a share of that of real images.
        before: f64,
        /// What is left, likewise.
        now: f64,
        /// The step of the last scoring.
        step: u64,
    },
    /// Hardly a gradient is left, or hardly one reaches the first layer.
    ///
    /// The median of the last ten logged values of a signal that ends in `gradient_norm` or `gradient_ratio` is below
    /// a thousandth of the median of its first ten; there must be twenty.
    VanishingGradients {
        /// The signal.
        signal: String,
        /// The median at the start.
        before: f64,
        /// The median at the end.
        now: f64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ModeCollapse { measure, before, now, step } => write!(
                f,
                "mode collapse: at step {step} the generated images have {} of the {measure} of real images, after {}",
                short(*now),
                short(*before)
            ),
            Self::VanishingGradients { signal, before, now } => write!(
                f,
                "vanishing gradients: {} is {} at the end, after {} at the start (medians of {LOOKS} logged steps)",
                escaped(signal),
                short(*now),
                short(*before)
            ),
        }
    }
}

impl RunRecord {
    /// What went wrong although every number is finite, as far as the record goes.
    pub fn warnings(&self) -> Vec<Warning> {
        let vanished = self.gradients.ends().filter_map(vanished);
        self.mode_collapse().into_iter().chain(vanished).collect()
    }

    fn mode_collapse(&self) -> Option<Warning> {
        let recall = self.shares("recall", |share| share);
        let classes = self.shares("class_entropy", f64::exp);
        let few = |shares: &[(u64, f64)]| {
            let is_few = |(_, share): &(u64, f64)| *share < FEW_CLASSES;
            shares.len() >= ENOUGH_SCORINGS && shares.iter().rev().take(2).all(is_few)
        };
        let effective = "effective classes";
        fall("recall", &recall, LEAST_RECALL)
            .or_else(|| fall(effective, &classes, LEAST_CLASSES))
            .or_else(|| few(&classes).then(|| collapse(effective, &classes)).flatten())
    }

    /// The values of a score over the steps as shares of that of real images: `of(value)/of(real)`, where the
    /// exponential of a difference is the share of exponentials.
    fn shares(&self, name: &str, of: fn(f64) -> f64) -> Vec<(u64, f64)> {
        let series = self.scores.iter().find(|series| series.name == name);
        let real = self.real_vs_real.get(name).map(|&real| of(real)).filter(|real| *real > 0.0);
        let (Some(series), Some(real)) = (series, real) else { return Vec::new() };
        series.points.iter().map(|&(step, value)| (step, of(value) / real)).collect()
    }
}

/// A collapse where the last share is below half of the largest before.
fn fall(measure: &'static str, shares: &[(u64, f64)], least: f64) -> Option<Warning> {
    let warning = collapse(measure, shares)?;
    let Warning::ModeCollapse { before, now, .. } = &warning else { return None };
    (*before >= least && *now < FALL * before).then_some(warning)
}

/// The last share and the largest before.
fn collapse(measure: &'static str, shares: &[(u64, f64)]) -> Option<Warning> {
    let (&(step, now), earlier) = shares.split_last()?;
    let before = earlier.iter().map(|share| share.1).fold(f64::NAN, f64::max);
    Some(Warning::ModeCollapse { measure, before, now, step })
}

fn vanished(ends: GradientEnds) -> Option<Warning> {
    let GradientEnds { signal, before, now } = ends;
    let signal = signal.to_owned();
    (now < VANISHED * before).then_some(Warning::VanishingGradients { signal, before, now })
}
