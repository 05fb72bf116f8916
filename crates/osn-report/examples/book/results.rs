//! The pages of `docs/results`, and the tables of `docs/results.md`, from the studies in `docs/studies`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use osn_report::study::{Analysis, Block, Completion, ConfidenceInterval, Study, StudyRun, tables};

/// The columns of the table of the recipes. Each recipe has the `auto` of its task.
const ARMS: [&str; 6] = ["auto", "never", "always", "always@bidirectional", "cap", "lr_over_sigma"];
const RECIPES: [&str; 5] = ["gan", "cgan", "translate", "control", "resnet"];
/// Studies whose runs do not say when they began, by `git log --format=%cs -- docs/studies/NAME/study.json`.
const COMMITTED: [(&str, &str); 13] = [
    ("cgan", "2026-11-23"),
    ("claim_classify", "2026-11-27"),
    ("claim_control", "2026-11-27"),
    ("classify", "2026-11-23"),
    ("classify_regimes", "2026-11-27"),
    ("control", "2026-11-23"),
    ("gan", "2026-11-23"),
    ("gan_regimes", "2026-11-26 and 27"),
    ("nmt_regimes", "2026-11-27"),
    ("resnet", "2026-11-23"),
    ("translate", "2026-11-23"),
    ("tune_classify", "2026-11-27"),
    ("tune_control", "2026-11-27"),
];
const BEGIN: &str = "<!-- table: ";
const END: &str = "<!-- end of table -->";

/// Every study and what its numbers say, by the name of its folder.
pub(crate) type Studies = BTreeMap<String, (Study, Analysis)>;

pub(crate) fn studies(folder: &Path) -> Result<Studies, Box<dyn Error>> {
    let mut studies = Studies::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let study = Study::read(&fs::read_to_string(path.join("study.json"))?)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let analysis = Analysis::of(&study);
        studies.insert(name, (study, analysis));
    }
    Ok(studies)
}

/// The file's name and the text of each page.
pub(crate) fn pages(studies: &Studies) -> Vec<(String, String)> {
    let page = |(name, (study, analysis)): (&String, &(Study, Analysis))| {
        (format!("{name}.md"), page(name, study, analysis))
    };
    studies.iter().map(page).chain([("README.md".to_owned(), index(studies))]).collect()
}

fn index(studies: &Studies) -> String {
    let mut text = "# Studies\n\nEvery page here is made from a `study.json` by `cargo run -p osn-report --example book`, and a test fails \
                    where one is not. What the\nnumbers mean and where they are to be doubted: [results](../results.md).\n\n\
                    | study | recipe | score | rules | regimes | seeds | runs |\n|---|---|---|---|---|---|---|\n"
        .to_owned();
    for (name, (study, _)) in studies {
        let Study { asked, runs, .. } = study;
        let [n_arms, n_regimes] = [asked.arms.len(), asked.regimes.len()];
        let seeds = seeds(&asked.seeds);
        let line = format!(
            "| [{name}]({name}.md) | {} | `{}` | {n_arms} | {n_regimes} | {seeds} | {} |\n",
            asked.recipe,
            asked.metric,
            completed(runs)
        );
        text.push_str(&line);
    }
    text
}

fn page(name: &str, study: &Study, analysis: &Analysis) -> String {
    let mut text = format!(
        "# Study `{name}`\n\nMade from [study.json](../studies/{name}/study.json) by `cargo run -p osn-report --example book`: \
         change nothing here.\nWhat is to be doubted in these numbers: [results](../results.md#status-of-these-numbers).\n\n"
    );
    text.push_str(&facts(name, study));
    for block in tables(study, analysis) {
        text.push_str(&shown(&block));
    }
    text
}

