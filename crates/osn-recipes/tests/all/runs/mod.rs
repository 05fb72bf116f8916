//! Small runs, and what they leave: shared by the tests of the recipes.

use std::cell::Cell;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use osn_recipes::data::error::DataError;
use osn_recipes::data::sampler::noise;
use osn_recipes::run::error::{NonFinite, RunError};
use osn_recipes::run::observer::{Observer, RunStart, Silent};
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::settings::SettingError;
use osn_recipes::run::summary::RunSummary;
use osn_runs::event::Event;
use osn_runs::record::read_record;

pub(crate) const RECIPES: [&str; 6] = ["gan", "cgan", "translate", "control", "classify", "nmt"];

/// What makes a run of a recipe take seconds.
pub(crate) fn tiny(recipe: &str) -> &'static [(&'static str, &'static str)] {
    match recipe {
        "control" => &[
            ("steps", "6"),
            ("log_every", "1"),
            ("eval_every", "3"),
            ("batch_size", "8"),
            ("hidden_sizes", "8,8"),
            ("eval_episodes", "2"),
            ("final_episodes", "4"),
        ],
        "classify" => &[
            ("steps", "6"),
            ("log_every", "1"),
            ("eval_every", "3"),
            ("batch_size", "8"),
            ("eval_images", "80"),
            ("final_images", "120"),
        ],
        "nmt" => &[
            ("steps", "6"),
            ("log_every", "1"),
            ("eval_every", "3"),
            ("batch_size", "8"),
            ("vocabulary", "400"),
            ("encoder_layers", "1"),
            ("decoder_layers", "2"),
            ("width", "8"),
            ("heads", "2"),
            ("feed_forward", "8"),
            ("max_length", "12"),
            ("beam", "2"),
            ("eval_sentences", "4"),
            ("final_sentences", "6"),
        ],
        _ => &[
            ("steps", "6"),
            ("log_every", "1"),
            ("eval_every", "3"),
            ("batch_size", "8"),
            ("g_channels", "4"),
            ("d_channels", "4"),
            ("eval_images", "100"),
            ("final_images", "200"),
        ],
    }
}

/// What makes the network of `classify` small: the one that is set, or else the `resnet`.
fn tiny_network(settings: &[(&str, &str)]) -> &'static [(&'static str, &'static str)] {
    let network = settings.iter().rev().find(|(key, _)| *key == "network");
    match network.map_or("resnet", |(_, network)| network) {
        "mlp" => &[("hidden_sizes", "8,8")],
        "resnet" => &[("stage_channels", "4,4")],
        _ => &[],
    }
}

/// A small run of a recipe with seed 7; `more` settings win over those that make it small.
pub(crate) fn request(recipe: &str, more: &[(&str, &str)], out: &Path) -> TrainRequest {
    let network = if recipe == "classify" { tiny_network(more) } else { &[] };
    let settings = tiny(recipe).iter().chain(network).chain(more);
    TrainRequest {
        recipe: recipe.into(),
        seed: 7,
        settings: settings.map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        out: out.to_owned(),
        ..TrainRequest::default()
    }
}

/// The same run under other rules: a rule, or the path of a file.
pub(crate) fn under(decide: &str, request: TrainRequest) -> TrainRequest {
    TrainRequest { decide: Some(decide.to_owned()), ..request }
}

/// The same run on other data: a name, or a folder.
pub(crate) fn on(data: impl AsRef<Path>, request: TrainRequest) -> TrainRequest {
    TrainRequest { data: Some(data.as_ref().to_str().unwrap().to_owned()), ..request }
}

/// A finished run, and the folder that is removed with it.
pub(crate) struct Run {
    summary: RunSummary,
    _out: tempfile::TempDir,
}

impl Run {
    /// A small run of a recipe under a rule, or under its own.
    pub(crate) fn of(recipe: &str, decide: Option<&str>, more: &[(&str, &str)]) -> Self {
        let out = tempfile::tempdir().unwrap();
        let decide = decide.map(str::to_owned);
        let request = TrainRequest { decide, ..request(recipe, more, out.path()) };
        Self { summary: train(&request), _out: out }
    }
}

