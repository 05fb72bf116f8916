//! Finds what is no weight, though it has the shape of one.

use std::collections::BTreeMap;

use osn_core::layer::Globs;

use crate::measure::error::MeasureError;
use crate::read::tensor::{Tensor, TensorError};
use crate::weights::known::{Known, Meaning};

/// Where states of optimizers stand in a checkpoint, as PyTorch has them: `….state.0.exp_avg`; false
/// where a name among them is one that parameters have.
pub(crate) struct States(BTreeMap<String, bool>);

/// Whether a tensor is to be measured.
///
/// What is no weight is measured where it is selected; a mask, a scale and what only helps to make a
/// weight must be named in full.
pub(crate) fn check(
    tensor: &Tensor,
    known: &Known<'_>,
    states: &States,
    select: &Globs,
) -> Result<(), MeasureError> {
    let name = tensor.name();
    let meaning = known.meaning(name);
    let path = match meaning {
        Some(Meaning::Weight(weight)) => &weight.path,
        _ => name,
    };
    if !select.is_empty() && [name, path].iter().all(|it| select.matching(it).is_none()) {
        return Err(MeasureError::NotSelected);
    }
    if select.patterns().iter().any(|pattern| pattern == name) {
        return Ok(());
    }
    let role = match meaning {
        Some(Meaning::Weight(_)) => None,
        Some(Meaning::Part(what)) => Some(*what),
        None => match by_name(tensor, known, states) {
            Some(role) if role == SCALE || select.is_empty() => Some(role),
            Some(_) => None,
            None => by_entries(tensor)?,
        },
    };
    role.map_or(Ok(()), |role| Err(MeasureError::NoWeight(role)))
}

const SCALE: &str = "a scale or zero point of a quantized weight";