/// What was asked, and where it ran.
fn facts(name: &str, study: &Study) -> String {
    let Study { asked, versions, machine, .. } = study;
    let direction = if asked.higher_is_better { "higher" } else { "lower" };
    let commit = versions["commit"].as_str().unwrap_or("not recorded");
    let regimes =
        asked.regimes.iter().map(|it| format!("`{}`: {}", it.name, settings(&it.settings)));
    let rows = [
        (
            "recipe, preset",
            format!("{}, {}", asked.recipe, asked.preset.as_deref().unwrap_or("its own")),
        ),
        ("score", format!("`{}`, {direction} is better", asked.metric)),
        ("command", format!("`{}`", command(name, study))),
        ("regimes", regimes.collect::<Vec<_>>().join("; ")),
        ("seeds", seeds(&asked.seeds)),
        ("runs", completed(&study.runs)),
        (
            "machine",
            format!(
                "{}, {}, {} cores",
                word(&machine["arch"]),
                word(&machine["os"]),
                machine["n_cores"]
            ),
        ),
        (
            "build",
            format!(
                "osn {}, Burn {}, commit {commit}",
                word(&versions["osn"]),
                word(&versions["burn"])
            ),
        ),
        ("date", date(name, study)),
    ];
    let rows =
        rows.iter().map(|(key, value)| format!("| {key} | {} |\n", value.replace('|', "\\|")));
    format!("| | |\n|---|---|\n{}\n", rows.collect::<String>())
}

/// The days on which the first and the last run began, else when the study was committed.
fn date(name: &str, study: &Study) -> String {
    let days = || study.runs.iter().filter_map(|run| run.started_unix_secs).map(day);
    match (days().min(), days().max()) {
        (Some(first), Some(last)) if first == last => first,
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => {
            let known = COMMITTED.iter().find(|(study, _)| *study == name);
            known.map_or("not recorded".to_owned(), |(_, date)| format!("committed on {date}"))
        }
    }
}

/// The day of a time in seconds since 1970 (UTC), as in 2026-11-27.
fn day(unix_secs: u64) -> String {
    // Years from March on, so that the day of a leap year is the last one.
    let days = unix_secs / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * from_march + 2) / 5 + 1, (from_march + 2) % 12 + 1);
    format!("{}-{month:02}-{day:02}", 400 * era + year + u64::from(month <= 2))
}

fn word(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or("not recorded")
}

fn settings(settings: &[String]) -> String {
    if settings.is_empty() { "as the preset".to_owned() } else { settings.join(" ") }
}

fn command(name: &str, study: &Study) -> String {
    let asked = &study.asked;
    let arms: Vec<&str> = asked.arms.iter().map(|arm| arm.name.as_str()).collect();
    let mut line = format!("osn compare {} --decide {}", asked.recipe, arms.join(","));
    let seeds = match asked.seeds[..] {
        [1, .., last] => last.to_string(),
        // One number alone would be a count.
        [seed] => format!("{seed}-{seed}"),
        _ => seeds(&asked.seeds).replace(" to ", "-"),
    };
    line.extend([" --seeds ", &seeds]);
    for (option, value) in [("preset", &asked.preset), ("data", &asked.data)] {
        line.extend(value.as_ref().map(|value| format!(" --{option} {value}")));
    }
    line.extend(asked.settings.iter().map(|setting| format!(" --set {setting}")));
    if asked.regimes.iter().any(|regime| !regime.settings.is_empty()) {
        line.extend([" --regime ", &regime_file(name)]);
    }
    line
}

/// Where the regimes of a study are.
fn regime_file(name: &str) -> String {
    match name {
        "claim_classify" | "tune_classify" => "examples/classify_regimes.toml".to_owned(),
        "claim_nmt" | "tune_nmt" => "examples/nmt_regimes.toml".to_owned(),
        "tune_control" => "examples/claim_control.toml".to_owned(),
        "tune_gan" | "claim_gan_waiting" => "examples/claim_gan.toml".to_owned(),
        "cgan" => "docs/studies/gan/regimes.toml".to_owned(),
        _ => {
            let example = format!("examples/{name}.toml");
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
            let is_there = root.join(&example).exists();
            if is_there { example } else { format!("docs/studies/{name}/regimes.toml") }
        }
    }
}

