//! What a rule may look at: a layer's fixed facts, and what is measured on it.

pub(crate) mod select;
pub(crate) mod view;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What a weight does in its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A fully connected layer.
    Linear,
    /// A convolution of any dimension.
    Conv,
    /// A transposed convolution of any dimension.
    ConvTranspose,
    /// A table of vectors.
    Embedding,
    /// A projection inside attention.
    Attention,
    /// A gate of a recurrent layer.
    Recurrent,
    /// Any other parameter.
    Other,
}

impl Kind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Kind; 7] = [
        Kind::Linear,
        Kind::Conv,
        Kind::ConvTranspose,
        Kind::Embedding,
        Kind::Attention,
        Kind::Recurrent,
        Kind::Other,
    ];

    /// The kind's name, as in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Linear => "linear",
            Kind::Conv => "conv",
            Kind::ConvTranspose => "conv_transpose",
            Kind::Embedding => "embedding",
            Kind::Attention => "attention",
            Kind::Recurrent => "recurrent",
            Kind::Other => "other",
        }
    }

    /// The words that name a kind, for messages.
    pub(crate) fn expected() -> String {
        format!("one of {}", Kind::ALL.map(Kind::name).join(", "))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names no kind of layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no kind of layer: expected {}", Kind::expected())]
pub struct UnknownKind {
    /// The word.
    pub name: String,
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Kind::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| UnknownKind { name: text.to_owned() })
    }
}

/// The facts about one watched weight that do not change while it trains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Where the weight is in its module, dot-separated, such as `blocks.0.conv.weight`.
    pub path: String,
    /// The network that it belongs to, such as `discriminator`.
    pub network: String,
    /// What it does there.
    pub kind: Kind,
    /// The shape of the weight, or of the block.
    pub shape: Vec<usize>,
    /// Its position among the watched weights of its network, in module order, from 0.
    pub index: usize,
    /// How many watched weights its network has.
    pub count: usize,
    /// Whether it has the most elements of them.
    pub is_largest: bool,
    /// Which block of the weight this is, from 0, where each of them is held by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<usize>,
}

/// The network that makes what a discriminator judges, by its name.
const GENERATOR: &str = "generator";

impl Layer {
    /// Whether it belongs to a generator, which is a network of that name: what is told of the race between
    /// the two networks says how the *discriminator* is to be held.
    pub fn is_of_generator(&self) -> bool {
        Self::is_generator(&self.network)
    }

    /// Whether a network of this name is a generator.
    pub(crate) fn is_generator(network: &str) -> bool {
        network == GENERATOR
    }

    /// The path, with the block behind it where there are several: `attention.query.weight[3]`.
    pub fn name(&self) -> String {
        match self.block {
            Some(block) => format!("{}[{block}]", self.path),
            None => self.path.clone(),
        }
    }
}

/// What is measured on one layer at the time of a decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measurement {
    /// The largest singular value `σ` of the stored weight, as estimated: a lower bound.
    pub sigma: f64,
    /// How far the estimate's vectors are from being singular, relative to `σ`; see [`Estimate`](crate::Estimate).
    pub residual: f64,
    /// The stable rank `‖W‖²_F/σ²`, where it was measured.
    pub stable_rank: Option<f64>,
    /// `Δ ln σ` for each optimizer step since the measurement before, where there was one.
    pub drift: Option<f64>,
    /// `σ₂/σ₁` of the stored weight, in [0, 1], where a rule asked for it; 1 is a repeated σ.
    pub sigma_ratio: Option<f64>,
    /// The σ that a weight of this shape starts at where it is drawn as usual, seen as this one is
    /// ([`InitialSize`](crate::InitialSize)), where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_start: Option<f64>,
    /// What the gradients said since the decision before, where a rule asked for it.
    pub gradient: Option<GradientStatistics>,
}

/// What the gradients of one layer said over the steps since the decision before.
///
/// A number of which nothing was observed is NaN: no gradient reached the layer, or the loop told none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct GradientStatistics {
    /// The mean of `‖∇W‖_F` over the steps.
    pub mean_norm: f64,
    /// Its variance over the steps.
    pub norm_variance: f64,
    /// The mean of `‖ΔW‖_F`, by which the optimizer moved the stored weight in a step.
    pub mean_update: f64,
    /// The mean of `|⟨G, Ŵ⟩|` with `G = ∂L/∂Ŵ`: how much the loss changes where the effective weight
    /// grows, `|∂L/∂ ln s|`.
    pub sensitivity: f64,
    /// The mean of `⟨G, Ŵ⟩` of a held-out loss, sign and all, where the loop gives one.
    pub held_out_sensitivity: Option<f64>,
}

impl Measurement {
    /// A measurement of σ and of its residual alone.
    pub fn new(sigma: f64, residual: f64) -> Self {
        Self { sigma, residual, ..Self::default() }
    }

    /// Adds what the gradients said.
    #[must_use]
    pub fn with_gradient(self, gradient: GradientStatistics) -> Self {
        Self { gradient: Some(gradient), ..self }
    }

    /// Adds the stable rank `‖W‖²_F/σ²`.
    #[must_use]
    pub fn with_stable_rank(self, stable_rank: f64) -> Self {
        Self { stable_rank: Some(stable_rank), ..self }
    }

    /// Adds `Δ ln σ` a step, where a measurement before allows for it.
    #[must_use]
    pub fn with_drift(self, drift: Option<f64>) -> Self {
        Self { drift, ..self }
    }

    /// Adds the σ that a weight of this shape starts at as a rule.
    #[must_use]
    pub fn with_usual_start(self, sigma: f64) -> Self {
        Self { usual_start: Some(sigma), ..self }
    }

    /// Adds `σ₂/σ₁`, where it was asked for.
    #[must_use]
    pub fn with_sigma_ratio(self, sigma_ratio: Option<f64>) -> Self {
        Self { sigma_ratio, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name_in_text_and_in_files() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn an_unknown_kind_lists_the_known_ones() {
        let error = "convolution".parse::<Kind>().unwrap_err().to_string();
        assert_eq!(
            error,
            "`convolution` is no kind of layer: expected one of linear, conv, conv_transpose, \
             embedding, attention, recurrent, other"
        );
    }

    #[test]
    fn a_measurement_is_sigma_and_residual_until_more_is_known() {
        let measured = Measurement::new(1.5, 1e-3);
        assert_eq!((measured.sigma, measured.residual, measured.stable_rank), (1.5, 1e-3, None));
        assert_eq!(measured.with_stable_rank(4.0).stable_rank, Some(4.0));
    }
}
