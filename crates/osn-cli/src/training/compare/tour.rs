//! `osn tour`: what a rule is for, in one training that is run twice.

use osn_report::Digits;
use osn_report::study::{Analysis, Study, StudyRun};

use super::cell;
use super::ledger::Ledger;
use super::plan::Plan;
use crate::command_line::shell::program;
use crate::failure::{Failure, SUCCESS};
use crate::run::page;
use crate::terminal::stderr::say;
use crate::terminal::table::{Row, Title, laid_out};
use crate::terminal::text::columns;
use crate::terminal::{interrupt, stdout};
use crate::training::args::{CompareArgs, TourArgs, Toured};

/// What is trained twice.
struct Tour {
    recipe: &'static str,
    preset: Option<&'static str>,
    /// The recipe's own rule, and none.
    rules: [&'static str; 2],
    /// What is unlike the preset.
    settings: &'static [(&'static str, &'static str)],
    out: &'static str,
    introduction: [&'static str; 2],
    /// A third rule that is worth a comparison, and what it does.
    third: [&'static str; 2],
    /// What the other tour shows, and its command.
    other: [&'static str; 2],
}

/// At seven times the preset's learning rate: a discriminator that is left alone becomes steep at it.
const GAN: Tour = Tour {
    recipe: "gan",
    preset: None,
    rules: ["auto", "never"],
    settings: &[("learning_rate", "0.002")],
    out: "studies/tour",
    introduction: [
        "One GAN, trained twice at a high learning rate, all else equal: under `auto`, which normalizes every layer of the",
        "discriminator, and under `never`, which leaves it alone.",
    ],
    third: ["lr_over_max_sigma", "scales the updates instead"],
    other: ["a Transformer, whose blocks are held at first and then let go", "tour nmt"],
};

const NMT: Tour = Tour {
    recipe: "nmt",
    preset: Some("deep"),
    rules: ["auto:task=sequence", "never"],
    settings: &[],
    out: "studies/tour-nmt",
    introduction: [
        "One deep Transformer, trained twice for its first 300 steps, all else equal: under `auto`, which normalizes its",
        "blocks until the gradient reaches the first and then lets them go, and under `never`.",
    ],
    third: ["always", "normalizes always"],
    other: ["a GAN, whose discriminator is held throughout", "tour gan"],
};

/// Trains a network with the recipe's rule and without one, all else equal, and shows both.
pub(crate) fn run(args: &TourArgs) -> Result<u8, Failure> {
    let stop = interrupt::listen()?;
    let tour = match args.recipe {
        Toured::Gan => &GAN,
        Toured::Nmt => &NMT,
    };
    let plan = Plan::of(&tour.study(args))?;
    let [first, second] = tour.introduction;
    say(format_args!("{first}\n{second} Ctrl-C stops; the same command goes on."));
    for (place, cell) in plan.cells.iter().enumerate() {
        say(format_args!("\n{} of {}: {}", place + 1, plan.cells.len(), cell.arm));
        let code = cell::settle(cell, &stop)?;
        if code != SUCCESS {
            return Ok(if stop.is_set() { stop.exit_code() } else { code });
        }
    }
    let ledger = Ledger::open(&plan)?;
    ledger.write(Some(&Analysis::of(ledger.study())))?;
    let page = page::write_own(ledger.folder())?;
    stdout::print(&format!("\n{}\n{}\n", curves(ledger.study()), outcome(ledger.study())))?;
    let (page, program) = (page.display(), program());
    let ([_, third], [other, command]) = (tour.third, tour.other);
    say(format_args!(
        "\n  page   {page}\n\nnext: more seeds, and the rule that {third}\n  {program} {}\n{other}\n  {program} {command}",
        tour.next(),
    ));
    Ok(SUCCESS)
}

impl Tour {
    /// The comparison that the tour is.
    fn study(&self, args: &TourArgs) -> CompareArgs {
        let mut settings = args.settings.clone();
        for (key, value) in self.settings {
            if !settings.iter().any(|(given, _)| given == key) {
                settings.push(((*key).to_owned(), (*value).to_owned()));
            }
        }
        CompareArgs {
            recipe: self.recipe.to_owned(),
            preset: self.preset.map(str::to_owned),
            decide: self.rules.map(str::to_owned).to_vec(),
            seeds: args.seed..=args.seed,
            jobs: Some(1),
            settings,
            out: Some(args.out.clone().unwrap_or_else(|| self.out.into())),
            ..CompareArgs::default()
        }
    }

    /// The command that compares more seeds.
    fn next(&self) -> String {
        let preset = self.preset.map(|preset| format!(" --preset {preset}"));
        let settings = self.settings.iter().map(|(key, value)| format!(" --set {key}={value}"));
        let options: String = preset.into_iter().chain(settings).collect();
        let [third, _] = self.third;
        format!("compare {}{options} --decide {},{third}", self.recipe, self.rules.join(","))
    }
}

/// The score of both runs at each scoring, and at the end, where it is of more images.
fn curves(study: &Study) -> String {
    let longest = study.runs.iter().map(|run| &run.curve).max_by_key(|curve| curve.len());
    let steps: Vec<_> =
        longest.into_iter().flatten().map(|(step, _)| format!("step {step}")).collect();
    let metric = Title::text(&study.asked.metric);
    let numbers = steps.iter().map(String::as_str).chain(["at the end"]).map(Title::number);
    let titles: Vec<_> = [metric].into_iter().chain(numbers).collect();
    let scores = |run: &StudyRun| {
        let mut scores: Vec<_> = run.curve.iter().map(|(_, score)| *score).collect();
        scores.resize(steps.len(), None);
        scores.push(end(study, run));
        scores
    };
    let digits = Digits::of(study.runs.iter().flat_map(scores).flatten());
    let shown = |score: Option<f64>| score.map_or_else(|| "–".to_owned(), |it| digits.shown(it));
    let row = |run: &StudyRun| {
        let cells = [run.arm.clone()].into_iter().chain(scores(run).into_iter().map(shown));
        Row { mark: "", cells: cells.collect() }
    };
    laid_out(&titles, &study.runs.iter().map(row).collect::<Vec<_>>(), columns())
}

/// The score that counts at the end of a run.
fn end(study: &Study, run: &StudyRun) -> Option<f64> {
    run.metrics.get(&study.asked.metric).copied().flatten()
}

/// Both scores in a sentence.
fn outcome(study: &Study) -> String {
    let metric = &study.asked.metric;
    let better = if study.asked.higher_is_better { "higher" } else { "lower" };
    let scores: Vec<_> = study.runs.iter().map(|run| (run, end(study, run))).collect();
    match scores[..] {
        [(held, Some(of_held)), (free, Some(of_free))] => format!(
            "{metric} {} with `{}` and {} with `{}`, where {better} is better: same seed, same steps, same settings.\nOne \
             seed is one draw; osn compare trains several.",
            osn_report::short(of_held),
            held.arm,
            osn_report::short(of_free),
            free.arm,
        ),
        _ => "A run has no score: it failed, see above.".to_owned(),
    }
}