fn seeds(seeds: &[u64]) -> String {
    match seeds {
        [first, .., last] if last - first + 1 == seeds.len() as u64 => format!("{first} to {last}"),
        _ => seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn completed(runs: &[StudyRun]) -> String {
    let count = |status| runs.iter().filter(|run| run.status == status).count();
    let [finished, failed, missing] =
        [Completion::Finished, Completion::Failed, Completion::Missing].map(count);
    format!("{finished} finished, {failed} failed, {missing} missing")
}

fn shown(block: &Block) -> String {
    match block {
        Block::Text(text) => {
            let lines: Vec<String> = text.lines().map(|line| format!("- {line}")).collect();
            lines.join("\n") + "\n\n"
        }
        Block::Table { titles, rows } => {
            let cells =
                rows.iter().map(|[arm, rest @ ..]| [&[format!("`{arm}`")][..], rest].concat());
            table(titles, &cells.collect::<Vec<_>>()) + "\n"
        }
    }
}

fn table<T: AsRef<str>>(titles: &[T], rows: &[Vec<String>]) -> String {
    let titles: Vec<&str> = titles.iter().map(AsRef::as_ref).collect();
    let mut text = format!("| {} |\n|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
    for row in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// `docs/results.md` with its tables filled in.
pub(crate) fn filled(text: &str, studies: &Studies) -> Result<String, Box<dyn Error>> {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->\n").ok_or("a table whose name does not end")?;
        let (_, after) =
            after.split_once(END).ok_or_else(|| format!("table {name} does not end"))?;
        let _ = write!(done, "{before}{BEGIN}{name} -->\n{}{END}", made(name, studies)?);
        rest = after;
    }
    Ok(done + rest)
}

fn made(name: &str, studies: &Studies) -> Result<String, Box<dyn Error>> {
    match name {
        "classification" => {
            let of = study(studies, "claim_classify")?;
            let errors = ratios("errors of the first / its", &of.0, |accuracy| 1.0 - accuracy);
            Ok(claim(of, 3, &[errors]))
        }
        "control" => Ok(claim(study(studies, "claim_control")?, 0, &[])),
        "generation" => distances(studies, "claim_gan", 1),
        "generation by class" => distances(studies, "claim_cgan", 1),
        "translation of images" => distances(studies, "claim_translate", 2),
        "recipes" => recipes(studies),
        "translation" => Ok(claim(study(studies, "claim_nmt")?, 1, &[])),
        "translation losses" => Ok(translation(&study(studies, "claim_nmt")?.0)),
        "pilot" => Ok(pilot(&study(studies, "gan_regimes")?.0)),
        _ => Err(format!(
            "no table is called {name}: expected classification, control, generation, generation by class, translation of images, translation, translation losses, recipes or pilot"
        )
        .into()),
    }
}

/// The table of a study that is scored by a distance.
fn distances(studies: &Studies, name: &str, decimals: usize) -> Result<String, Box<dyn Error>> {
    let of = study(studies, name)?;
    let errors = ratios("distance of the first / its", &of.0, |distance| distance);
    Ok(claim(of, decimals, &[errors]))
}

fn study<'a>(studies: &'a Studies, name: &str) -> Result<&'a (Study, Analysis), Box<dyn Error>> {
    Ok(studies.get(name).ok_or_else(|| format!("there is no study {name}"))?)
}

/// A row for each regime with scores of so many decimals, a column for each arm, what all regimes say, and other rows.
fn claim(of: &(Study, Analysis), decimals: usize, others: &[Vec<String>]) -> String {
    let (study, analysis) = of;
    let [last, _] = &analysis.measures;
    let names: Vec<String> = study.asked.arms.iter().map(|arm| format!("`{}`", arm.name)).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for regime in &last.regimes {
        let scores = regime.arms.iter().map(|arm| value(arm.iqm, |it| format!("{it:.decimals$}")));
        rows.push([format!("`{}`", regime.regime)].into_iter().chain(scores).collect());
    }
    let arms = &last.overall.arms;
    let interval =
        |it: ConfidenceInterval| format!("{:.2} [{:.2}, {:.2}]", it.value, it.lower, it.upper);
    let scores = arms.iter().map(|arm| arm.iqm.map(interval).unwrap_or_default());
    rows.push(["score over all regimes [95 %]".to_owned()].into_iter().chain(scores).collect());
    let regrets = arms.iter().map(|arm| value(arm.worst_regret, |it| format!("{it:.2}")));
    rows.push(["worst regret".to_owned()].into_iter().chain(regrets).collect());
    rows.extend_from_slice(others);
    let titles: Vec<String> = ["regime".to_owned()].into_iter().chain(names).collect();
    table(&titles, &rows)
}

/// The geometric mean over regimes of the first arm's mean error divided by that of each arm; an error is 0 at best.
fn ratios(title: &str, study: &Study, error: fn(f64) -> f64) -> Vec<String> {
    let arms = study.asked.arms.iter();
    let ratios = arms.map(|arm| format!("{:.2}", ratio(study, &arm.name, error)));
    [title.to_owned()].into_iter().chain(ratios).collect()
}

/// That of one arm.
fn ratio(study: &Study, arm: &str, error: fn(f64) -> f64) -> f64 {
    let mean = |arm: &str, regime: &str| -> f64 {
        let runs = study.runs.iter().filter(|run| run.arm == arm && run.regime == regime);
        let scores = runs.filter_map(|run| *run.metrics.get(&study.asked.metric)?);
        let errors: Vec<f64> = scores.map(error).collect();
        errors.iter().sum::<f64>() / errors.len() as f64
    };
    let (first, regimes) = (&study.asked.arms[0].name, &study.asked.regimes);
    let logs = regimes.iter().map(|it| (mean(first, &it.name) / mean(arm, &it.name)).ln());
    (logs.sum::<f64>() / regimes.len() as f64).exp()
}

fn value(interval: Option<ConfidenceInterval>, text: impl Fn(f64) -> String) -> String {
    interval.map(|it| text(it.value)).unwrap_or_default()
}

/// A row for each arm, a column for each regime: the losses at the end, seed by seed.
fn translation(study: &Study) -> String {
    let regimes = &study.asked.regimes;
    let row = |arm: &str| -> Vec<String> {
        let losses = regimes.iter().map(|regime| losses(study, &regime.name, arm));
        [format!("`{arm}`")].into_iter().chain(losses).collect()
    };
    let rows: Vec<Vec<String>> = study.asked.arms.iter().map(|it| row(&it.name)).collect();
    let names = regimes.iter().map(|regime| format!("`{}`", regime.name));
    let titles: Vec<String> = ["rule".to_owned()].into_iter().chain(names).collect();
    table(&titles, &rows)
}

/// The losses of an arm in a regime at the end, in the order of the seeds.
fn losses(study: &Study, regime: &str, arm: &str) -> String {
    let runs = study.asked.seeds.iter().filter_map(|&seed| run(study, regime, arm, seed));
    let losses = runs.filter_map(|run| *run.metrics.get("loss")?);
    losses.map(|loss| format!("{loss:.2}")).collect::<Vec<_>>().join(", ")
}

fn run<'a>(study: &'a Study, regime: &str, arm: &str, seed: u64) -> Option<&'a StudyRun> {
    study.runs.iter().find(|it| it.arm == arm && it.regime == regime && it.seed == seed)
}

