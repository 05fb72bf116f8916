//! What people read: every sentence of the library's errors and of `Plan::explain`, in one place.
//!
//! Where a better word is found, `INSTA_UPDATE=always cargo test --release --workspace --test all sentences` takes it over.

use std::error::Error;
use std::num::NonZeroU64;

use crate::support::{device, noisy, plan, with_first};
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::Tensor;
use osn::rules::{Rates, Signals};
use osn::views::{Convolution, SigmaGradient, View};
use osn::workers::{TeamError, WorkersError};
use osn::{AttachError, Osn, Plan, Selection, StepError};

/// Compares with `snapshots/`, which holds no code of this file.
macro_rules! assert_said {
    ($sentences:expr) => {
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!($sentences.join("\n"))
        })
    };
}

/// An error with what it comes from, as a command shows it.
fn said(error: &dyn Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm,
    head: Linear,
    taken: Linear,
    empty: Param<Tensor<2>>,
}

fn net() -> Net {
    let head = || LinearConfig::new(4, 2).init(&device());
    noisy(Net {
        conv: Conv2dConfig::new([1, 4], [3, 3]).init(&device()),
        norm: BatchNormConfig::new(4).init(&device()),
        head: head(),
        taken: plan("always").attach(head()).unwrap().0,
        empty: Param::from_tensor(Tensor::zeros([0, 3], &device())),
    })
}

#[test]
fn plans_that_cannot_be_attached() {
    let seen = |view: View| Plan::new().select(Selection::paths("conv.weight").view(view));
    let no_rates = Rates { blend_per_step: 0.0, ..Rates::default() };
    let plans = [
        Plan::new(),
        Plan::new().select("nothing.*"),
        Plan::new().select("head.bias"),
        Plan::new().select("head[."),
        Plan::new().select("taken.weight"),
        Plan::new().select("empty"),
        Plan::new().select(Selection::paths("head.weight").output_axis(2)),
        seen(View::Matrix),
        seen(View::Blocks { axis: 0, count: 3 }),
        seen(View::Blocks { axis: 4, count: 2 }),
        seen(View::Operator(Convolution::new([9]))),
        seen(View::Operator(Convolution::new([9, 9]).groups(3))),
        Plan::new().select("head.weight").rates(no_rates),
    ];
    let mut all: Vec<String> =
        plans.into_iter().map(|plan| said(&plan.attach(net()).unwrap_err())).collect();
    let parts = ["path=nothing.*", "network=Discriminator", "position=99999", "kind=conv"];
    for part in parts {
        all.push(said(&plan(&format!("static:{part}")).attach(net().head).unwrap_err()));
    }
    all.push(said(&plan("always").attach(with_first(net().head, f32::NAN)).unwrap_err()));
    let (path, device, features) = ("weight".to_owned(), "NdArray(Cpu)".to_owned(), "`flex`");
    all.push(said(&AttachError::Backend { path, device, features }));
    assert_said!(all);
}

#[test]
fn parameters_that_are_left_out() {
    let explained = |plan: Plan| plan.explain(&net()).unwrap().into_iter();
    let plan = Plan::new().select(Selection::default().exclude("{head,conv}.*")).select("norm.*");
    let choices = explained(plan).chain(explained(Plan::new()).take(1));
    assert_said!(
        choices.map(|it| format!("{}: {}", it.path, it.left_out.unwrap())).collect::<Vec<_>>()
    );
}

fn held(rule: &str) -> (Linear, Osn) {
    plan(rule).attach(net().head).unwrap()
}

#[test]
fn steps_that_cannot_be_taken() {
    let failed = |(mut model, mut osn): (Linear, Osn), signals: &Signals| -> StepError {
        (0..60).find_map(|_| osn.step(&mut model, signals).err()).unwrap()
    };
    let keep = NonZeroU64::new(100).unwrap();
    let (model, osn) = held("cap");
    let kept = plan("schedule:off=5").keep_step_size(keep).attach(net().head).unwrap();
    let all = [
        (with_first(model.clone(), f32::NAN), osn.clone()),
        (net().head, osn.clone()),
        held("budget"),
        held("learned"),
        held("lr_over_sigma"),
        kept,
    ];
    let all = all.map(|held| said(&failed(held, &Signals::new())));
    let unmeasured = osn.clone().remeasure(&mut with_first(model, f32::NAN)).unwrap_err();
    assert_said!([&all[..], &[said(&unmeasured)]].concat());
}

#[test]
fn states_that_cannot_be_resumed() {
    let (_, osn) = held("cap");
    let refused = |plan: Plan| plan.attach(net().head).unwrap().1.resume(osn.state()).unwrap_err();
    let rates = Rates { blend_per_step: 0.5, ..Rates::default() };
    let blocks = Selection::paths("weight").view(View::Blocks { axis: 1, count: 2 });
    let plans = [
        plan("cap").select(blocks),
        plan("cap").gradient(SigmaGradient::Detached),
        plan("cap").rates(rates),
        plan("cap").keep_step_size(NonZeroU64::new(9).unwrap()),
        plan("budget"),
    ];
    let mut all: Vec<String> = plans.into_iter().map(|plan| said(&refused(plan))).collect();
    let mut damaged = serde_json::to_value(osn.state()).unwrap();
    damaged["actuators"] = serde_json::json!([]);
    let damaged = serde_json::from_value(damaged).unwrap();
    all.push(said(&osn.clone().resume(damaged).unwrap_err()));
    assert_said!(all);
}

#[test]
fn trainings_of_several_workers_that_end() {
    let (path, reason) = ("head.weight".to_owned(), "broken pipe".to_owned());
    let (worker, step) = (2, 41);
    let all = [
        TeamError::NoShard { workers: 9, shards: 8 },
        TeamError::Different { worker, what: "learning_rate".to_owned() },
        TeamError::Failed { worker, step, words: "cannot write model.bpk: disk full".to_owned() },
        TeamError::NotFinite { path, step, shard: 5, worker },
        TeamError::Parted { worker, step },
        TeamError::OtherCall { step },
        WorkersError::Gone { worker }.into(),
        WorkersError::Unreachable { worker, reason }.into(),
    ];
    assert_said!(all.map(|error| format!("{} {}", error.exit_code(), said(&error))));
}