/// Why a tensor is no weight, by its name and by the tensors beside it; `None` where nothing speaks
/// against it.
fn by_name(tensor: &Tensor, known: &Known<'_>, states: &States) -> Option<&'static str> {
    let name = tensor.name();
    let segments = segments(name);
    let (last, _) = segments.split_last()?;
    let is_of_opt = segments.windows(2).any(|pair| matches!(pair, ["opt", "state"]));
    let has_slot = segments.iter().any(|segment| is_optimizer(segment));
    if has_slot || is_of_opt || states.hold(&segments) {
        return Some("state of an optimizer; --select takes it");
    }
    if has_word(BUFFERS, last) {
        return Some("a buffer of values that are not trained");
    }
    if is_scale(name, last, known) {
        return Some(SCALE);
    }
    let is_gradient = *last == "grad" && known.tensor(name.strip_suffix(".grad")?).is_some();
    is_gradient.then_some("a gradient")
}

/// The parts of a name. osn and TensorFlow join some by other marks than PyTorch.
fn segments(name: &str) -> Vec<&str> {
    name.split(['.', '/', ':']).filter(|segment| !segment.is_empty()).collect()
}

fn has_word(list: &str, word: &str) -> bool {
    list.split(' ').any(|listed| listed == word)
}

/// What optimizers keep of a weight, in its shape or nearly.
const SLOTS: &str = "\
    acc_delta adam adam_1 adamw exp_inf factor_matrices fp32_flat_groups \
    fp32_from_fp16_groups fp32_groups gg grad_avg hessian hessian_diag_sq \
    inv_factor_matrices inv_preconditioner inv_preconditioners moment_1 moment_2 moment1 \
    moment2 neg_pre_grad opt_state optim_state_dict preconditioner preconditioners \
    prev_grad single_partition_of_fp32_groups slow_buffer slow_momentum state1 state2";
/// How other such names begin.
const SLOT_STARTS: &str = "\
    exp_avg inv_precond_ max_exp_avg momentum_buf optimizer precond_ square_avg";

fn is_optimizer(segment: &str) -> bool {
    let segment = segment.to_ascii_lowercase();
    let mut words = segment.split(['_', '-']);
    has_word(SLOTS, &segment)
        || SLOT_STARTS.split(' ').any(|start| segment.starts_with(start))
        || words.any(|word| matches!(word, "optimizer" | "optimizers" | "optim" | "optims"))
}

impl States {
    pub(crate) fn of(tensors: &[Tensor]) -> Self {
        let mut states = BTreeMap::new();
        for tensor in tensors {
            let segments = segments(tensor.name());
            if let Some(prefix) = state_prefix(&segments) {
                let last = segments.last().copied().unwrap_or_default();
                let only_slots = states.entry(prefix).or_insert(true);
                *only_slots &= !PARAMETERS.iter().any(|word| last.contains(word));
            }
        }
        Self(states)
    }

    fn hold(&self, segments: &[&str]) -> bool {
        state_prefix(segments).is_some_and(|prefix| self.0.get(&prefix) == Some(&true))
    }
}

/// Words in the names that layers give to what they keep.
const PARAMETERS: [&str; 9] =
    ["weight", "bias", "kernel", "gamma", "beta", "embed", "proj", "param", "running_"];

/// What stands up to `state` in `….state.0.exp_avg`.
fn state_prefix(segments: &[&str]) -> Option<String> {
    let is_number = |segment: &str| segment.bytes().all(|byte| byte.is_ascii_digit());
    let at = segments.windows(2).position(|pair| pair[0] == "state" && is_number(pair[1]))?;
    (at + 2 < segments.len()).then(|| segments[..=at].join("."))
}

/// Last parts of names that only buffers have.
const BUFFERS: &str = "\
    _ema_w cluster_size cos_cached cos_cache cos_sin_cache ema_cluster_size ema_w \
    embed_avg freqs_cis inv_freq masked_bias moving_average moving_mean moving_variance \
    n_averaged num_batches_tracked original_inv_freq position_ids relative_coords_table \
    relative_position_index running_mean running_var sin_cached";
/// Last parts of names that only quantization has.
const SCALES: &str = "\
    SCB absmax g_idx input_scale k_scale nested_absmax nested_quant_map output_scale \
    q_scale quant_map qweight qzeros scale_inv v_scale weight_global_scale weight_packed \
    weight_scale weight_scale_2 weight_scale_inv weight_shape weight_zero_point";
/// And some that layers have, too: there must be a quantized weight beside them.
const SOMETIMES_SCALES: &str = "\
    _scale _shift _zeropoint amax bits codebook scale scales weight_amax zero_point \
    zero_points zeros";

fn is_scale(name: &str, last: &str, known: &Known<'_>) -> bool {
    if has_word(SCALES, last) || name.split('.').any(|segment| segment == "quant_state") {
        return true;
    }
    let module = name.strip_suffix(last).unwrap_or_default();
    let is_quantized = |sibling: &&str| {
        let sibling = known.tensor(&format!("{module}{sibling}"));
        sibling.is_some_and(|sibling| !sibling.dtype().is_read())
    };
    has_word(SOMETIMES_SCALES, last)
        && ["_data", "W_q", "weight", "qweight", "weight_packed", "codes"].iter().any(is_quantized)
}

/// The set that a tensor belongs to, where its checkpoint holds a second one of the same weights: an
/// average, or an older copy. The name is the part of the tensor's name that says so.
pub(crate) fn set_of(name: &str, known: &Known<'_>) -> Option<String> {
    if let Some(average) = averaged_module(name, known) {
        return Some(average);
    }
    if name.starts_with("target/") {
        return Some("target".to_owned());
    }
    let segments = segments(name);
    if let Some(copy) = segments.iter().take(3).find(|it| is_copy(name, it, known)) {
        return Some((*copy).to_owned());
    }
    let is_number = |segment: &&str| segment.parse::<usize>().is_ok();
    // What comes behind a number is a layer, whatever it is called.
    let leading = segments.iter().copied().take_while(|segment| !is_number(segment)).take(3);
    leading.take(segments.len().saturating_sub(1)).find(|it| is_average(it)).map(str::to_owned)
}

fn is_average(segment: &str) -> bool {
    let segment = segment.to_ascii_lowercase();
    let words: Vec<_> = segment.split(['_', '-']).collect();
    let has = |word: &str| words.contains(&word);
    let of_model = ["model", "state", "params", "weights", "net", "network"].into_iter().any(has);
    has("ema")
        || has("averaged")
        || segment == "average"
        || segment == "collected_params"
        || ((has("swa") || has("avg") || has("shadow") || has("average")) && of_model)
}

/// Networks that follow another one, and what that is called.
const FOLLOWERS: [(&str, &str); 8] = [
    ("encoder_k", "encoder_q"),
    ("momentum_encoder", "encoder"),
    ("target", "online"),
    ("target_encoder", "online_encoder"),
    ("target_net", "policy_net"),
    ("target_network", "online_network"),
    ("teacher", "student"),
    ("target_network", "network"),
];

/// Whether the tensor is of a network that follows another one in the file, by the part of its name
/// that the other one has in another way.
fn is_copy(name: &str, segment: &str, known: &Known<'_>) -> bool {
    let listed = FOLLOWERS.iter().filter(|(copy, _)| *copy == segment).map(|(_, of)| *of);
    let ends = ["_target", "_momentum", "_teacher"];
    let without_end = ends.iter().filter_map(|end| segment.strip_suffix(end));
    let without_start = segment.strip_prefix("target_").into_iter();
    listed.chain(without_end).chain(without_start).any(|original| {
        let twin = known.tensor(&name.replacen(segment, original, 1));
        twin.is_some() && twin.map(Tensor::shape) == known.tensor(name).map(Tensor::shape)
    })
}

/// `torch.optim.swa_utils.AveragedModel` keeps `n_averaged` beside `module`.
fn averaged_module(name: &str, known: &Known<'_>) -> Option<String> {
    let start = name.find("module.").filter(|&at| at == 0 || name[..at].ends_with('.'))?;
    known.tensor(&format!("{}n_averaged", &name[..start]))?;
    Some(name[..start].trim_end_matches('.').to_owned())
        .map(|before| if before.is_empty() { "averaged".to_owned() } else { before })
}

/// Entries that are read at a time to look what kind they are.
const LOOK: usize = 1 << 16;
/// A triangle of constants with sides of this length is no accident.
const MIN_TRIANGLE: usize = 4;
/// Masks that are added to logits have at most this where they hide.
const HIDES: f64 = -1e4;

/// Why a tensor is no weight, by its entries: a mask of attention, or a table of waves.
fn by_entries(tensor: &Tensor) -> Result<Option<&'static str>, TensorError> {
    if tensor.skip_reason().is_some() || tensor.shape().len() < 2 || tensor.element_count() == 0 {
        return Ok(None);
    }
    let segments = segments(tensor.name());
    let last = segments.last().copied().unwrap_or_default().to_ascii_lowercase();
    let is_called_mask = last.ends_with("mask") || last == "tril" || last == "triu";
    let module = segments.iter().rev().nth(1).copied().unwrap_or_default();
    let is_of_attention =
        last == "bias" && (module.contains("attn") || module.contains("attention"));
    if is_mask(tensor, is_called_mask, is_of_attention)? {
        return Ok(Some("a mask, not a weight"));
    }
    let is_called_position = last == "pe" || last.contains("pos") || last == "weights";
    if is_called_position && is_table_of_waves(tensor)? {
        return Ok(Some("a table of sines and cosines, not a weight"));
    }
    Ok(None)
}