/// A row for each regime of five studies, the best of each in bold.
fn recipes(studies: &Studies) -> Result<String, Box<dyn Error>> {
    let mut rows = Vec::new();
    for name in RECIPES {
        let (study, analysis) = study(studies, name)?;
        let arrow = if study.asked.higher_is_better { '↑' } else { '↓' };
        for regime in &analysis.measures[0].regimes {
            let of = |arm: &&str| {
                regime.arms.iter().find(|it| it.arm.split(":task").next() == Some(arm))
            };
            let found = ARMS.iter().map(|arm| of(arm).and_then(|it| it.iqm).map(|it| it.value));
            let found: Vec<Option<f64>> = found.collect();
            let label = format!(
                "[{name}](results/{name}.md), `{}`, {} {arrow}",
                regime.regime, study.asked.metric
            );
            let head = [label, regime.seeds.len().to_string()];
            rows.push(
                head.into_iter().chain(in_bold(&found, study.asked.higher_is_better)).collect(),
            );
        }
    }
    let titles = ["study, regime, score", "seeds"].map(str::to_owned).into_iter();
    let titles: Vec<String> = titles.chain(ARMS.iter().map(|arm| format!("`{arm}`"))).collect();
    Ok(table(&titles, &rows))
}

fn in_bold(scores: &[Option<f64>], higher_is_better: bool) -> Vec<String> {
    let texts: Vec<String> =
        scores.iter().map(|it| it.map(three_digits).unwrap_or_default()).collect();
    let gain = |score: f64| if higher_is_better { score } else { -score };
    let best = scores.iter().flatten().copied().max_by(|a, b| gain(*a).total_cmp(&gain(*b)));
    let best = best.map(three_digits).unwrap_or_default();
    let mark = |text: &String| if *text == best { format!("**{text}**") } else { text.clone() };
    texts.iter().map(mark).collect()
}

