//! A held weight: a layer for each of its blocks.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::held::form::Form;
use crate::layer::{Layer, View};

/// What is known of a held weight from the attachment on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldWeight {
    /// What rules may know of each block; at least one.
    pub layers: Vec<Layer>,
    /// How the weight is cut into blocks, and which maps these are.
    pub form: Form,
}

impl HeldWeight {
    /// A layer for each block of a weight that is seen as `view`; the layer itself where there is one.
    pub fn new(layer: Layer, form: Form, view: &View) -> Self {
        let shape = Form::block_shape(view, &layer.shape);
        let block = |block| Layer { block: Some(block), shape: shape.clone(), ..layer.clone() };
        let layers = match form.cut.count {
            1 => vec![layer],
            count => (0..count).map(block).collect(),
        };
        Self { layers, form }
    }

    /// The path of the weight in its model.
    pub fn path(&self) -> &str {
        &self.layers[0].path
    }

    /// The σ that each of its blocks starts at as a rule.
    pub fn usual_start(&self) -> f64 {
        self.form.usual_start(&self.layers[0].shape)
    }

    /// Whether its parts go together: to be asked of one from a file.
    pub fn fits(&self) -> bool {
        !self.layers.is_empty() && self.form.fits(self.layers.len())
    }

    /// Where the blocks of each weight are among all blocks.
    pub fn ranges(weights: &[Self]) -> impl Iterator<Item = Range<usize>> {
        weights.iter().scan(0, |end, weight| {
            let start = *end;
            *end += weight.layers.len();
            Some(start..*end)
        })
    }
}
