//! The measurements of every weight of some checkpoints, as one object.

use std::collections::BTreeMap;
use std::ops::Range;

use osn_core::layer::{Globs, View};
use osn_core::measure::bounds::Interval;
use osn_core::measure::complexity::ln_lipschitz_product;
use osn_core::number::median;
use rayon::prelude::*;
use serde::{Serialize, Serializer};

use crate::checkpoint::Checkpoint;
use crate::measure::error::MeasureError;
use crate::measure::weight::{
    MeasureParams, WeightMeasurement, check, check_shape, measure, measure_entries, output_axis,
};
use crate::plain_number::plain;
use crate::read::tensor::Tensor;
use crate::weights::known::{Known, Meaning, Step, Weight};
use crate::weights::roles::{self, States};
use crate::weights::stored_vectors::StoredVectors;
use crate::weights::used::Vectors;

/// What `osn inspect --json` prints.
#[derive(Debug, Serialize)]
pub struct Inspection {
    /// The version of this format.
    pub schema: u32,
    /// The tensors that were measured, each block of one by itself.
    pub tensors: Vec<Measured>,
    /// The others, and why.
    pub skipped: Vec<Skipped>,
    /// How many checkpoints were added.
    #[serde(skip)]
    checkpoints: usize,
}

/// One measured weight, or one block of it, as its model uses it.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The file that the elements are in.
    pub file: String,
    /// The tensor's name.
    pub name: String,
    /// The name of the weight that is made of this tensor, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<String>,
    /// The set that it belongs to, where the checkpoint holds the same weights more than once, as with
    /// a moving average: the part of the name that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Which block of it this is, from 0, where it was cut into several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<usize>,
    /// The shape of the tensor, or of the block.
    pub shape: Vec<usize>,
    /// The type of its elements, as safetensors names it.
    pub dtype: &'static str,
    /// The view in which it was measured.
    pub view: String,
    /// The axis that its outputs run along.
    pub output_axis: usize,
    /// The largest singular value of the weight in use, in an interval that holds the true one.
    pub sigma: Interval,
    /// σ of the tensor as it is stored, where the weight in use is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_sigma: Option<Interval>,
    /// What the model does with the stored tensor before it uses it, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_use: Option<String>,
    /// The Frobenius norm of the entries.
    pub frobenius: f64,
    /// `‖W‖²_F/σ²`; none for a convolution as an operator, whose map has more entries.
    pub stable_rank: Option<f64>,
    /// The largest singular values, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leading: Vec<f64>,
    /// What the checkpoint itself holds of this weight's spectral normalization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
    /// Which checkpoint it is of.
    #[serde(skip)]
    checkpoint: usize,
}

/// The singular vectors that a checkpoint holds of a weight, compared with the weight's σ.
#[derive(Clone, Debug, Serialize)]
pub struct Stored {
    /// The function or program that wrote them.
    pub writer: &'static str,
    /// |uᵀWv|, by which PyTorch divides the weight; u and v are as they are stored. None where they do
    /// not fit the weight.
    pub sigma: Option<f64>,
    /// 1 − |uᵀWv|/σ, with σ of the weight that is divided.
    pub shortfall: Option<f64>,
    /// Whether the vectors are the leading ones and of length 1, both to 1 %.
    pub is_good: bool,
    /// The same in words.
    pub verdict: String,
}

/// A tensor that was not measured.
#[derive(Debug, Serialize)]
pub struct Skipped {
    /// The file that it is in.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Why, in words in JSON, where the field is called `reason`.
    #[serde(rename = "reason", serialize_with = "in_words")]
    pub why: MeasureError,
}

fn in_words<S: Serializer>(why: &MeasureError, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(why)
}

