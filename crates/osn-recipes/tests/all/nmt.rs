//! The `nmt` recipe: what is decided by head, what is recorded, and runs of a few steps.

use std::collections::BTreeSet;

use crate::runs::{Run, a_seed_decides, acts, bits, event_counts, events, request, train, under};
use burn::tensor::Device;
use osn_recipes::crew::Crew;
use osn_recipes::decide::Decide;
use osn_recipes::nmt::config::{NmtConfig, Norm};
use osn_recipes::nmt::examples::{Example, PairBatch};
use osn_recipes::nmt::learner::{Learner, Update};
use osn_recipes::run::description::{RunDescription, RunStatus};
use osn_recipes::run::pending::PendingSignals;
use osn_recipes::run::samples::TextTable;
use osn_runs::event::Event;
use osn_runs::folder::RunFolder;

fn small() -> NmtConfig {
    NmtConfig {
        norm: Norm::Post,
        encoder_layers: 1,
        decoder_layers: 1,
        width: 8,
        heads: 2,
        feed_forward: 12,
        dropout: 0.1,
        ..NmtConfig::quick()
    }
}

const SUBWORDS: u32 = 20;

/// Made-up pairs; the translation of a sentence has one subword for every two.
fn batch(step: u64) -> PairBatch {
    let pair = |index: u64| {
        let length = 3 + (index + step) % 4;
        let id = |place: u64| 3 + u32::try_from((index * 5 + place * step) % 17).unwrap();
        let source: Vec<u32> = (0..length).map(id).chain([2]).collect();
        let target = source.iter().copied().step_by(2).filter(|&id| id != 2).chain([2]).collect();
        Example { source, target }
    };
    let pairs: Vec<Example> = (0..6).map(pair).collect();
    PairBatch::new(&pairs.iter().collect::<Vec<_>>(), &Device::flex().autodiff())
}

fn learner(config: &NmtConfig, rule: Option<&str>) -> Learner {
    let decide = rule.map(|rule| Decide::named(rule).unwrap());
    Learner::new(config, SUBWORDS as usize, decide.as_ref(), 3, &Device::flex()).unwrap()
}

/// A learner after so many updates.
fn trained(config: &NmtConfig, rule: Option<&str>, updates: u64) -> Learner {
    let (mut learner, mut pending) = (learner(config, rule), PendingSignals::default());
    for step in 1..=updates {
        let update = Update { step, learning_rate: 1e-2, is_logged: step == updates };
        let learned =
            learner.update(&[batch(step)], update, &mut pending, &mut Crew::alone()).unwrap();
        assert_eq!(learned.gradient_norms.is_empty(), step < updates);
    }
    learner
}

#[test]
fn measuring_alone_changes_no_bit_of_the_training() {
    let trained = |rule| bits(&trained(&small(), rule, 4).trained.network);
    let plain = trained(None);
    assert_eq!(plain, trained(Some("never")));
    assert_eq!(plain, trained(Some("observe:interval=1")));
    assert_ne!(plain, trained(Some("always")));
    assert_ne!(plain, trained(Some("static:kind=attention")));
    assert_ne!(plain, trained(Some("lr_over_sigma:interval=1")));
}

#[test]
fn a_short_training_learns() {
    let config = NmtConfig { dropout: 0.0, ..small() };
    let loss = |updates| {
        let mut learner = trained(&config, Some("static:kind=attention"), updates);
        let update = Update { step: 100, learning_rate: 0.0, is_logged: false };
        let learned = learner
            .update(&[batch(1)], update, &mut PendingSignals::default(), &mut Crew::alone())
            .unwrap();
        learned.loss.into_scalar::<f32>()
    };
    let (before, after) = (loss(1), loss(150));
    assert!(after < 0.6 * before, "{before} and then {after}");
}

/// The names of the layers that a rule holds in a new network.
fn held(rule: &str) -> BTreeSet<String> {
    held_by(&learner(&small(), Some(rule)))
}

fn held_by(learner: &Learner) -> BTreeSet<String> {
    let wanted = learner.trained.osn.as_ref().unwrap().wanted();
    let held = wanted.into_iter().filter(|change| change.to.target().is_some());
    held.map(|change| change.name).collect()
}

const OF_ATTENTIONS: [&str; 3] = ["encoder.0.attention", "decoder.0.attention", "decoder.0.cross"];

fn heads(part: &str) -> Vec<String> {
    let of_weight =
        |attention: &&str| [0, 1].map(|head| format!("{attention}.{part}.weight[{head}]"));
    OF_ATTENTIONS.iter().flat_map(of_weight).collect()
}

