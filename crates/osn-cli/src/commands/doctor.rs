//! `osn doctor`: what was built, what it runs on, and whether it computes what it should.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::thread;
use std::time::Instant;

use osn_core::measure::{
    DenseMap, GolubKahanParams, PowerParams, exact, golub_kahan, power_iteration, start_vector,
};
use osn_report::duration;

use crate::failure::{Failure, SUCCESS};
use crate::run::live::browser;
use crate::terminal::stdout;
use crate::terminal::text::{columns, paragraph};
#[cfg(feature = "train")]
use crate::training::doctor as trained;

/// The columns of a line's name.
const NAME: usize = 17;
/// The rows and columns of the matrix whose σ is known, and that σ.
const ROWS: usize = 96;
const COLS: usize = 64;
const SIGMA: f64 = 3.0;

/// Prints what a report of a fault should say, and fails where something is wrong.
pub(crate) fn run() -> Result<u8, Failure> {
    let facts = facts().into_iter().map(|(name, text)| line(name, &text)).collect::<String>();
    stdout::print(&facts)?;
    let mut n_wrong = 0;
    for (name, check) in checks() {
        let since = Instant::now();
        let outcome = check();
        n_wrong += usize::from(outcome.is_err());
        let time = duration(since.elapsed().as_secs_f64());
        let said = match outcome {
            Ok(found) => format!("ok: {found}; {time}"),
            Err(wrong) => format!("WRONG: {wrong}; {time}"),
        };
        stdout::print(&line(&name, &said))?;
    }
    match n_wrong {
        0 => Ok(SUCCESS),
        1 => Err(Failure::failed(
            "one check of osn doctor failed; please report it with all of the above",
        )),
        n => Err(Failure::failed(format!(
            "{n} checks of osn doctor failed; please report them with all of the above"
        ))),
    }
}

fn line(name: &str, text: &str) -> String {
    paragraph(&format!("{name:NAME$}"), text)
}

/// What is known without a computation.
fn facts() -> Vec<(&'static str, String)> {
    let mut facts = vec![("osn", env!("CARGO_PKG_VERSION").to_owned() + commands())];
    #[cfg(feature = "train")]
    facts.extend(trained::facts());
    facts.extend([
        ("built for", format!("{} {}{}", env::consts::ARCH, env::consts::OS, built_with())),
        ("processor", processor()),
        ("threads", threads()),
        (
            "browser",
            browser::found()
                .unwrap_or_else(|| "none found; the address of a page is printed".to_owned()),
        ),
        ("terminal", terminal()),
    ]);
    facts
}

fn commands() -> &'static str {
    if cfg!(feature = "train") { "" } else { ", without the commands that train" }
}

