//! What is known of every layer and what was decided, for people and records.

use osn_core::act::Action;
use osn_core::decide::Decision;
use osn_core::layer::Layer;
use osn_core::measure::stable_rank;
use osn_core::state_code::State;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::controller::Controller;

impl Controller {
    /// What is known of every layer, as JSON.
    pub(crate) fn rows(&self, states: &[State], norms: &[f64]) -> PyResult<String> {
        self.check_finite(states, Some(norms))?;
        let forms = self.held.iter().flat_map(|held| held.layers.iter().map(|_| &held.form));
        let decisions = self.decider.decisions().iter().zip(self.decider.evidence());
        let layers = self.layers().zip(forms).zip(decisions);
        let rows = layers.zip(states.iter().zip(norms)).enumerate().map(|(index, row)| {
            let (((layer, form), (decision, evidence)), (state, norm)) = row;
            let Decision { action, reason } = decision;
            let (applied, measured) = (self.actuators[index].applied(), self.measured.get(index));
            json!({
                "name": layer.name(),
                "layer": layer,
                "sigma": state.sigma,
                "operator_factor": form.operator_factor(layer),
                "residual": state.residual,
                "stable_rank": stable_rank(*norm, state.sigma),
                "drift": self.reading.drifts[index],
                "sigma_ratio": measured.and_then(|it| it.sigma_ratio),
                "gradient": measured.and_then(|it| it.gradient),
                "action": applied.action.to_string(),
                "kind": applied.action.name(),
                "target": applied.action.target(),
                "blend": applied.blend,
                "scale": state.scale,
                "elasticity": state.elasticity,
                "decision": action.to_string(),
                "reason": reason,
                "evidence": evidence,
            })
        });
        Ok(rows.collect::<Value>().to_string())
    }

    /// The decisions that are others now, as JSON.
    pub(crate) fn changes_since(&self, before: &[Option<Action>]) -> String {
        let decided = self.layers().zip(self.decider.decisions()).zip(before);
        let changed = decided.filter(|((_, decision), from)| **from != Some(decision.action));
        let change = |((layer, decision), from): ((&Layer, &Decision), &Option<Action>)| {
            json!({
                "step": self.step,
                "network": layer.network,
                "name": layer.name(),
                "from": from,
                "to": decision.action,
                "reason": decision.reason,
                "text": decision.action.to_string(),
            })
        };
        changed.map(change).collect::<Value>().to_string()
    }
}