/// Totals over one set of measured weights: those of one checkpoint, its averages apart.
#[derive(Clone, Debug, PartialEq)]
pub struct SetTotals {
    /// Which set of its checkpoint; none for the weights themselves.
    pub set: Option<String>,
    /// The file that the first of them is in.
    pub file: String,
    /// How many were measured, a weight of several blocks once.
    pub count: usize,
    /// Their elements.
    pub parameters: usize,
    /// log₁₀ of the product of the upper ends of all σ. A weight of several blocks gives √Σσ², which
    /// bounds the whole.
    pub log10_lipschitz_product: f64,
    /// The first weight that is zero: then so is the product.
    pub zero: Option<String>,
    /// The median of the stable ranks.
    pub median_stable_rank: Option<f64>,
}

/// Elements of tensors that are measured side by side, in bytes of f32.
const BATCH_BYTES: usize = 32 << 20;

/// Stored vectors are good where what they see of σ is this close to it, and their lengths to 1.
const GOOD_SHORTFALL: f64 = 0.01;

impl Default for Inspection {
    fn default() -> Self {
        Self { schema: 1, tensors: Vec::new(), skipped: Vec::new(), checkpoints: 0 }
    }
}

impl Inspection {
    /// Measures every weight of `checkpoint` that `select` matches; an empty `select` matches every
    /// weight. Large tensors are measured one after the other, each by all cores, and small ones
    /// some at a time. `before` is called before each.
    ///
    /// A weight is measured as its model uses it: divided by its spectral norm, pruned, scaled. Nothing
    /// is dropped: a tensor that is not measured is listed with the reason. A weight whose singular
    /// vectors the checkpoint holds is measured along the axis that they are for, unless `params` has
    /// another.
    pub fn add(
        &mut self,
        checkpoint: &Checkpoint,
        select: &Globs,
        params: &MeasureParams,
        before: impl FnMut(&Tensor),
    ) {
        self.add_part(checkpoint, 0..checkpoint.tensors().len(), (select, params), before);
    }

    /// The same of the tensors with these places only. What several processes find in adjoining parts, one after the
    /// other, is what one finds in the whole.
    ///
    /// # Panics
    ///
    /// Where `part` has a place that no tensor of the checkpoint has.
    pub fn add_part(
        &mut self,
        checkpoint: &Checkpoint,
        part: Range<usize>,
        (select, params): (&Globs, &MeasureParams),
        mut before: impl FnMut(&Tensor),
    ) {
        let look = Look::new(checkpoint, select, params);
        for batch in batches(&checkpoint.tensors()[part]) {
            batch.iter().for_each(&mut before);
            let found: Vec<_> = batch.par_iter().map(|tensor| look.at(tensor)).collect();
            for (tensor, found) in batch.iter().zip(found) {
                match found {
                    Ok(found) => self.list(tensor, found, &look),
                    Err(why) => {
                        let (file, name) = (tensor.file().to_owned(), tensor.name().to_owned());
                        self.skipped.push(Skipped { file, name, why });
                    }
                }
            }
        }
        self.checkpoints += 1;
    }

    /// The first tensor at which the file is at fault.
    pub fn first_bad(&self) -> Option<&Skipped> {
        self.skipped.iter().find(|skipped| skipped.why.is_bad_file())
    }

    /// Totals over the measured weights, for each set of each checkpoint.
    pub fn totals(&self) -> Vec<SetTotals> {
        let mut sets: BTreeMap<(usize, Option<&str>), Vec<&Measured>> = BTreeMap::new();
        for tensor in &self.tensors {
            let set = (tensor.checkpoint, tensor.set.as_deref());
            sets.entry(set).or_default().push(tensor);
        }
        sets.values().map(|of_set| totals(of_set)).collect()
    }

