//! Small runs, and what they leave: shared by the tests of the recipes.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]
#![allow(dead_code, reason = "no test file needs all of it")]

use std::cell::Cell;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use osn_recipes::adversarial::players::Players;
use osn_recipes::data::sampler::noise;
use osn_recipes::run::event::Event;
use osn_recipes::run::observer::{DecisionNote, Evaluation, Observer, Progress, RunStart, Silent};
use osn_recipes::run::record::read_record;
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::summary::RunSummary;

/// What makes a run with generated images take seconds.
pub(crate) const TINY_IMAGES: [(&str, &str); 8] = [
    ("steps", "6"),
    ("log_every", "1"),
    ("eval_every", "3"),
    ("batch_size", "8"),
    ("g_channels", "4"),
    ("d_channels", "4"),
    ("eval_images", "100"),
    ("final_images", "200"),
];

/// What makes a run of `control` take seconds.
pub(crate) const TINY_CONTROL: [(&str, &str); 4] =
    [("batch_size", "8"), ("hidden_sizes", "8,8"), ("eval_episodes", "2"), ("final_episodes", "4")];

/// What makes a network of `classify` small: of the one that is set, or else of the `resnet`.
pub(crate) fn tiny_network(settings: &[(&str, &str)]) -> &'static [(&'static str, &'static str)] {
    let network = settings.iter().rev().find(|(key, _)| *key == "network");
    match network.map_or("resnet", |(_, network)| network) {
        "mlp" => &[("hidden_sizes", "8,8")],
        "resnet" => &[("stage_channels", "4,4")],
        _ => &[],
    }
}

/// A run of a recipe with seed 7, with settings that make it small and then more of them.
pub(crate) fn request(
    recipe: &str,
    small: &[(&str, &str)],
    more: &[(&str, &str)],
    out: &Path,
) -> TrainRequest {
    let settings = small.iter().chain(more).map(|(key, value)| ((*key).into(), (*value).into()));
    TrainRequest {
        recipe: recipe.into(),
        seed: 7,
        settings: settings.collect(),
        out: out.to_owned(),
        ..TrainRequest::default()
    }
}

/// Stops a run that has been asked so often whether it is to: after so many steps.
pub(crate) struct StopsAfter {
    asked: Cell<u64>,
    steps: u64,
    pub(crate) noticed: Vec<String>,
}

impl StopsAfter {
    pub(crate) fn steps(steps: u64) -> Self {
        Self { asked: Cell::new(0), steps, noticed: Vec::new() }
    }
}

impl Observer for StopsAfter {
    fn started(&mut self, start: &RunStart) {
        // A run that goes on asks for the step before its first, too.
        self.asked.set(start.done.saturating_sub(1));
    }
    fn progress(&mut self, _: &Progress) {}
    fn evaluated(&mut self, _: &Evaluation) {}
    fn decided(&mut self, _: &DecisionNote) {}
    fn finished(&mut self, _: &RunSummary) {}
    fn noticed(&mut self, words: &str) {
        self.noticed.push(words.to_owned());
    }
    fn should_stop(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.asked.get() >= self.steps
    }
}

pub(crate) fn train(request: &TrainRequest) -> RunSummary {
    osn_recipes::train(request, &mut Silent).unwrap()
}

pub(crate) fn events(run: &RunSummary) -> Vec<Event> {
    read_record(&run.folder.join("record.jsonl")).unwrap().events
}

/// The record without what the clock says.
pub(crate) fn timeless(run: &RunSummary) -> String {
    timeless_in(&run.folder)
}

/// The same of the run in a folder.
pub(crate) fn timeless_in(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("record.jsonl")).unwrap();
    let timeless = |line: &str| {
        let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
        event.as_object_mut().unwrap().remove("wall_secs");
        event.to_string() + "\n"
    };
    text.lines().map(timeless).collect()
}

/// The reasons of the decisions after the start.
pub(crate) fn reasons(run: &RunSummary) -> Vec<String> {
    let reason = |event: Event| match event {
        Event::Decision { step, reason, .. } if step > 0 => Some(reason),
        _ => None,
    };
    events(run).into_iter().filter_map(reason).collect()
}

/// The message of a run that is refused for what was asked.
pub(crate) fn refused(request: &TrainRequest) -> String {
    let error = osn_recipes::train(request, &mut Silent).unwrap_err();
    assert!(error.is_bad_input(), "{error}");
    error.to_string()
}

/// The picture of a step, as the bytes of its file.
pub(crate) fn picture(run: &RunSummary, step: u64) -> Vec<u8> {
    std::fs::read(run.folder.join(format!("samples/step-{step:06}.png"))).unwrap()
}

/// All float parameters, as bits.
pub(crate) fn bits<M: Module>(model: &M) -> Vec<u32> {
    let mut bits = Bits(Vec::new());
    model.visit(&mut bits);
    bits.0
}

struct Bits(Vec<u32>);

impl ModuleVisitor for Bits {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.extend(param.base().into_data().iter::<f32>().map(f32::to_bits));
    }
}

/// A seed decides every number of the record and every pixel; another seed gives another run.
pub(crate) fn a_seed_decides(request: TrainRequest) {
    let (first, second) = (train(&request), train(&request));
    assert_ne!(first.folder, second.folder, "no run is written over");
    assert_eq!(timeless(&first), timeless(&second));
    assert_eq!(picture(&first, first.steps), picture(&second, second.steps));
    let other = train(&TrainRequest { seed: request.seed + 1, ..request });
    assert_ne!(timeless(&first), timeless(&other));
}

/// Training under rules that only measure has the weights of training without osn, bit by bit.
pub(crate) fn measuring_changes_no_bit(trained: impl Fn(Option<&str>) -> Vec<u32>) {
    let plain = trained(None);
    assert_eq!(plain, trained(Some("never")));
    assert_eq!(plain, trained(Some("observe:interval=1")));
    assert_ne!(plain, trained(Some("always")));
}

/// Normal numbers on the autodiff device; `stream` and `step` choose which.
pub(crate) fn normal<const D: usize>(stream: u64, step: u64, shape: [usize; D]) -> Tensor<D> {
    let values = noise(1, stream, step, shape.iter().product());
    Tensor::<1>::from_data(values.as_slice(), &Device::flex().autodiff()).reshape(shape)
}

/// The weights of both networks, as bits.
pub(crate) fn bits_of_both<G: Module, D: Module>(players: &Players<G, D>) -> Vec<u32> {
    [bits(&players.discriminator.network), bits(&players.generator.network)].concat()
}
