//! The rule `auto`.

use serde::{Deserialize, Serialize};

use super::{
    Adversarial, Decision, Needs, RuleError,
    deciding::{Context, Deciding},
    rule::{INTERVAL, RuleDoc, parameters, required_interval},
};
use crate::{Layer, number::concise};

/// Experimental.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auto {
    pub kappa: f64,
    pub width: f64,
    pub low: f64,
    pub high: f64,
    pub up: f64,
    pub down: f64,
    pub keep: f64,
    pub min: f64,
    pub max: f64,
    pub slope: f64,
    pub gain: f64,
    pub both: f64,
    pub floor: f64,
    pub hurry: f64,
    pub calm: f64,
    pub interval: u64,
}

impl Default for Auto {
    fn default() -> Self {
        Self {
            kappa: 1.5,
            width: 0.0,
            low: 0.35,
            high: 0.85,
            up: 0.1,
            down: 0.02,
            keep: 0.8,
            min: 0.2,
            max: 8.0,
            slope: 2.4,
            gain: 0.01,
            both: 0.0,
            floor: 0.5,
            hurry: 0.0,
            calm: 0.0,
            interval: 10,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AutoMemory {
    start: Vec<f64>,
    offset: f64,
    separation: Option<f64>,
    slope: Option<f64>,
    step: u64,
}

impl Deciding for Auto {
    type Memory = AutoMemory;

    parameters! {
        "auto", "Experimental.";
        kappa = "1.5", "x";
        width = "0", "x";
        low = "0.35", "x";
        high = "0.85", "x";
        up = "0.1", "x";
        down = "0.02", "x";
        keep = "0.8", "x";
        min = "0.2", "x";
        max = "8", "x";
        slope = "2.4", "x";
        gain = "0.01", "x";
        both = "0", "x";
        floor = "0.5", "x";
        hurry = "0", "x";
        calm = "0", "x";
        interval = "10", INTERVAL;
    }

    fn validate(&self) -> Result<(), RuleError> {
        required_interval(&Self::DOC, self.interval)
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
    }

    fn needs(&self) -> Needs {
        Needs { race: true, slope: true, ..Needs::default() }
    }

    fn begin(&self, layers: &[Layer]) -> AutoMemory {
        AutoMemory {
            start: vec![1.0; layers.len()],
            offset: self.kappa.ln(),
            separation: None,
            slope: None,
            step: 0,
        }
    }

    fn at_attach(&self, _: &Layer) -> Decision {
        Decision { action: crate::Action::Off, reason: "not measured yet: leave".to_owned() }
    }

    fn decide(&self, memory: &mut AutoMemory, context: &Context) -> Vec<Decision> {
        if context.step == 0 {
            memory.start = context.measurements.iter().map(|it| it.sigma.max(1e-3)).collect();
        }
        let seen = context.signals.adversarial.unwrap_or_default();
        let elapsed = context.step - memory.step;
        memory.step = context.step;
        let reason = self.move_offset(memory, &seen, elapsed as f64, context.step);
        let decide = |(start, measured): (&f64, &crate::Measurement)| {
            let upper = start * memory.offset.exp();
            let target = measured.sigma.clamp(upper * (-self.width).exp(), upper);
            Decision { action: crate::Action::Normalize { target }, reason: reason.clone() }
        };
        memory.start.iter().zip(context.measurements).map(decide).collect()
    }
}

impl Auto {
    fn move_offset(
        &self,
        memory: &mut AutoMemory,
        seen: &Adversarial,
        elapsed: f64,
        step: u64,
    ) -> String {
        let usable = |value: Option<f64>| value.filter(|it| it.is_finite());
        let (Some(separation), Some(slope)) = (usable(seen.separation), usable(seen.slope)) else {
            return "nothing told".to_owned();
        };
        let smooth = |old: Option<f64>, new: f64| {
            old.map_or(new, |old| old * self.keep + new * (1.0 - self.keep))
        };
        let separation = smooth(memory.separation, separation);
        let slope = smooth(memory.slope, slope.max(1e-9).ln());
        (memory.separation, memory.slope) = (Some(separation), Some(slope));
        let error = (slope - self.slope.ln()).clamp(-1.0, 1.0);
        let error = if self.both > 0.0 { error } else { error.max(0.0) };
        let mut change = -self.gain * error;
        if separation < self.low {
            let steep =
                if self.calm > 0.0 { (slope - self.slope.ln()).clamp(0.0, 1.0) } else { 0.0 };
            change = change.max(self.up * (self.low - separation) * (1.0 - steep));
        }
        if separation > self.high {
            change = change.min(0.0);
            if slope > self.floor.ln() {
                change = change.min(-self.down * (separation - self.high) / (1.0 - self.high));
            }
        }
        let hurry = 1.0 + self.hurry * (-(step as f64) / 200.0).exp();
        memory.offset =
            (memory.offset + change * hurry * elapsed).clamp(self.min.ln(), self.max.ln());
        format!(
            "separation {}, slope {}: factor {}",
            concise(separation),
            concise(slope.exp()),
            concise(memory.offset.exp())
        )
    }
}