impl std::ops::Deref for Run {
    type Target = RunSummary;

    fn deref(&self) -> &RunSummary {
        &self.summary
    }
}

/// Stops a run after so many steps.
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

/// The record without its times.
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

/// How many events there are: steps, layers, scorings, decisions and spectra; heads are not counted.
pub(crate) fn event_counts(events: &[Event]) -> [usize; 5] {
    let mut counts = [0; 5];
    for event in events {
        counts[match event {
            Event::Step { .. } => 0,
            Event::Layer { .. } => 1,
            Event::Eval { .. } => 2,
            Event::Decision { .. } => 3,
            Event::Spectrum { .. } => 4,
            Event::Attention { .. } => continue,
            other => panic!("{other:?}"),
        }] += 1;
    }
    counts
}

/// The reasons of the decisions after the start.
pub(crate) fn reasons(run: &RunSummary) -> Vec<String> {
    let reason = |event: Event| match event {
        Event::Decision { step, reason, .. } if step > 0 => Some(reason),
        _ => None,
    };
    events(run).into_iter().filter_map(reason).collect()
}

/// A rule decides after the start, and a reason has this word.
pub(crate) fn acts(recipe: &str, decide: &str, more: &[(&str, &str)], word: &str) {
    let reasons = reasons(&Run::of(recipe, Some(decide), more));
    assert!(reasons.iter().any(|reason| reason.contains(word)), "{decide}: {reasons:?}");
}

/// The error of a run that is refused for what was asked, in one line.
pub(crate) fn refused(request: &TrainRequest) -> RunError {
    bad_input(osn_recipes::train(request, &mut Silent).unwrap_err())
}

/// An error of what was asked, in one line.
pub(crate) fn bad_input(error: RunError) -> RunError {
    let message = error.to_string();
    assert!(error.is_bad_input() && !message.contains('\n') && message.len() < 2_000, "{message}");
    error
}

/// A request is refused for the value of a setting: for its kind, or by the check of the config.
pub(crate) fn refused_setting(request: &TrainRequest, setting: &str) {
    match refused(request) {
        RunError::Config { key, .. }
        | RunError::Setting { source: SettingError::BadValue { key, .. }, .. } => {
            assert_eq!(key, setting);
        }
        error => panic!("{error}"),
    }
}

/// What is wrong with the data of a refused run.
pub(crate) fn data_error(error: RunError) -> DataError {
    let RunError::Data { source, .. } = error else { panic!("{error}") };
    *source.downcast().unwrap()
}

/// A training that diverges ends with the weight or the loss that is not finite, soon.
pub(crate) fn diverges(recipe: &str, more: &[(&str, &str)], out: &Path) -> RunError {
    let request = request(recipe, &[more, &[("learning_rate", "1e30")]].concat(), out);
    let error = osn_recipes::train(&request, &mut Silent).unwrap_err();
    let RunError::NonFinite { what, step, .. } = &error else { panic!("{error}") };
    assert!(matches!(what, NonFinite::Loss(_) | NonFinite::Layer(_)) && *step <= 3, "{error}");
    assert!(!error.is_bad_input());
    error
}

/// The picture of a step, or its table, as the bytes of its file.
pub(crate) fn picture(run: &RunSummary, step: u64) -> Vec<u8> {
    let file = |ending| run.folder.join(format!("samples/step-{step:06}.{ending}"));
    std::fs::read(file("png")).or_else(|_| std::fs::read(file("json"))).unwrap()
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

/// Normal numbers on the autodiff device; `stream` and `step` choose which.
pub(crate) fn normal<const D: usize>(stream: u64, step: u64, shape: [usize; D]) -> Tensor<D> {
    let values = noise(1, stream, step, shape.iter().product());
    Tensor::<1>::from_data(values.as_slice(), &Device::flex().autodiff()).reshape(shape)
}