/// Reads entries in order until `goes_on` is false; true where it never is.
fn all_entries(
    tensor: &Tensor,
    mut goes_on: impl FnMut(usize, f64) -> bool,
) -> Result<bool, TensorError> {
    let count = tensor.element_count();
    let mut part = Vec::new();
    for start in (0..count).step_by(LOOK) {
        part.resize(LOOK.min(count - start), 0.0_f64);
        tensor.read(start, &mut part)?;
        if !part.iter().enumerate().all(|(index, &entry)| goes_on(start + index, entry)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether there are no entries but 0 and one more, which is one that masks have: −∞ or a very low
/// number, or any in a triangle or under the name of a mask.
fn is_mask(
    tensor: &Tensor,
    is_called_mask: bool,
    is_of_attention: bool,
) -> Result<bool, TensorError> {
    let &[.., height, width] = tensor.shape() else {
        return Ok(false);
    };
    let (mut other, mut has_zero) = (None, false);
    let mut triangle = [None; 2];
    let mut is_triangle = [height == width; 2];
    let has_two = all_entries(tensor, |index, entry| {
        has_zero |= entry == 0.0;
        let is_new = entry != 0.0 && other != Some(entry);
        if is_new && other.is_some() {
            return false;
        }
        other = if is_new { Some(entry) } else { other };
        let (row, col) = (index / width % height, index % width);
        for (side, is_above) in [col > row, col < row].into_iter().enumerate() {
            let expected = *triangle[side].get_or_insert((entry == 0.0) != is_above);
            is_triangle[side] &= ((entry == 0.0) != is_above) == expected;
        }
        true
    })?;
    let hides = other.is_some_and(|other| other <= HIDES);
    let is_triangle = is_triangle[0] || is_triangle[1];
    let is_plain = other.is_none_or(|other| other == 1.0 || other < 0.0);
    Ok(has_two
        && ((has_zero && hides && (other == Some(f64::NEG_INFINITY) || is_triangle))
            || (is_triangle && has_zero && other == Some(1.0) && height >= MIN_TRIANGLE)
            || (is_of_attention && has_zero && other == Some(1.0) && height == width)
            || (is_called_mask && is_plain)))
}

/// Whether every row is made of pairs sin x, cos x, whose squares add up to 1; a row of zeros may be
/// among them, for a token without a place.
fn is_table_of_waves(tensor: &Tensor) -> Result<bool, TensorError> {
    let &[.., width] = tensor.shape() else {
        return Ok(false);
    };
    if width < 4 || !width.is_multiple_of(2) {
        return Ok(false);
    }
    let (mut sum, mut rows) = (0.0, 0);
    let is_table = all_entries(tensor, |index, entry| {
        sum += entry * entry;
        if (index + 1).is_multiple_of(width) {
            let pairs = std::mem::take(&mut sum) / (width / 2) as f64;
            rows += usize::from(pairs != 0.0);
            return pairs == 0.0 || (pairs - 1.0).abs() < 1e-2;
        }
        entry.abs() <= 1.0
    })?;
    Ok(is_table && rows > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optimizers_are_told_by_any_part_of_a_name() {
        let optimizers = [
            "optimizer_states",
            "optim",
            "g_optimizer",
            "exp_avg_sq",
            "max_exp_avg_sq",
            "moment_1",
            "precond_0",
            "momentum_buffer",
            "OPTIMIZER_SLOT",
            "state1",
            "square_avg",
        ];
        assert!(optimizers.iter().all(|it| is_optimizer(it)));
        let layers = ["opt_proj", "optical", "momentum", "moments", "state", "preconditioned_w"];
        assert!(!layers.iter().any(|it| is_optimizer(it)));
    }

    #[test]
    fn averages_are_told_by_words_and_not_by_letters() {
        let averages =
            ["ema", "model_ema", "ema_model", "g_ema", "state_dict_ema", "swa_model", "average"];
        assert!(averages.iter().all(|it| is_average(it)));
        assert!(
            !["schema", "cinema", "swa", "avgpool", "avg", "averager"]
                .iter()
                .any(|it| is_average(it))
        );
    }
}
