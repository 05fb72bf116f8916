//! What becomes of each tensor of a checkpoint that is normalized.

use std::collections::{HashMap, HashSet};

use osn_core::layer::View;

use crate::checkpoint::Checkpoint;
use crate::measure::error::MeasureError;
use crate::measure::weight::{MeasureParams, check};
use crate::read::dtype::{Dtype, NO_FLOAT};
use crate::read::tensor::Tensor;
use crate::weights::known::{Known, Meaning, Step, Weight};
use crate::weights::roles::{self, States};
use crate::weights::used::{directions, truths};
use crate::write::outcome::{Named, NormalizeError, NormalizeOutcome, NormalizeParams};
use crate::write::scaled::Loaded;

/// The types that safetensors lacks, by its version 0.8.
const NOT_IN_SAFETENSORS: [Dtype; 6] =
    [Dtype::C32, Dtype::C128, Dtype::QI8, Dtype::QU8, Dtype::QI32, Dtype::Unknown];

/// One tensor of the file that is written.
pub(crate) struct Entry<'a> {
    pub(crate) name: String,
    /// Whose type and shape it has and, where it is not changed, whose bytes.
    pub(crate) tensor: &'a Tensor,
    pub(crate) job: Option<Job<'a>>,
}

/// What is to be scaled to change the weight in use.
pub(crate) enum Job<'a> {
    /// The tensor itself.
    Plain(&'a Tensor),
    /// What the model makes of it, in place of all that it is made of.
    Baked(&'a Weight<'a>),
    /// The weight, whose mask stays.
    Pruned(&'a Weight<'a>, &'a Tensor),
    /// g of weight norm.
    Gain(&'a Weight<'a>, &'a Tensor),
}

/// What is written, and what is already known of the outcome.
pub(crate) fn plan<'a>(
    input: &'a Checkpoint,
    known: &'a Known<'a>,
    params: &NormalizeParams,
) -> Result<(Vec<Entry<'a>>, NormalizeOutcome), NormalizeError> {
    let states = States::of(input.tensors());
    let mut choice = Choice::default();
    for tensor in input.tensors() {
        match roles::check(tensor, known, &states, &params.select) {
            Ok(()) => choice.decide(tensor, known, params),
            Err(MeasureError::NotSelected) => {}
            Err(source @ MeasureError::File(_)) => {
                return Err(NormalizeError::Tensor { name: tensor.name().to_owned(), source });
            }
            Err(why) => choice.leave(tensor, &why),
        }
    }
    Ok(choice.into_plan(input))
}

/// What is decided so far, by the names of tensors.
#[derive(Default)]
struct Choice<'a> {
    jobs: HashMap<&'a str, Job<'a>>,
    /// What goes into a weight that is written whole.
    dropped: HashSet<&'a str>,
    outcome: NormalizeOutcome,
}

impl<'a> Choice<'a> {
    fn leave(&mut self, tensor: &Tensor, why: &MeasureError) {
        // Nobody takes a vector, or whole numbers, for a weight.
        let is_other = matches!(why, MeasureError::NotRead(reason) if reason == NO_FLOAT);
        if tensor.shape().len() >= 2 && !is_other {
            let (name, reason) = (tensor.name().to_owned(), why.to_string());
            self.outcome.left.push(Named { name, reason });
        }
    }

    fn decide(&mut self, tensor: &'a Tensor, known: &'a Known<'a>, params: &NormalizeParams) {
        let Some(Meaning::Weight(weight)) = known.meaning(tensor.name()) else {
            match check(tensor, &params.measure) {
                Ok(()) => drop(self.jobs.insert(tensor.name(), Job::Plain(tensor))),
                Err(why) => self.leave(tensor, &why),
            }
            return;
        };
        match job_of(weight, known, &params.measure) {
            Ok(job) => {
                let target = if let Job::Gain(_, g) = job { g } else { tensor };
                self.drop_parts(weight, &job);
                self.jobs.insert(target.name(), job);
            }
            Err(why) => self.leave(tensor, &why),
        }
    }

    /// What would no longer go with the weight: all of its parts where it is written whole, and
    /// otherwise what was computed from it.
    fn drop_parts(&mut self, weight: &'a Weight<'a>, job: &Job<'a>) {
        for part in &weight.parts {
            let is_computed = part.name() == weight.path;
            if matches!(job, Job::Baked(_)) {
                self.dropped.insert(part.name());
            } else if is_computed {
                self.dropped.insert(part.name());
                let reason = format!("computed from {}, which stands for it", weight.base.name());
                self.outcome.left_out.push(Named { name: part.name().to_owned(), reason });
            }
        }
    }

