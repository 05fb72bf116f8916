//! The pilot grid: cheap tasks, each in regimes that favour one way of holding the discriminator or
//! another, on which the rule `auto` was found and is judged.
//!
//! ```text
//! cargo run --release -p osn-recipes --example pilot -- run --regimes ring --seeds 1-5 --out pilot.jsonl
//! cargo run --release -p osn-recipes --example pilot -- table pilot.jsonl
//! ```
//!
//! A run that the file has already is not done again, so a grid can be stopped and goes on.

#![expect(clippy::print_stdout, reason = "this program prints its table")]
#![expect(clippy::print_stderr, reason = "this program reports its progress")]

mod energy;
mod images;
mod points;
mod regimes;
mod results;
mod table;
mod vectors;

use std::collections::{HashSet, VecDeque};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::Mutex;

use clap::{Args, Parser, Subcommand};

use regimes::{Regime, Trains};
use results::{Key, Outcome};

/// The arms that never change: the reference of every ratio is the best of them in its regime.
const STATIC_ARMS: [&str; 14] = [
    "never",
    "always:target=0.7",
    "always",
    "always:target=1.5",
    "always:target=2",
    "always:target=3",
    "always:target=4",
    "always:target=8",
    "cap",
    "cap:target=2",
    "cap:target=4",
    "static:position=last",
    "static:position=last,target=2",
    "static:position=first,target=2",
];

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Trains every arm in every regime with every seed.
    Run(Run),
    /// Prints the ratio of each arm to the best static one.
    Table {
        /// What `run` wrote.
        file: PathBuf,
        /// Only regimes whose name contains one of these.
        #[arg(long, value_delimiter = ';')]
        regimes: Vec<String>,
        /// Only seeds from A to B.
        #[arg(long, value_parser = seeds, default_value = "0-1000000")]
        seeds: (u64, u64),
    },
    /// Lists the regimes.
    Regimes,
}

#[derive(Args)]
struct Run {
    /// Only regimes whose name contains one of these, separated by `;`.
    #[arg(long, value_delimiter = ';')]
    regimes: Vec<String>,
    /// Rules, separated by `;`; `static` stands for all the static ones.
    #[arg(long, value_delimiter = ';', default_value = "static;auto")]
    arms: Vec<String>,
    /// Seeds, from A to B.
    #[arg(long, value_parser = seeds, default_value = "1-5")]
    seeds: (u64, u64),
    /// Runs at the same time, each on one thread.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Where a line for each run is appended.
    #[arg(long, default_value = "pilot.jsonl")]
    out: PathBuf,
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no seed"));
    Ok((number(first)?, number(last)?))
}

fn main() -> Result<(), Box<dyn Error>> {
    match Command::parse().action {
        Action::Run(run) => train_grid(&run)?,
        Action::Table { file, regimes, seeds } => {
            print!("{}", table::markdown(&results::read(&file)?, &regimes, seeds));
        }
        Action::Regimes => {
            for regime in regimes::all() {
                println!("{:18} {}", regime.name, regime.about);
            }
        }
    }
    Ok(())
}

fn train_grid(run: &Run) -> Result<(), Box<dyn Error>> {
    // Runs side by side on one thread each are faster than one after the other on all of them.
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let done = if run.out.exists() { results::read(&run.out)? } else { Vec::new() };
    let done = done.into_iter().map(|(key, _)| key).collect();
    let queue = Mutex::new(queue(run, &done));
    let results = Mutex::new(OpenOptions::new().create(true).append(true).open(&run.out)?);
    std::thread::scope(|scope| {
        for _ in 0..run.jobs {
            scope.spawn(|| work(&queue, &results));
        }
    });
    Ok(())
}

type Job = (Regime, Key);

fn queue(run: &Run, done: &HashSet<Key>) -> VecDeque<Job> {
    let arms = run.arms.iter().flat_map(|arm| match arm.as_str() {
        "static" => STATIC_ARMS.map(str::to_owned).to_vec(),
        arm => vec![arm.to_owned()],
    });
    let arms: Vec<String> = arms.collect();
    let mut queue = VecDeque::new();
    for seed in run.seeds.0..=run.seeds.1 {
        for regime in regimes::all().into_iter().filter(|regime| regime.is_chosen(&run.regimes)) {
            let key = |arm: &String| Key { regime: regime.name.clone(), arm: arm.clone(), seed };
            let missing = arms.iter().map(key).filter(|key| !done.contains(key));
            queue.extend(missing.map(|key| (regime.clone(), key)));
        }
    }
    queue
}

fn work(queue: &Mutex<VecDeque<Job>>, results: &Mutex<File>) {
    while let Some((regime, key)) = queue.lock().ok().and_then(|mut queue| queue.pop_front()) {
        let outcome = match &regime.trains {
            Trains::Vectors(config) => vectors::train(config, &key.arm, key.seed),
            Trains::Images(settings) => images::train(settings, &key.arm, key.seed),
        };
        match outcome {
            Ok(outcome) => record(results, &key, &outcome),
            Err(error) => eprintln!("{key}: {error}"),
        }
    }
}

fn record(results: &Mutex<File>, key: &Key, outcome: &Outcome) {
    eprintln!("{key}: {:.4} in {:.1} s", outcome.score, outcome.seconds);
    if let Err(error) =
        results::append(&mut results.lock().expect("no writer panics"), key, outcome)
    {
        eprintln!("{key}: not written: {error}");
    }
}
