//! The weights that a model computes with, where its checkpoint holds something else in their place.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::checkpoint::Checkpoint;
use crate::read::dtype::Dtype;
use crate::read::tensor::Tensor;

/// What the tensors of a checkpoint are to each other.
pub(crate) struct Known<'a> {
    by_name: BTreeMap<&'a str, &'a Tensor>,
    meanings: BTreeMap<&'a str, Meaning<'a>>,
}

/// What one tensor is, where it is more than its own entries.
pub(crate) enum Meaning<'a> {
    /// It stands for a weight that is made from it.
    Weight(Weight<'a>),
    /// It helps to make a weight, or was computed from one: what it is.
    Part(&'static str),
}

/// A weight that is not stored as it is used.
pub(crate) struct Weight<'a> {
    /// The name that it has where nothing is done to it: `X.weight`.
    pub(crate) path: String,
    /// The tensor that it is made from.
    pub(crate) base: &'a Tensor,
    /// What is done to that, in order; or why that is not known.
    pub(crate) steps: Result<Vec<Step<'a>>, String>,
    /// The other tensors that make it, and what the framework has computed from it.
    pub(crate) parts: Vec<&'a Tensor>,
}

impl Weight<'_> {
    /// Whether it is stored as the product of a scale and numbers of few bits.
    pub(crate) fn is_quantized(&self) -> bool {
        matches!(self.steps.as_deref(), Ok([Step::Scale { .. }]))
    }
}

