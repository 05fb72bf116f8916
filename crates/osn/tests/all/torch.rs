//! Agreement with PyTorch: `tests/golden/torch_spectral_norm.safetensors` holds what
//! `torch.nn.utils.spectral_norm` computed for 13 weights over three refreshes.

use crate::support::{Bare, Golden, device, relative_error, steps, values};
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Int, Tensor, TensorData};
use osn::{Plan, Selection, SpectralNorm, SpectralNormalizer};

const UNIT: f64 = 1_073_741_824.0;

/// Sets the `u` that the first refresh starts from.
struct SetU {
    at_u: bool,
    u: Vec<f32>,
}

impl ModuleMapper for SetU {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.at_u = name == "u";
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        if !std::mem::take(&mut self.at_u) {
            return param;
        }
        #[expect(clippy::cast_possible_truncation, reason = "in [−2³⁰, 2³⁰]")]
        let codes: Vec<i32> =
            self.u.iter().map(|&x| (f64::from(x) * UNIT).round() as i32).collect();
        param.map(|old| {
            let shape = old.shape();
            Tensor::from_data(TensorData::new(codes, shape), (&old.device(), old.dtype()))
        })
    }
}

/// The weight of a case as a user's parameter.
fn bare<const D: usize>(golden: &Golden, case: &str) -> Bare<D> {
    let shape: [usize; D] = golden.shape(case, "weight").try_into().unwrap();
    let data = TensorData::new(golden.values(case, "weight"), shape);
    Bare::of(Tensor::from_data(data, &device()))
}

/// Three refreshes from PyTorch's `u`, each held against PyTorch's; then the gradient.
fn agrees<const D: usize>(
    case: &str,
    golden: &Golden,
    model: Bare<D>,
    mut refresh: impl FnMut(&mut Bare<D>),
) {
    let mut model = model.map(&mut SetU { at_u: false, u: golden.values(case, "u0") });
    for number in ["1", "2", "3"] {
        refresh(&mut model);
        let state = model.weight.reparameterization::<SpectralNorm>().unwrap();
        let close = |name: &str, ours: &[f64]| {
            let error = relative_error(ours, &golden.values(case, &format!("{name}{number}")));
            assert!(error < 1e-5, "{case} {name}{number}: relative error {error:e}");
        };
        close("u", &state.u());
        close("v", &state.v());
        close("sigma", &state.sigma());
        close("effective", &values(model.weight.val()));
    }
    let data = TensorData::new(golden.values(case, "cotangent"), model.weight.shape());
    let cotangent = Tensor::<D>::from_data(data, &model.weight.device());
    let gradients = (model.weight.val() * cotangent).sum().backward();
    let mut gradients = GradientsParams::from_grads(gradients, &model);
    let gradient: Tensor<D> = gradients.remove(model.weight.id).unwrap();
    let error = relative_error(&values(gradient), &golden.values(case, "grad"));
    assert!(error < 1e-4, "{case} gradient: relative error {error:e}");
}

/// Both ways to hold a weight: by a plan, and by the normalizer that decides nothing.
fn both_agree<const D: usize>(case: &str) {
    let golden = Golden::open();
    let axis = Golden::output_axis(case);
    let plan = Plan::new().select(Selection::paths("weight").output_axis(axis));
    let (model, mut osn) = plan.attach(bare::<D>(&golden, case)).unwrap();
    agrees(case, &golden, model, |model| steps(&mut osn, model, 1));
    let normalizer = SpectralNormalizer::new().output_axis(axis);
    let model = bare::<D>(&golden, case).apply_reparameterization(normalizer.clone());
    agrees(case, &golden, model, |model| normalizer.refresh(model));
}

macro_rules! agrees_with_pytorch {
    ($($case:ident: $rank:literal),* $(,)?) => {
        $(
            #[test]
            fn $case() {
                both_agree::<$rank>(stringify!($case));
            }
        )*
    };
}

agrees_with_pytorch! {
    linear_wide: 2,
    linear_tall: 2,
    linear_row: 2,
    embedding: 2,
    conv1d: 3,
    conv2d: 4,
    conv2d_1x1: 4,
    conv2d_even: 4,
    conv2d_grouped: 4,
    conv3d: 5,
    conv_transpose1d: 3,
    conv_transpose2d: 4,
    conv_transpose3d: 5,
}