    /// The largest elements first, so that every tensor lies at a multiple of its element's size.
    fn into_plan(mut self, input: &'a Checkpoint) -> (Vec<Entry<'a>>, NormalizeOutcome) {
        let Self { jobs, dropped, outcome } = &mut self;
        // g of weight norm is a part of its weight, and the one that is changed.
        outcome.left.retain(|it| !jobs.contains_key(&*it.name) && !dropped.contains(&*it.name));
        let mut entries = Vec::new();
        let is_kept = |tensor: &&Tensor| !dropped.contains(tensor.name());
        for tensor in input.tensors().iter().filter(is_kept) {
            if let Some(reason) = not_written(tensor) {
                outcome.left_out.push(Named { name: tensor.name().to_owned(), reason });
                continue;
            }
            let job = jobs.remove(tensor.name());
            let name =
                if let Some(Job::Baked(weight)) = &job { &weight.path } else { tensor.name() };
            entries.push(Entry { name: name.to_owned(), tensor, job });
        }
        let NormalizeOutcome { left, left_out, .. } = &mut *outcome;
        left.retain(|it| !left_out.iter().any(|out| out.name == it.name));
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.tensor.dtype().bits()));
        (entries, self.outcome)
    }
}

/// Why safetensors cannot hold a tensor.
fn not_written(tensor: &Tensor) -> Option<String> {
    if let Some(reason) = tensor.copy_refusal() {
        return Some(reason.to_owned());
    }
    let dtype = tensor.dtype();
    if NOT_IN_SAFETENSORS.contains(&dtype) {
        return Some(format!("safetensors has no type {dtype}"));
    }
    let bits = tensor.element_count().checked_mul(dtype.bits());
    if bits != tensor.byte_count().checked_mul(8) {
        return Some("its elements fill no whole bytes".to_owned());
    }
    (tensor.name() == "__metadata__").then(|| "safetensors keeps that name to itself".to_owned())
}

/// How the weight in use can be scaled.
fn job_of<'a>(
    weight: &'a Weight<'a>,
    known: &Known<'_>,
    params: &MeasureParams,
) -> Result<Job<'a>, MeasureError> {
    let (base, path) = (weight.base, &weight.path);
    let steps = weight.steps.as_ref().map_err(|why| MeasureError::NotKnown(why.clone()))?;
    if weight.is_quantized() {
        return Err(MeasureError::NotKnown(
            "it is quantized, and is left with its scales".to_owned(),
        ));
    }
    check(base, params)?;
    match **steps {
        [Step::Norm { g }] => {
            let cut = if let View::Blocks { axis, .. } = params.view { Some(axis) } else { None };
            if cut.is_some_and(|cut| g.shape().get(cut) != base.shape().get(cut)) {
                return Err(MeasureError::NotKnown("its g is not cut along that axis".to_owned()));
            }
            Ok(Job::Gain(weight, g))
        }
        [Step::Mask { mask }] => Ok(Job::Pruned(weight, mask)),
        _ => {
            let is_part = |name: &str| weight.parts.iter().any(|part| part.name() == name);
            if path != base.name() && known.tensor(path).is_some() && !is_part(path) {
                return Err(MeasureError::NotKnown(format!(
                    "there is another tensor called {path}"
                )));
            }
            Ok(Job::Baked(weight))
        }
    }
}

impl Job<'_> {
    /// What the weight is called in the model.
    pub(crate) fn weight_name(&self) -> &str {
        match self {
            Self::Plain(tensor) => tensor.name(),
            Self::Baked(weight) | Self::Pruned(weight, _) | Self::Gain(weight, _) => &weight.path,
        }
    }

    /// How it is stored, where it is not stored as a plain weight.
    pub(crate) fn stored(&self) -> Option<String> {
        match self {
            Self::Plain(_) => None,
            Self::Baked(weight) => {
                let replaced = std::iter::once(weight.base).chain(weight.parts.iter().copied());
                let replaced: Vec<_> =
                    replaced.map(Tensor::name).filter(|it| *it != weight.path).collect();
                Some(format!(
                    "written as a plain weight in place of {}, for a model without spectral norm",
                    replaced.join(", ")
                ))
            }
            Self::Pruned(weight, _) => Some(format!("in {}; its mask stays", weight.base.name())),
            Self::Gain(_, g) => Some(format!("in {}", g.name())),
        }
    }

    pub(crate) fn load(&self, params: &MeasureParams) -> Result<Loaded, MeasureError> {
        match *self {
            Self::Plain(tensor) => Ok(loaded(tensor, tensor.read_all()?, params, None)),
            Self::Baked(weight) => {
                let used = weight.used(params.output_axis)?;
                Ok(loaded(weight.base, used.entries, &params.along(used.axis), None))
            }
            Self::Pruned(weight, mask) => {
                let factors = truths(mask, weight.base.shape())?;
                Ok(loaded(weight.base, weight.base.read_all()?, params, Some(factors)))
            }
            Self::Gain(weight, g) => {
                let (factors, places) = directions(weight.base, g)?;
                let used_shape = weight.base.shape().to_vec();
                let places = Some(places);
                Ok(Loaded { places, used_shape, ..loaded(g, g.read_all()?, params, Some(factors)) })
            }
        }
    }
}

fn loaded(
    tensor: &Tensor,
    stored: Vec<f64>,
    params: &MeasureParams,
    factors: Option<Vec<f64>>,
) -> Loaded {
    let (shape, used_shape) = (tensor.shape().to_vec(), tensor.shape().to_vec());
    let params = params.clone();
    Loaded { stored, shape, dtype: tensor.dtype(), factors, places: None, used_shape, params }
}