#[test]
fn rules_choose_among_heads_and_whole_weights_by_path_and_kind_and_position() {
    let of_heads: BTreeSet<_> = ["query", "key", "value"].into_iter().flat_map(heads).collect();
    assert_eq!(held("static:path=**.query.weight"), heads("query").into_iter().collect());
    let by_path = "static:path=**.query.weight,path=**.key.weight,path=**.value.weight";
    assert_eq!(held(by_path), of_heads);
    let outputs = OF_ATTENTIONS.map(|attention| format!("{attention}.output.weight"));
    let attention: BTreeSet<_> = of_heads.iter().cloned().chain(outputs).collect();
    assert_eq!(held("static:kind=attention"), attention);
    let feed_forward = ["encoder.0", "decoder.0"].iter().flat_map(|layer| {
        ["first", "second"].map(|part| format!("{layer}.feed_forward.{part}.weight"))
    });
    assert_eq!(held("static:kind=linear"), feed_forward.collect());
    assert_eq!(held("static:kind=embedding"), ["embedding.weight".to_owned()].into());
    let all: BTreeSet<_> = ["attention", "linear", "embedding"]
        .into_iter()
        .flat_map(|kind| held(&format!("static:kind={kind}")))
        .collect();
    assert_eq!(held("always"), all);
    // A weight is at one position, whatever it is cut into.
    assert_eq!(
        held("static:position=1"),
        [0, 1].map(|head| format!("encoder.0.attention.query.weight[{head}]")).into()
    );
    assert_eq!(held("static:position=first"), ["embedding.weight".to_owned()].into());
    let whole: BTreeSet<_> = held("static:kind=attention@matrix");
    assert_eq!(whole.len(), 3 * 4, "a view that is asked for is that of every weight: {whole:?}");
}

/// Query, key and value of head 1 of the encoder.
fn one_head() -> BTreeSet<String> {
    let of_part = |part| format!("encoder.0.attention.{part}.weight[1]");
    ["query", "key", "value"].map(of_part).into()
}

#[test]
fn one_head_is_chosen_by_its_number_and_let_go_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    let rules = "[[rule]]\nrule = \"never\"\n\
                 [[rule]]\nrule = \"schedule\"\non = 2\noff = 4\ninterval = 1\n\
                 select = { paths = \"encoder.0.attention.*.weight\", blocks = 1 }\n";
    std::fs::write(&file, rules).unwrap();
    let held_after = |updates| held_by(&trained(&small(), file.to_str(), updates));
    assert_eq!([1, 2, 4].map(held_after), [[].into(), one_head(), [].into()]);
    assert_eq!(held("static:path=encoder.0.attention.*.weight,block=1"), one_head());
    // All that is seen by head has a head 0; nothing has a head 2.
    let firsts = ["query", "key", "value"].into_iter().flat_map(heads);
    assert_eq!(held("static:block=0"), firsts.filter(|name| name.ends_with("[0]")).collect());
    let nothing = Decide::named("static:block=2").unwrap();
    assert!(Learner::new(&small(), SUBWORDS as usize, Some(&nothing), 3, &Device::flex()).is_err());
}

#[test]
fn a_file_of_rules_and_a_schedule_decide_by_head() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    let rules = "[[rule]]\nrule = \"never\"\n\
                 [[rule]]\nrule = \"cap\"\ntarget = 0.5\nhysteresis = 0.0\nselect = { paths = [\"**.{query,key}.weight\"] }\n";
    std::fs::write(&file, rules).unwrap();
    let expected: BTreeSet<_> = ["query", "key"].into_iter().flat_map(heads).collect();
    assert_eq!(held(file.to_str().unwrap()), expected);
    let scheduled = |rule: &str, updates| {
        let wanted = trained(&small(), Some(rule), updates).trained.osn.unwrap().wanted();
        wanted.iter().filter(|change| change.to.target().is_some()).count()
    };
    let rule = "schedule:on=2,off=4,interval=1";
    assert_eq!([1, 2, 4].map(|updates| scheduled(rule, updates)), [0, 3 * 7 + 4 + 1, 0]);
}

#[test]
fn one_head_is_held_beside_another_that_is_not_and_each_says_why() {
    let learner = trained(&small(), Some("cap:interval=1,target=1.3,hysteresis=0"), 40);
    let osn = learner.trained.osn.as_ref().unwrap();
    let report = osn.report(&learner.trained.network).unwrap();
    let of_head = |layer: &&osn::report::LayerReport| layer.layer.block.is_some();
    let pairs: Vec<_> = report.iter().filter(of_head).collect();
    let pairs: Vec<_> = pairs.chunks(2).collect();
    assert_eq!(pairs.len(), 9);
    let is_held = |layer: &osn::report::LayerReport| layer.applied.action.target().is_some();
    assert!(pairs.iter().any(|pair| is_held(pair[0]) != is_held(pair[1])), "{pairs:?}");
    for pair in pairs {
        assert_ne!(pair[0].sigma, pair[1].sigma);
        assert_ne!(pair[0].reason, pair[1].reason);
        assert_eq!(pair[0].layer.path, pair[1].layer.path);
    }
}