/// A feature of processors: its name, whether the build uses it, and whether this processor has it.
type Feature = (&'static str, bool, bool);

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<Feature> {
    use std::arch::is_x86_feature_detected as has;
    vec![
        ("avx2", cfg!(target_feature = "avx2"), has!("avx2")),
        ("fma", cfg!(target_feature = "fma"), has!("fma")),
        ("avx512f", cfg!(target_feature = "avx512f"), has!("avx512f")),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<Feature> {
    let neon = cfg!(target_feature = "neon");
    vec![("neon", neon, neon)]
}

fn built_with() -> String {
    let used: Vec<_> = features().into_iter().filter(|it| it.1).map(|it| it.0).collect();
    if used.is_empty() { String::new() } else { format!(" with {}", used.join(" ")) }
}

fn processor() -> String {
    let names = |is_listed: fn(&Feature) -> bool| {
        let listed = features().into_iter().filter(is_listed).map(|it| it.0);
        listed.collect::<Vec<_>>().join(" ")
    };
    let (has, unused) = (names(|it| it.2), names(|it| it.2 && !it.1));
    let has =
        if has.is_empty() { "none of the features that osn asks for".to_owned() } else { has };
    if unused.is_empty() { has } else { format!("{has}; this build does not use {unused}") }
}

fn threads() -> String {
    let there = thread::available_parallelism().map_or("unknown".to_owned(), |n| n.to_string());
    let asked = env::var("RAYON_NUM_THREADS").ok().filter(|it| !it.is_empty());
    asked.map_or(there.clone(), |asked| format!("{there}; RAYON_NUM_THREADS={asked}"))
}

fn terminal() -> String {
    let of = |is_terminal: bool| if is_terminal { "a terminal" } else { "no terminal" };
    let width = columns().map_or("no limit of columns".to_owned(), |n| format!("{n} columns"));
    let colours = if console::colors_enabled_stderr() { "colours" } else { "no colours" };
    let term = env::var("TERM").unwrap_or_default();
    format!(
        "standard output is {}, standard error {}; {width}, {colours}, TERM={term}",
        of(io::stdout().is_terminal()),
        of(io::stderr().is_terminal())
    )
}

/// A computation whose result is known: what was found, or what is wrong.
type Check = Box<dyn Fn() -> Result<String, String>>;

fn checks() -> Vec<(String, Check)> {
    let plain: [(String, Check); 2] = [
        ("largest σ".to_owned(), Box::new(known_sigma)),
        ("gradient of σ".to_owned(), Box::new(gradient_of_sigma)),
    ];
    plain.into_iter().chain(of_training()).collect()
}

#[cfg(feature = "train")]
fn of_training() -> Vec<(String, Check)> {
    let check = |device: &&'static str| -> (String, Check) {
        let device = *device;
        (format!("training on {device}"), Box::new(move || trained::four_steps(device)))
    };
    osn_recipes::device::DEVICES.iter().map(check).collect()
}

#[cfg(not(feature = "train"))]
fn of_training() -> Vec<(String, Check)> {
    Vec::new()
}

/// A matrix between two reflections, so that its singular values are those of the diagonal in the middle, 3 the largest
/// and 1 the next.
fn known_matrix() -> Vec<f64> {
    let reflection = |n: usize, shift: usize| -> Vec<f64> {
        let axis: Vec<f64> = (0..n).map(|place| ((place * 7 + shift) % 11) as f64 - 5.0).collect();
        let square: f64 = axis.iter().map(|it| it * it).sum();
        let entry = |row: usize, col: usize| {
            f64::from(u8::from(row == col)) - 2.0 * axis[row] * axis[col] / square
        };
        (0..n * n).map(|at| entry(at / n, at % n)).collect()
    };
    let (left, right) = (reflection(ROWS, 1), reflection(COLS, 3));
    let middle = |place: usize| if place == 0 { SIGMA } else { 1.0 / place as f64 };
    let entry = |row: usize, col: usize| -> f64 {
        (0..COLS).map(|k| left[row * ROWS + k] * middle(k) * right[k * COLS + col]).sum()
    };
    (0..ROWS * COLS).map(|at| entry(at / COLS, at % COLS)).collect()
}

/// Every estimator of σ on a matrix whose σ is known.
fn known_sigma() -> Result<String, String> {
    let entries = known_matrix();
    let map = DenseMap::new(&entries, ROWS, COLS).map_err(in_words)?;
    let start = start_vector(COLS);
    let power = PowerParams { n_iters: 200, tolerance: 1e-12 };
    let estimates = [
        ("power iteration", power_iteration(&map, &start, &power), 1e-9),
        ("Golub-Kahan", golub_kahan(&map, &start, &GolubKahanParams::default()), 1e-6),
        ("the exact decomposition", exact(&map), 1e-12),
    ];
    let mut worst = 0.0_f64;
    for (name, estimate, most) in estimates {
        let sigma = estimate.map_err(in_words)?.sigma;
        let error = (sigma - SIGMA).abs() / SIGMA;
        if error > most {
            return Err(format!("{name} gives {sigma} for a matrix whose σ is {SIGMA}"));
        }
        worst = worst.max(error);
    }
    Ok(format!("three estimators agree with σ = {SIGMA} to {worst:.0e}"))
}

/// `∂σ/∂W = u vᵀ` against differences of the exact σ.
fn gradient_of_sigma() -> Result<String, String> {
    const STEP: f64 = 1e-5;
    let entries = known_matrix();
    let sigma_with = |place: usize, by: f64| {
        let mut moved = entries.clone();
        moved[place] += by;
        DenseMap::new(&moved, ROWS, COLS).and_then(|map| exact(&map)).map_err(in_words)
    };
    let at = sigma_with(0, 0.0)?;
    let mut worst = 0.0_f64;
    for place in [0, 1, COLS, ROWS * COLS / 2 + 5, ROWS * COLS - 1] {
        let difference = sigma_with(place, STEP)?.sigma - sigma_with(place, -STEP)?.sigma;
        let expected = at.u[place / COLS] * at.v[place % COLS];
        worst = worst.max((difference / (2.0 * STEP) - expected).abs());
    }
    let found = format!("u vᵀ agrees with differences of σ to {worst:.0e}");
    if worst < 1e-7 { Ok(found) } else { Err(format!("{found} only")) }
}

fn in_words(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_matrix_has_the_singular_values_that_it_was_made_with() {
        let entries = known_matrix();
        let map = DenseMap::new(&entries, ROWS, COLS).unwrap();
        let values = osn_core::measure::singular_values(&map).unwrap();
        assert!((values[0] - SIGMA).abs() < 1e-12 && (values[1] - 1.0).abs() < 1e-12, "{values:?}");
    }

    #[test]
    fn the_checks_that_need_no_training_pass() {
        assert!(known_sigma().is_ok() && gradient_of_sigma().is_ok());
    }
}