/// One thing that is done to a weight.
pub(crate) enum Step<'a> {
    /// Weight norm: `g·v/‖v‖`, with a norm for each entry of g.
    Norm { g: &'a Tensor },
    /// Pruning: entry by entry times a mask.
    Mask { mask: &'a Tensor },
    /// PyTorch's spectral norm: divided by uᵀWv, u and v as they are stored. Old versions stored no
    /// v, but the quotient.
    Spectral { u: &'a Tensor, v: Option<&'a Tensor>, computed: Option<&'a Tensor> },
    /// `BigGAN`'s: divided by ‖Wv‖ with v = Wᵀu/‖Wᵀu‖.
    Iterated { u: &'a Tensor },
    /// osn's: times the scale of the state.
    Osn { u: &'a Tensor, v: Option<&'a Tensor>, state: &'a Tensor },
    /// Numbers of 8 bits times the scale of their block.
    Scale { scale: &'a Tensor },
}

/// Every name that a tensor can be selected by: its own and, where it is used as a weight of another
/// name, that one.
pub fn selectable(checkpoint: &Checkpoint) -> Vec<String> {
    let known = Known::of(checkpoint.tensors());
    let names = checkpoint.tensors().iter().map(|tensor| tensor.name().to_owned());
    let weights = known.meanings.values().filter_map(|meaning| match meaning {
        Meaning::Weight(weight) if weight.path != weight.base.name() => Some(weight.path.clone()),
        _ => None,
    });
    names.chain(weights).collect()
}

impl<'a> Known<'a> {
    pub(crate) fn of(tensors: &'a [Tensor]) -> Self {
        let by_name = tensors.iter().map(|tensor| (tensor.name(), tensor)).collect();
        let mut known = Self { by_name, meanings: BTreeMap::new() };
        for tensor in tensors {
            if let Some(weight) = known.weight(tensor) {
                known.note(weight);
            }
        }
        known
    }

    pub(crate) fn meaning(&self, name: &str) -> Option<&Meaning<'a>> {
        self.meanings.get(name)
    }

    /// The tensor of this name.
    pub(crate) fn tensor(&self, name: &str) -> Option<&'a Tensor> {
        self.by_name.get(name).copied()
    }

    /// The tensors whose names begin with `prefix`.
    pub(crate) fn below<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = &'a Tensor> + 's {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let names = self.by_name.range::<str, _>(from);
        names.take_while(move |(name, _)| name.starts_with(prefix)).map(|(_, &tensor)| tensor)
    }

    fn note(&mut self, weight: Weight<'a>) {
        for part in &weight.parts {
            let what = what_it_is(part.name(), &weight);
            self.meanings.insert(part.name(), Meaning::Part(what));
        }
        self.meanings.insert(weight.base.name(), Meaning::Weight(weight));
    }

    fn weight(&self, tensor: &'a Tensor) -> Option<Weight<'a>> {
        let name = tensor.name();
        if let Some((prefix, place)) = name.rsplit_once(".original")
            && let Some((module, parameter)) = parametrized(prefix)
        {
            let path = [module, parameter].join(if module.is_empty() { "" } else { "." });
            return self.chain(tensor, path, &format!("{prefix}."), place);
        }
        if let Some(path) = name.strip_suffix("_orig") {
            return self.hooked(tensor, path);
        }
        if let Some(path) = name.strip_suffix("_v") {
            return self.weight_norm(tensor, path);
        }
        let iterated = || self.big_gan(tensor).or_else(|| self.weight_bar(tensor));
        self.of_osn(tensor).or_else(iterated).or_else(|| self.quantized(tensor))
    }

    /// `torch.nn.utils.parametrize`: everything is below `M.parametrizations.P.`, each member of the
    /// chain with what it keeps below its place.
    fn chain(
        &self,
        base: &'a Tensor,
        path: String,
        prefix: &str,
        place: &str,
    ) -> Option<Weight<'a>> {
        let is_base = match place {
            "" => true,
            // Of several originals the last one stands for all: of weight norm that is v.
            "1" => !self.by_name.contains_key(&*format!("{prefix}original2")),
            _ => false,
        };
        if !is_base {
            return None;
        }
        let others = self.below(prefix).filter(|other| other.name() != base.name());
        let parts = others.chain(self.tensor(&path)).collect();
        let steps = self.members(base, &path, prefix);
        Some(Weight { path, base, steps, parts })
    }

    fn members(&self, base: &'a Tensor, path: &str, prefix: &str) -> Result<Vec<Step<'a>>, String> {
        let (mut steps, mut next) = (Vec::new(), 0);
        let find = |name: &str| self.tensor(&format!("{prefix}{name}"));
        if !base.name().ends_with(".original") {
            let g = find("original0").filter(|g| is_norm_of(g.shape(), base.shape()));
            let g = g.ok_or_else(|| format!("several originals of {path} are no weight norm"))?;
            (steps, next) = (vec![Step::Norm { g }], 1);
        }
        let mut kept: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for tensor in self.below(prefix) {
            let rest = tensor.name().strip_prefix(prefix).unwrap_or_default();
            if let Some((place, state)) = rest.split_once('.')
                && let Ok(place) = place.parse()
            {
                kept.entry(place).or_default().push(state);
            }
        }
        for (place, states) in kept {
            if place != next {
                return Err(format!(
                    "parametrization {next} of {path} keeps nothing in the file, so what it does \
                     to the weight is not known"
                ));
            }
            let (u, v) = (find(&format!("{place}._u")), find(&format!("{place}._v")));
            let (Some(u), 2) = (u, states.len()) else {
                return Err(format!("parametrization {place} of {path} is of an unknown kind"));
            };
            steps.push(Step::Spectral { u, v, computed: None });
            next = place + 1;
        }
        if steps.is_empty() {
            return Err(format!("{path} is parametrized by what the file does not tell"));
        }
        Ok(steps)
    }

    /// `torch.nn.utils.spectral_norm` and `torch.nn.utils.prune` keep the trained weight as
    /// `X.weight_orig`, and modules that were pickled whole have what they computed from it as well.
    fn hooked(&self, base: &'a Tensor, path: &str) -> Option<Weight<'a>> {
        let find = |end: &str| self.tensor(&format!("{path}{end}"));
        let (u, v, mask) = (find("_u"), find("_v"), find("_mask"));
        let computed = find("").filter(|it| it.shape() == base.shape());
        let steps = match (u, mask) {
            (Some(u), None) => Ok(vec![Step::Spectral { u, v, computed }]),
            (None, Some(mask)) if v.is_none() => Ok(vec![Step::Mask { mask }]),
            (None, None) => return None,
            _ => Err(format!("{path} has both a mask and vectors of spectral norm")),
        };
        let parts = [u, v, mask, computed].into_iter().flatten().collect();
        Some(Weight { path: path.to_owned(), base, steps, parts })
    }

    /// `torch.nn.utils.weight_norm`: `X.weight_g` and `X.weight_v`.
    fn weight_norm(&self, base: &'a Tensor, path: &str) -> Option<Weight<'a>> {
        let g = self.tensor(&format!("{path}_g"))?;
        if !path.contains("weight") || !is_norm_of(g.shape(), base.shape()) {
            return None;
        }
        let computed = self.tensor(path).filter(|it| it.shape() == base.shape());
        let parts = [Some(g), computed].into_iter().flatten().collect();
        Some(Weight { path: path.to_owned(), base, steps: Ok(vec![Step::Norm { g }]), parts })
    }

    /// osn: `X.weight` with `X.weight.spectral_norm.u`, `.v` and `.state`.
    fn of_osn(&self, base: &'a Tensor) -> Option<Weight<'a>> {
        let prefix = format!("{}.spectral_norm.", base.name());
        let find = |name: &str| self.tensor(&format!("{prefix}{name}"));
        let (u, state) = (find("u")?, find("state")?);
        let steps = Ok(vec![Step::Osn { u, v: find("v"), state }]);
        let parts = self.below(&prefix).collect();
        Some(Weight { path: base.name().to_owned(), base, steps, parts })
    }

    /// The spectral norm of `BigGAN`'s code: `X.weight` with `X.u0`, `[1, rows]`, and `X.sv0`.
    fn big_gan(&self, base: &'a Tensor) -> Option<Weight<'a>> {
        let module = base.name().strip_suffix("weight")?;
        let u = self.tensor(&format!("{module}u0"))?;
        let values = self.tensor(&format!("{module}sv0"))?;
        let path = base.name().to_owned();
        Some(Weight { path, base, steps: Ok(vec![Step::Iterated { u }]), parts: vec![u, values] })
    }

    /// A spectral norm that many projects copied: `X.weight_bar` with `X.weight_u` and `X.weight_v`, of
    /// which v is made anew before it is used.
    fn weight_bar(&self, base: &'a Tensor) -> Option<Weight<'a>> {
        let path = base.name().strip_suffix("_bar")?;
        let (u, v) = (self.tensor(&format!("{path}_u"))?, self.tensor(&format!("{path}_v"))?);
        let steps = Ok(vec![Step::Iterated { u }]);
        Some(Weight { path: path.to_owned(), base, steps, parts: vec![u, v] })
    }

    /// Weights of 8 bits with the scales of their blocks, rows or all of them beside.
    fn quantized(&self, base: &'a Tensor) -> Option<Weight<'a>> {
        if !matches!(base.dtype(), Dtype::F8E4M3 | Dtype::F8E5M2) {
            return None;
        }
        let ends = ["_scale_inv", "_scale"].map(|end| format!("{}{end}", base.name()));
        let scale = ends.iter().find_map(|name| self.tensor(name))?;
        let path = base.name().to_owned();
        Some(Weight { path, base, steps: Ok(vec![Step::Scale { scale }]), parts: vec![scale] })
    }
}

/// Splits `M.parametrizations.P` into M, which may be empty, and P.
fn parametrized(name: &str) -> Option<(&str, &str)> {
    let (before, parameter) = name.rsplit_once('.')?;
    let module = before.strip_suffix("parametrizations")?;
    if !module.is_empty() && !module.ends_with('.') {
        return None;
    }
    Some((module.strip_suffix('.').unwrap_or(module), parameter))
}

/// What a part of a weight is, in words. The weight is not named, so that many parts share one line.
fn what_it_is(part: &str, weight: &Weight<'_>) -> &'static str {
    let end = part.rsplit(['.', '_']).next().unwrap_or_default();
    match (weight.steps.as_deref(), end) {
        _ if part == weight.path => "computed from the tensors that stand for it",
        (Err(_), _) => "part of a weight whose use is not known",
        (_, "mask") => "the mask of a pruned weight",
        (_, "g" | "original0") => "g of a weight norm",
        (_, "u" | "v" | "u0") => "u or v of a spectral norm",
        (_, "inv" | "scale") => "the scale of a quantized weight",
        _ => "state of a spectral norm",
    }
}

/// Whether g can be the norms of a v: along each axis as long as v, or 1; or one number for all.
fn is_norm_of(g: &[usize], v: &[usize]) -> bool {
    let all_in_one = g.iter().product::<usize>() == 1;
    all_in_one || (g.len() == v.len() && g.iter().zip(v).all(|(g, v)| g == v || *g == 1) && g != v)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parametrized_name_has_a_module_and_a_parameter() {
        let split = parametrized("net.fc.parametrizations.weight");
        assert_eq!(split, Some(("net.fc", "weight")));
        assert_eq!(parametrized("parametrizations.weight"), Some(("", "weight")));
        assert_eq!(parametrized("net.original"), None);
        assert_eq!(parametrized("myparametrizations.weight"), None);
    }

    #[test]
    fn norms_are_along_any_axis_or_one_for_all() {
        let is_norm = |g: &[usize]| is_norm_of(g, &[2, 3]);
        assert!(is_norm(&[2, 1]) && is_norm(&[1, 3]) && is_norm(&[]));
        assert!(!is_norm(&[2]) && !is_norm(&[2, 3]));
    }
}