#[test]
fn a_finished_run_records_heads_and_losses_and_translations() {
    let run = Run::of("nmt", Some("static:kind=attention"), &[]);
    let folder = RunFolder::open(&run.folder).unwrap();
    let description = folder.description::<RunDescription>().unwrap();
    assert_eq!(description.status, RunStatus::Finished);
    assert_eq!(description.signatures["chrf"], osn_recipes::metrics::chrf::SIGNATURE);
    // One attention in the encoder's layer and two in each of the decoder's, each of two heads; an
    // attention has six layers in its heads and one behind them.
    let (attentions, stacks) = (1 + 2 * 2, 3);
    let layers = attentions * 7 + stacks * 2 + 1;
    assert_eq!(event_counts(&events(&run))[..3], [6, 6 * layers, 2]);
    let n_heads =
        events(&run).iter().filter(|event| matches!(event, Event::Attention { .. })).count();
    assert_eq!(n_heads, 6 * attentions * 2);
    for event in events(&run) {
        match event {
            Event::Attention { entropy, max_logit, path, .. } => {
                assert!((0.0..12_f64.ln()).contains(&entropy) && max_logit.is_finite(), "{path}");
            }
            Event::Step { signals, losses, .. } => {
                let whole = signals["gradient_norm"];
                let parts = signals.iter().filter(|(name, _)| name.starts_with("gradient_norm/"));
                let parts: f64 = parts.map(|(_, norm)| norm * norm).sum();
                assert!((parts.sqrt() / whole - 1.0).abs() < 1e-9 && whole > 0.0, "{signals:?}");
                assert!(signals["gradient_norm/decoder.1"] > 0.0, "{signals:?}");
                for loss in
                    [signals["train_loss"], signals["held_out_loss"], losses["cross_entropy"]]
                {
                    assert!(loss > 1.0 && loss < 12.0, "{loss}");
                }
            }
            _ => {}
        }
    }
    let (step, table) = folder.sample_tables().unwrap().pop().unwrap();
    let table: TextTable = serde_json::from_slice(&std::fs::read(table).unwrap()).unwrap();
    assert_eq!((step, table.columns.len(), table.rows.len()), (6, 3, 40));
    assert!(table.rows.iter().all(|row| row.len() == 3 && !row[0].is_empty()));
    let tokenizer = std::fs::read_to_string(run.folder.join("tokenizer.json")).unwrap();
    assert!(
        osn_recipes::data::text::subwords::Subwords::from_json(&tokenizer).unwrap().len() <= 400
    );
}

#[test]
fn the_same_seed_gives_the_same_record_whatever_is_drawn() {
    let out = tempfile::tempdir().unwrap();
    a_seed_decides(request("nmt", &[("dropout", "0.3")], out.path()));
    a_seed_decides(request("nmt", &[("norm", "post"), ("tie", "target")], out.path()));
}

#[test]
fn numbers_gone_bad_end_the_run_by_name() {
    crate::runs::diverges("nmt", &[], tempfile::tempdir().unwrap().path());
}

#[test]
fn the_rules_act_on_scores_and_losses() {
    let often = [("eval_every", "2")];
    let plateau = "plateau:metric=loss,interval=1,every=1,patience=1,delta=100";
    acts("nmt", plateau, &often, "loss");
    acts("nmt", "learned:interval=1", &often, "held-out");
    acts("nmt", "random:dwell=1,interval=1", &[], "draw");
}

#[test]
fn pairs_that_are_all_too_long_are_refused_and_some_are_noticed() {
    let out = tempfile::tempdir().unwrap();
    let error = crate::runs::refused(&request(
        "nmt",
        &[("max_length", "3"), ("vocabulary", "259")],
        out.path(),
    ));
    assert!(error.to_string().contains("max_length"), "{error}");
    let mut observer = crate::runs::StopsAfter::steps(1);
    osn_recipes::train(&request("nmt", &[], out.path()), &mut observer).unwrap();
    assert!(
        observer.noticed.iter().any(|words| words.contains("training pairs")),
        "{:?}",
        observer.noticed
    );
}

#[test]
fn a_rate_that_changes_within_the_run_changes_what_follows_and_nothing_before() {
    let out = tempfile::tempdir().unwrap();
    let losses = |more: &[(&str, &str)]| {
        let run = train(&under("never", request("nmt", more, out.path())));
        let loss = |event| match event {
            Event::Step { losses, .. } => Some(losses["cross_entropy"]),
            _ => None,
        };
        events(&run).into_iter().filter_map(loss).collect::<Vec<f64>>()
    };
    let plain = losses(&[("warmup_steps", "0")]);
    let changed = losses(&[("warmup_steps", "0"), ("change_at", "3"), ("change_factor", "4")]);
    // The third update is the first of the new rate, and the fourth loss the first to see it.
    assert_eq!(plain[..3], changed[..3]);
    assert_ne!(plain[3..], changed[3..]);
}