    fn list(&mut self, tensor: &Tensor, found: Found, look: &Look<'_>) {
        let is_cut = matches!(look.params.view, View::Blocks { .. });
        let raw = found.raw.into_iter().map(Some).chain(std::iter::repeat(None));
        let found_and_raw = found.used.into_iter().zip(raw).enumerate();
        for (block, (used, raw)) in found_and_raw {
            self.tensors.push(Measured {
                file: tensor.file().to_owned(),
                name: tensor.name().to_owned(),
                weight: found.weight.clone(),
                set: roles::set_of(tensor.name(), &look.known),
                block: is_cut.then_some(block),
                shape: used.shape,
                dtype: tensor.dtype().name(),
                view: look.params.view.to_string(),
                output_axis: found.output_axis,
                sigma: used.sigma,
                raw_sigma: raw.map(|raw| raw.sigma),
                in_use: found.in_use.clone(),
                frobenius: used.frobenius,
                stable_rank: used.stable_rank,
                leading: used.leading,
                stored: found.stored.clone(),
                checkpoint: self.checkpoints,
            });
        }
    }
}

fn totals(of_set: &[&Measured]) -> SetTotals {
    let mut of_tensors: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for tensor in of_set {
        let square = of_tensors.entry((&tensor.file, &tensor.name)).or_default();
        *square = if tensor.block.is_none() {
            tensor.sigma.upper
        } else {
            square.hypot(tensor.sigma.upper).next_up()
        };
    }
    let uppers: Vec<f64> = of_tensors.values().copied().collect();
    let zero = of_tensors.iter().find(|(_, upper)| **upper == 0.0).map(|((_, name), _)| *name);
    let elements = |tensor: &&Measured| tensor.shape.iter().product::<usize>();
    let stable_ranks: Vec<f64> = of_set.iter().filter_map(|it| it.stable_rank).collect();
    SetTotals {
        set: of_set[0].set.clone(),
        file: of_set[0].file.clone(),
        count: of_tensors.len(),
        parameters: of_set.iter().map(elements).sum(),
        log10_lipschitz_product: ln_lipschitz_product(&uppers) / std::f64::consts::LN_10,
        zero: zero.map(str::to_owned),
        median_stable_rank: median(&stable_ranks),
    }
}

/// What was found at one tensor.
struct Found {
    used: Vec<WeightMeasurement>,
    /// The same of the tensor as it is stored, where that is another.
    raw: Vec<WeightMeasurement>,
    weight: Option<String>,
    in_use: Option<String>,
    output_axis: usize,
    stored: Option<Stored>,
}

/// One checkpoint that is looked at.
struct Look<'a> {
    known: Known<'a>,
    states: States,
    select: &'a Globs,
    params: &'a MeasureParams,
}

impl<'a> Look<'a> {
    fn new(checkpoint: &'a Checkpoint, select: &'a Globs, params: &'a MeasureParams) -> Self {
        let tensors = checkpoint.tensors();
        Self { known: Known::of(tensors), states: States::of(tensors), select, params }
    }

    fn at(&self, tensor: &Tensor) -> Result<Found, MeasureError> {
        roles::check(tensor, &self.known, &self.states, self.select)?;
        match self.known.meaning(tensor.name()) {
            Some(Meaning::Weight(weight)) => self.weight(weight),
            _ => self.as_stored(tensor),
        }
    }

    fn as_stored(&self, tensor: &Tensor) -> Result<Found, MeasureError> {
        let used = measure(tensor, self.params)?;
        let output_axis = output_axis(tensor.shape(), self.params);
        Ok(Found { used, raw: vec![], weight: None, in_use: None, output_axis, stored: None })
    }

