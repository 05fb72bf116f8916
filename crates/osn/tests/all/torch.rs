//! Agreement with PyTorch over three refreshes: of weights whose rows lie one behind the other with
//! `torch.nn.utils.parametrizations.spectral_norm`, which begins each iteration at `v`, of all others with
//! `torch.nn.utils.spectral_norm`, which begins at `u`.

use crate::support::{Bare, Golden, device, relative_error, steps};
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Int, Tensor, TensorData};
use osn::{Plan, Selection, SpectralNorm, SpectralNormalizer};

const UNIT: f64 = 1_073_741_824.0;

/// Sets the vectors that the first refresh starts from.
struct SetStart {
    name: String,
    u: Vec<f32>,
    v: Vec<f32>,
}

impl ModuleMapper for SetStart {
    fn enter_module(&mut self, name: &str, _container: &str) {
        name.clone_into(&mut self.name);
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        let vector = match self.name.as_str() {
            "u" => &self.u,
            "v" => &self.v,
            _ => return param,
        };
        #[expect(clippy::cast_possible_truncation, reason = "in [−2³⁰, 2³⁰]")]
        let codes: Vec<i32> =
            vector.iter().map(|&x| (f64::from(x) * UNIT).round() as i32).collect();
        param.map(|old| {
            let shape = old.shape();
            Tensor::from_data(TensorData::new(codes, shape), (&old.device(), old.dtype()))
        })
    }
}

/// One weight of a golden file.
struct Case {
    golden: Golden,
    name: &'static str,
    /// Whether it is held as Burn's linear layer has it, `[in, out]`, and not as PyTorch's, `[out, in]`.
    is_transposed: bool,
}

impl Case {
    fn values(&self, of: &str) -> Vec<f32> {
        self.golden.values(self.name, of)
    }

    /// A tensor of the file as it is held.
    fn tensor<const D: usize>(&self, of: &str) -> Tensor<D> {
        let shape: [usize; D] = self.golden.shape(self.name, "weight").try_into().unwrap();
        let data = TensorData::new(self.values(of), shape);
        self.seen(Tensor::from_data(data, &device()))
    }

    /// From the one way of holding it to the other, or as it is.
    fn seen<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        if self.is_transposed { tensor.swap_dims(0, 1) } else { tensor }
    }

    fn model<const D: usize>(&self) -> Bare<D> {
        Bare::of(self.tensor("weight"))
    }

    fn check(&self, of: &str, ours: &[f64], tolerance: f64) {
        let error = relative_error(ours, &self.values(of));
        assert!(error < tolerance, "{} {of}: relative error {error:e}", self.name);
    }

    fn check_tensor<const D: usize>(&self, of: &str, ours: Tensor<D>, tolerance: f64) {
        let ours: Vec<f64> = self.seen(ours).into_data().iter().collect();
        self.check(of, &ours, tolerance);
    }
}

/// Three refreshes from PyTorch's `u` and `v`, each held against PyTorch's; then the gradient.
fn agrees<const D: usize>(case: &Case, model: Bare<D>, mut refresh: impl FnMut(&mut Bare<D>)) {
    let (u, v) = (case.values("u0"), case.values("v0"));
    let mut model = model.map(&mut SetStart { name: String::new(), u, v });
    for number in ["1", "2", "3"] {
        refresh(&mut model);
        let state = model.weight.reparameterization::<SpectralNorm>().unwrap();
        case.check(&format!("u{number}"), &state.u(), 1e-5);
        case.check(&format!("v{number}"), &state.v(), 1e-5);
        case.check(&format!("sigma{number}"), &state.sigma(), 1e-5);
        case.check_tensor(&format!("effective{number}"), model.weight.val(), 1e-5);
    }
    let gradients = (model.weight.val() * case.tensor("cotangent")).sum().backward();
    let mut gradients = GradientsParams::from_grads(gradients, &model);
    let gradient: Tensor<D> = gradients.remove(model.weight.id).unwrap();
    case.check_tensor("grad", gradient, 1e-4);
}

/// Both ways to hold a weight: by a plan, and by the normalizer that decides nothing.
fn both_agree<const D: usize>(case: &Case) {
    let axis = usize::from(case.name.starts_with("conv_transpose") || case.is_transposed);
    let plan = Plan::new().select(Selection::paths("weight").output_axis(axis));
    let (model, mut osn) = plan.attach(case.model::<D>()).unwrap();
    agrees(case, model, |model| steps(&mut osn, model, 1));
    let normalizer = SpectralNormalizer::new().output_axis(axis);
    let model = case.model::<D>().apply_reparameterization(normalizer.clone());
    agrees(case, model, |model| normalizer.refresh(model));
}

macro_rules! agrees_with_pytorch {
    ($golden:ident: $($name:ident: $rank:literal),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let (golden, name) = (Golden::$golden(), stringify!($name));
                both_agree::<$rank>(&Case { golden, name, is_transposed: false });
            }
        )*
    };
}

agrees_with_pytorch! {
    from_v:
    linear_wide: 2,
    linear_tall: 2,
    embedding: 2,
    conv1d: 3,
    conv2d: 4,
    conv2d_1x1: 4,
    conv2d_even: 4,
    conv2d_grouped: 4,
    conv3d: 5,
}

agrees_with_pytorch! {
    from_u:
    linear_row: 2,
    conv_transpose1d: 3,
    conv_transpose2d: 4,
    conv_transpose3d: 5,
}

#[test]
fn matrices_as_linear_layers_hold_them() {
    for name in ["linear_wide", "linear_tall", "linear_row", "embedding"] {
        both_agree::<2>(&Case { golden: Golden::from_u(), name, is_transposed: true });
    }
}
