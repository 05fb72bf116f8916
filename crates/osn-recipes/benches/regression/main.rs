//! How long what matters takes, as ratios to a plain matrix product of the same run.
//!
//! `cargo bench --workspace --bench regression` writes `target/tmp/bench.tsv`, and `compare.py` beside this
//! file compares that with `table.tsv`, the committed one. A ratio is to the products right before and after, so that
//! a machine that others use too slows both alike. Each round is a process of its own: where memory
//! happens to lie is part of the noise.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

#[path = "../../examples/step/networks.rs"]
mod networks;
mod rows;
mod stopwatch;
mod table;

use std::fs;
use std::process::Command;

use mimalloc::MiMalloc;

use crate::networks::Outcome;
use crate::rows::rows;
use crate::stopwatch::Stopwatch;
use crate::table::{Measured, table};

/// As the command has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const ROUNDS: usize = 11;

/// The argument that makes a process one round.
const ROUND: &str = "--round";

/// Where the table is written.
const PATH: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/bench.tsv");

fn main() -> Outcome<()> {
    if std::env::args().any(|argument| argument == ROUND) {
        println!("{}", serde_json::to_string(&round()?)?);
        return Ok(());
    }
    let mut rounds = Vec::new();
    for number in 1..=ROUNDS {
        println!("round {number} of {ROUNDS}");
        rounds.push(round_of_its_own()?);
    }
    let table = table(&rounds)?;
    fs::write(PATH, &table)?;
    println!("{table}written to {PATH}");
    Ok(())
}

/// Every row once, in turns with the product.
fn round() -> Outcome<Vec<Measured>> {
    let stopwatch = Stopwatch::new();
    rows().into_iter().map(|(name, prepare)| stopwatch.measure(name, prepare()?)).collect()
}

/// On two threads, as the committed table.
fn round_of_its_own() -> Outcome<Vec<Measured>> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.arg(ROUND).env("RAYON_NUM_THREADS", "2").output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