    fn weight(&self, weight: &Weight<'_>) -> Result<Found, MeasureError> {
        let base = weight.base;
        if weight.is_quantized() {
            check_shape(base.shape(), self.params)?;
        } else {
            check(base, self.params)?;
        }
        if let (Err(why), false) = (&weight.steps, self.select.is_empty()) {
            let in_use = Some(format!("not known: {why}; this is the tensor as it is stored"));
            return Ok(Found { in_use, ..self.as_stored(base)? });
        }
        let made = weight.used(self.params.output_axis)?;
        let params = self.params.along(made.axis);
        let used = measure_entries(&made.entries, base.shape(), &params)?;
        let raw = if weight.is_quantized() { vec![] } else { measure(base, &params)? };
        let is_matrix = matches!(params.view, View::Matrix | View::Reshaped);
        let stored = match (made.vectors, weight.steps.as_deref()) {
            _ if !is_matrix => None,
            (Some(vectors), _) => Some(score(writer(base), &vectors, used[0].sigma)),
            (None, Ok(&[Step::Osn { u, v, .. }])) => Some(score_osn(base, u, v, raw[0].sigma)),
            _ => None,
        };
        Ok(Found {
            used,
            raw,
            weight: (weight.path != base.name()).then(|| weight.path.clone()),
            in_use: Some(made.done.join(", ")),
            output_axis: output_axis(base.shape(), &params),
            stored,
        })
    }
}

/// Neighbours that are measured side by side: small ones keep several cores busy only together.
///
/// Together they are read into no more memory than a single tensor may be.
fn batches(tensors: &[Tensor]) -> Vec<&[Tensor]> {
    let (mut batches, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (index, tensor) in tensors.iter().enumerate() {
        let more = tensor.element_count().saturating_mul(size_of::<f32>());
        if index > start && more.saturating_add(bytes) > BATCH_BYTES {
            batches.push(&tensors[start..index]);
            (start, bytes) = (index, 0);
        }
        bytes = more.saturating_add(bytes);
    }
    if start < tensors.len() {
        batches.push(&tensors[start..]);
    }
    batches
}

fn writer(base: &Tensor) -> &'static str {
    if base.name().ends_with("_orig") {
        "torch.nn.utils.spectral_norm"
    } else {
        "torch.nn.utils.parametrizations.spectral_norm"
    }
}

/// Holds the vectors by which a weight is divided against the result, whose σ lies in `used`: divided
/// by its own σ that would be 1.
fn score(writer: &'static str, vectors: &Vectors, used: Interval) -> Stored {
    let Vectors { value, norms } = *vectors;
    let shortfall = 1.0 - value.signum() / used.value;
    let are_unit = norms.iter().all(|norm| (norm - 1.0).abs() <= GOOD_SHORTFALL);
    let mut stored = scored(writer, value.abs(), shortfall);
    if !are_unit {
        let ([u, v], percent) = (norms.map(plain), 100.0 * (1.0 - shortfall));
        stored.is_good = false;
        stored.verdict = format!(
            "stored u, v are no unit vectors (‖u‖ {u}, ‖v‖ {v}): uᵀWv is {percent:.1} % of σ"
        );
    }
    stored
}

/// Holds what osn's vectors see against the weight that they belong to, whose σ lies in `sigma`.
fn score_osn(weight: &Tensor, u: &Tensor, v: Option<&Tensor>, sigma: Interval) -> Stored {
    let seen = || StoredVectors::of_osn(u, v)?.place_in(&weight.read_all()?, weight.shape());
    match seen().map(|(_, value)| value) {
        Ok(value) if sigma.upper == 0.0 => scored("osn", value, 0.0),
        Ok(value) => scored("osn", value, 1.0 - value / sigma.value),
        Err(reason) => Stored {
            writer: "osn",
            sigma: None,
            shortfall: None,
            is_good: false,
            verdict: format!("stored u, v are not judged: {reason}"),
        },
    }
}

/// Unit vectors that see `sigma`, which lies below the true one by a part of it.
fn scored(writer: &'static str, sigma: f64, shortfall: f64) -> Stored {
    let is_good = shortfall.abs() <= GOOD_SHORTFALL;
    let verdict = if is_good {
        format!("stored u, v are good: they see σ to {:.1e}", shortfall.abs())
    } else {
        format!("stored u, v are stale: they see {:.1} % of σ", 100.0 * (1.0 - shortfall))
    };
    Stored { writer, sigma: Some(sigma), shortfall: Some(shortfall), is_good, verdict }
}
