//! The gradient of every action against finite differences, in f64, of the function that it claims
//! to differentiate.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod support;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use osn::rules::Rule;
use osn::views::SigmaGradient;
use osn::{Plan, Selection, SpectralNorm};

#[derive(Module, Debug)]
struct Bare {
    kernel: Param<Tensor<3>>,
}

const SHAPE: [usize; 3] = [4, 3, 2];

/// `f(W) = ⟨C, s(uᵀA(W)v)·W⟩` with u, v held constant, and with s held at `fixed` if given.
struct Function<'a> {
    cotangent: &'a [f64],
    u: Vec<f64>,
    v: Vec<f64>,
    axis: usize,
    rule: &'a Rule,
    fixed: Option<f64>,
}

impl Function<'_> {
    fn sigma(&self, weight: &[f64]) -> f64 {
        let layout = osn::views::Layout::new(&SHAPE, self.axis);
        let mut sigma = 0.0;
        for (index, w) in weight.iter().enumerate() {
            let (outer, rest) =
                (index / (layout.rows * layout.inner), index % (layout.rows * layout.inner));
            let (row, inner) = (rest / layout.inner, rest % layout.inner);
            sigma += self.u[row] * w * self.v[outer * layout.inner + inner];
        }
        sigma
    }

    fn value(&self, weight: &[f64]) -> f64 {
        let action = match self.rule {
            Rule::Always(always) => osn::rules::Action::Normalize { target: always.target },
            Rule::Cap(cap) => {
                osn::rules::Action::Cap { target: cap.target, sharpness: cap.sharpness }
            }
            _ => osn::rules::Action::Off,
        };
        let scale = self.fixed.unwrap_or_else(|| action.scale(1.0, self.sigma(weight)));
        weight.iter().zip(self.cotangent).map(|(w, c)| scale * w * c).sum()
    }

    fn gradient(&self, weight: &[f64]) -> Vec<f64> {
        let step = 1e-6;
        (0..weight.len())
            .map(|index| {
                let at = |delta: f64| {
                    let mut weight = weight.to_vec();
                    weight[index] += delta;
                    self.value(&weight)
                };
                (at(step) - at(-step)) / (2.0 * step)
            })
            .collect()
    }
}

/// Returns ⟨G, Ŵ⟩ too, by whose sign `InwardOnly` chooses.
fn check(rule: &str, gradient: SigmaGradient, axis: usize, sign: f32) -> f64 {
    let device = Device::flex().autodiff();
    let weight = support::draw(SHAPE, &device);
    let noise = support::draw(SHAPE, &device);
    // Mostly along the weight, so that ⟨G, Ŵ⟩ has the sign that is asked for.
    let cotangent = weight.clone() * sign + noise * 0.3;
    let rule = Rule::parse(rule).unwrap();
    let model = Bare { kernel: Param::from_tensor(weight) };
    let plan = Plan::new()
        .select(Selection::paths("kernel").output_axis(axis))
        .gradient(gradient)
        .decide(rule.clone());
    let (model, _) = plan.attach(model).unwrap();

    let loss = (model.kernel.val() * cotangent.clone()).sum();
    let ours = model.kernel.base().grad(&loss.backward()).unwrap();
    let doubles = |tensor: Tensor<3>| tensor.into_data().iter::<f64>().collect::<Vec<_>>();
    let (weight, cotangent) = (doubles(model.kernel.base()), doubles(cotangent));
    let state = model.kernel.reparameterization::<SpectralNorm>().unwrap();
    let along: f64 = weight.iter().zip(&cotangent).map(|(w, c)| state.scale()[0] * w * c).sum();
    let is_detached = match gradient {
        SigmaGradient::Full => false,
        SigmaGradient::Detached => true,
        SigmaGradient::InwardOnly => along > 0.0,
    };
    let function = Function {
        cotangent: &cotangent,
        u: state.u(),
        v: state.v(),
        axis,
        rule: &rule,
        fixed: is_detached.then(|| state.scale()[0]),
    };
    let error = support::relative_error(&doubles(ours), &function.gradient(&weight));
    assert!(error < 1e-5, "{rule:?} {gradient:?} axis {axis}: relative error {error:e}");
    along
}

#[test]
fn gradients_of_every_action_are_those_of_the_function() {
    let rules =
        ["never", "always", "always:target=2.5", "cap:target=0.7", "cap:target=1.1,sharpness=3"];
    for rule in rules {
        for gradient in [SigmaGradient::Full, SigmaGradient::Detached, SigmaGradient::InwardOnly] {
            for axis in 0..3 {
                assert!(check(rule, gradient, axis, 1.0) > 0.0);
                assert!(check(rule, gradient, axis, -1.0) < 0.0);
            }
        }
    }
}

#[test]
fn one_gradient_serves_two_forwards_of_one_backward() {
    let device = Device::flex().autodiff();
    let weight = support::draw(SHAPE, &device);
    let model = Bare { kernel: Param::from_tensor(weight) };
    let (model, _) = Plan::new().select("kernel").attach(model).unwrap();
    let [a, b] = [0, 1].map(|_| support::draw(SHAPE, &device));
    let gradient = |loss: Tensor<1>| -> Vec<f64> {
        model.kernel.base().grad(&loss.backward()).unwrap().into_data().iter().collect()
    };
    let loss = |c: &Tensor<3>| (model.kernel.val() * c.clone()).sum();
    let together = gradient(loss(&a) + loss(&b));
    let apart = gradient(loss(&a)).into_iter().zip(gradient(loss(&b))).map(|(a, b)| a + b);
    for (together, apart) in together.into_iter().zip(apart) {
        assert!((together - apart).abs() < 1e-5);
    }
}