/// Three significant digits, as a decimal number.
fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// A row for each regime and seed that both arms have run, with the distances while they trained.
fn pilot(study: &Study) -> String {
    let mut rows = Vec::new();
    for regime in &study.asked.regimes {
        for seed in &study.asked.seeds {
            let pair = ["never", "always"].map(|arm| run(study, &regime.name, arm, *seed));
            if let [Some(never), Some(always)] = pair
                && [never, always].iter().all(|run| run.status == Completion::Finished)
            {
                let head = [format!("`{}`", regime.name), seed.to_string()];
                let ends = [never, always].map(|run| at_end(run, &study.asked.metric));
                rows.push([&head[..], &ends, &[curve(never), curve(always)]].concat());
            }
        }
    }
    let titles = [
        "regime",
        "seed",
        "`never`",
        "`always`",
        "`never`, while it trained",
        "`always`, while it trained",
    ];
    table(&titles, &rows)
}

fn at_end(run: &StudyRun, metric: &str) -> String {
    run.metrics.get(metric).copied().flatten().map(|it| format!("{it:.1}")).unwrap_or_default()
}

fn curve(run: &StudyRun) -> String {
    let text =
        |(_, value): &(u64, Option<f64>)| value.map(|it| format!("{it:.0}")).unwrap_or_default();
    run.curve.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// What the README says of studies, with the numbers that they give.
pub(crate) fn claims(studies: &Studies) -> Result<Vec<String>, Box<dyn Error>> {
    let iqm = |name: &str, regime: &str, arm: &str| -> Result<f64, Box<dyn Error>> {
        let regimes = &study(studies, name)?.1.measures[0].regimes;
        let regime = regimes.iter().find(|it| it.regime == regime).ok_or("no such regime")?;
        let arm = regime.arms.iter().find(|it| it.arm == arm).ok_or("no such rule")?;
        Ok(arm.iqm.ok_or("every run failed")?.value)
    };
    let classify = |regime, arm| iqm("claim_classify", regime, arm);
    let control = |regime, arm| iqm("claim_control", regime, arm);
    let gan = |regime, arm| iqm("claim_gan", regime, arm);
    let distances = |arm| -> Result<String, Box<dyn Error>> {
        let [hot, deep, few] = [gan("hot", arm)?, gan("deep", arm)?, gan("few", arm)?];
        Ok(format!("{hot:.1}, {deep:.1}, {few:.1} and {:.1}", gan("critic", arm)?))
    };
    let translation = &study(studies, "claim_nmt")?.0;
    let attention = |arm| losses(translation, "attention", arm);
    Ok(vec![
        format!(
            "gets {:.3} with `auto`, {:.3} with `never`",
            classify("few-noisy", "auto:task=classify")?,
            classify("few-noisy", "never")?
        ),
        format!(
            "gets {:.3} and `auto` {:.3}",
            classify("deep-fast", "lr_over_sigma")?,
            classify("deep-fast", "auto:task=classify")?
        ),
        format!(
            "a Fréchet distance of {} where `never` ends at {}",
            distances("always")?,
            distances("never")?
        ),
        format!("tie ({:.1} and {:.1})", gan("preset", "always")?, gan("preset", "never")?),
        format!(
            "`auto` ends at {:.1} and {:.2}, `never` at {:.1} and {:.2}",
            iqm("claim_cgan", "hot", "always")?,
            iqm("claim_translate", "hot", "always")?,
            iqm("claim_cgan", "hot", "never")?,
            iqm("claim_translate", "hot", "never")?
        ),
        format!(
            "a return of {:.0}, with `auto` {:.0} and with `never` {:.0}",
            control("cartpole", "always")?,
            control("cartpole", "auto:task=control")?,
            control("cartpole", "never")?
        ),
        format!(
            "{} nats a byte on three seeds with `never`, at {} with `auto`",
            attention("never"),
            attention("auto:task=sequence")
        ),
        format!(
            "Acrobot returns {:.1} with `auto`, {:.1} with `never`",
            control("acrobot", "auto:task=control")?,
            control("acrobot", "never")?
        ),
    ])
}
