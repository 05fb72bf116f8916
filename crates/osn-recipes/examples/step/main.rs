//! Trains one network on one batch and times its steps, as one line of JSON: the half of `peers/step.py`
//! that is this project.
//!
//! `cargo run --release -p osn-recipes --example step -- gan-quick never 20 FOLDER` writes the initial
//! weights and the batch into FOLDER, for the peer to start from.

#![expect(clippy::print_stdout, reason = "its output is its result")]

mod networks;

use std::fs;
use std::path::Path;
use std::time::Instant;

use mimalloc::MiMalloc;
use osn_core::number::median;
use osn_recipes::decide::Decide;

use crate::networks::{Folder, NETWORKS, Outcome, case};

/// As the command has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// So many first losses are compared.
const COMPARED: usize = 3;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, arm, steps, folder @ ..] = arguments.as_slice() else {
        let networks = NETWORKS.join("|");
        return Err(format!("usage: step {networks} without|RULE STEPS [FOLDER]").into());
    };
    let decide = (arm != "without").then(|| Decide::named(arm)).transpose()?;
    let folder = Folder(folder.first().map(Path::new));
    let mut step = case(network, decide.as_ref(), &folder)?;
    // From here on the peak is of training, not of what set it up.
    let before_mib = memory_mib("VmRSS:");
    let _ = fs::write("/proc/self/clear_refs", "5");
    let (mut losses, mut times) = (Vec::new(), Vec::new());
    for _ in 0..steps.parse()? {
        let start = Instant::now();
        losses.push(step()?);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    losses.truncate(COMPARED);
    // The first step pays for what later ones reuse.
    let ms = median(times.get(1..).unwrap_or_default()).ok_or("at least two steps")?;
    let peak_mib = memory_mib("VmHWM:");
    let added_mib = peak_mib.zip(before_mib).map(|(peak, before)| peak - before);
    let line = serde_json::json!({ "ms": ms, "losses": losses, "peak_mib": peak_mib, "added_mib": added_mib });
    println!("{line}");
    Ok(())
}

/// A line of the process's status, where the system has it: `VmRSS:` is the memory that it holds, `VmHWM:` the
/// largest since the peak was set back.
fn memory_mib(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}
