//! `--engine slurm`: array jobs of Slurm, watched by their files and by `squeue`.
//!
//! Nothing is stored on the jobs: their names say which plan they are of and at which cell they begin.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::cell_line;
use crate::failure::Failure;
use crate::terminal::interrupt::StopFlag;
use crate::terminal::stderr::say;
use crate::training::args::CompareArgs;
use crate::training::compare::cells_file::{CellsFile, Share, ranges};
use crate::training::compare::ledger::Ledger;
use crate::training::compare::plan::Plan;
use crate::training::compare::progress::StudyDisplay;

/// How many minutes a time limit has at least: a run hears of its end two minutes before.
pub(super) const LONGEST_NOTICE: u32 = 3;
/// Where the jobs write, in the folder of the study.
const OUTPUT: &str = "slurm";
/// The pause between two looks at the files and the queue, and how often Ctrl-C is looked for in between.
const PAUSE: Duration = Duration::from_secs(3);
const BRIEF: Duration = Duration::from_millis(100);

/// How watching ended.
pub(in crate::training::compare) enum Watched {
    /// Every run has its outcome.
    Done,
    /// So many runs have neither an outcome nor a job.
    Lost(usize),
    /// The user no longer watches; these jobs go on.
    Detached(Vec<String>),
}

/// A task of an array that waits or runs: its plan, its cell, and the job that it is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    plan: String,
    cell: usize,
    job: String,
}

/// Submits what no job is for, and watches until every run has its outcome.
pub(in crate::training::compare) fn run(
    args: &CompareArgs,
    options: &[String],
    (plan, shares): (&Plan, &[Share]),
    (ledger, display): (&mut Ledger, &mut StudyDisplay),
    stop: &StopFlag,
) -> Result<Watched, Failure> {
    let folder = plan.out.join(OUTPUT);
    fs::create_dir_all(&folder)
        .map_err(|error| Failure::failed(format!("cannot create {}: {error}", folder.display())))?;
    let most = max_array_size()?;
    let tasks = queued(shares)?;
    for share in shares {
        let known: BTreeSet<_> =
            tasks.iter().filter(|task| task.plan == share.file.id).map(|task| task.cell).collect();
        let free: Vec<_> = share.missing.iter().filter(|it| !known.contains(it)).copied().collect();
        for (first, places) in chunks(&free, most) {
            let job = submit(args, options, &share.file, first, &places, &folder)?;
            display.printer().say(&format!("job {job}: {} runs", places.len()));
        }
    }
    watch(shares, plan, ledger, display, stop)
}

fn watch(
    shares: &[Share],
    plan: &Plan,
    ledger: &mut Ledger,
    display: &mut StudyDisplay,
    stop: &StopFlag,
) -> Result<Watched, Failure> {
    loop {
        // Before the files: a job that is gone has written them.
        let tasks = queued(shares);
        let new = ledger.look(plan)?;
        for &index in &new {
            display.ended(&plan.cells[index], index, ledger.run(index));
        }
        if !new.is_empty() {
            ledger.write(None)?;
        }
        if ledger.n_ended() == ledger.n_runs() {
            return Ok(Watched::Done);
        }
        match tasks {
            Ok(tasks) if stop.is_set() => {
                let jobs: BTreeSet<_> = tasks.into_iter().map(|task| task.job).collect();
                return Ok(Watched::Detached(jobs.into_iter().collect()));
            }
            Ok(tasks) if tasks.is_empty() => {
                return Ok(Watched::Lost(ledger.n_runs() - ledger.n_ended()));
            }
            Err(_) if stop.is_set() => return Ok(Watched::Detached(Vec::new())),
            // A controller that does not answer for a while loses no job.
            Ok(_) | Err(_) => pause(stop),
        }
    }
}

fn pause(stop: &StopFlag) {
    let started = Instant::now();
    while started.elapsed() < PAUSE && !stop.is_set() {
        thread::sleep(BRIEF);
    }
}

/// The cells in arrays whose places are below `most`: the cell at which the first place is, and the places.
fn chunks(cells: &[usize], most: usize) -> Vec<(usize, Vec<usize>)> {
    let of_chunk = cells.chunk_by(|one, next| one / most == next / most);
    let chunk = |cells: &[usize]| {
        let first = cells[0] / most * most;
        (first, cells.iter().map(|cell| cell - first).collect())
    };
    of_chunk.map(chunk).collect()
}

fn submit(
    args: &CompareArgs,
    options: &[String],
    file: &CellsFile,
    first: usize,
    places: &[usize],
    folder: &Path,
) -> Result<String, Failure> {
    let mut command = Command::new("sbatch");
    command.args(array_options(file, &ranges(places))).arg("--parsable");
    command.arg(format!("--job-name={}", job_name(&file.id, first)));
    // The folder's name is no pattern.
    let folder = folder.to_string_lossy().replace('%', "%%");
    command.arg(format!("--output={folder}/%A_%a.out")).args(options);
    let printed = answer(command, &script(args, file, first)?)?;
    // With several clusters the name of one is behind the number.
    Ok(printed.trim().split(';').next().unwrap_or_default().to_owned())
}

/// The options of `sbatch` for these tasks: begun again after a lost node, and told of a time limit two minutes before.
pub(super) fn array_options(file: &CellsFile, places: &str) -> Vec<String> {
    let threads = file.head.threads;
    let fixed = ["--requeue", "--open-mode=append", "--signal=TERM@120", "--ntasks=1"];
    let array = [format!("--array={places}"), format!("--cpus-per-task={threads}")];
    array.into_iter().chain(fixed.map(str::to_owned)).collect()
}

/// What a task does. Slurm itself looks at lost nodes only, and not at exit codes.
fn script(args: &CompareArgs, file: &CellsFile, first: usize) -> Result<String, Failure> {
    let line = cell_line(args, file, &format!("$((SLURM_ARRAY_TASK_ID + {first}))"))?;
    let threads = file.head.threads;
    Ok(format!(
        "#!/bin/sh\nsrun --ntasks=1 --cpus-per-task={threads} {line}\ncode=$?\nif [ $code = 75 ]; then\n  \
         scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID\"\nfi\nexit $code\n"
    ))
}

fn job_name(plan: &str, first: usize) -> String {
    format!("osn-{plan}-{first}")
}

/// The tasks of these plans that wait or run.
fn queued(shares: &[Share]) -> Result<BTreeSet<Task>, Failure> {
    let mut command = Command::new("squeue");
    command.args(["--me", "--noheader", "--array", "--format=%j %K %F"]);
    let tasks = answer(command, "")?.lines().filter_map(task).collect::<BTreeSet<_>>();
    let is_ours = |task: &Task| shares.iter().any(|share| share.file.id == task.plan);
    Ok(tasks.into_iter().filter(is_ours).collect())
}

/// `osn-PLAN-FIRST PLACE JOB`.
fn task(line: &str) -> Option<Task> {
    let mut words = line.split_whitespace();
    let (plan, first) = words.next()?.strip_prefix("osn-")?.split_once('-')?;
    let place: usize = words.next()?.parse().ok()?;
    let cell = first.parse::<usize>().ok()?.checked_add(place)?;
    Some(Task { plan: plan.to_owned(), cell, job: words.next()?.to_owned() })
}

/// Slurm refuses an array with this place or a higher one.
fn max_array_size() -> Result<usize, Failure> {
    let mut command = Command::new("scontrol");
    command.args(["show", "config"]);
    let config = answer(command, "")?;
    let line = config.lines().find_map(|line| line.trim().strip_prefix("MaxArraySize"));
    let size = line.and_then(|rest| rest.trim_start_matches([' ', '=']).trim().parse().ok());
    size.filter(|&size| size > 0)
        .ok_or_else(|| Failure::failed("scontrol show config does not tell MaxArraySize"))
}

/// What a command of Slurm prints; its own words where it fails.
fn answer(mut command: Command, input: &str) -> Result<String, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| {
        Failure::failed(format!(
            "cannot run {name}: {error}; is this a machine of a Slurm cluster?"
        ))
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that refuses its options does not read; its exit code tells.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::failed(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// What the user learns at the end of watching, where not every run has its outcome.
pub(in crate::training::compare) fn say_rest(watched: &Watched, plan: &Plan) {
    match watched {
        Watched::Done => {}
        Watched::Lost(n_runs) => say(format_args!(
            "{n_runs} runs have no outcome and no job; see {}, and the same command submits them again",
            plan.out.join(OUTPUT).display()
        )),
        Watched::Detached(jobs) => say(format_args!(
            "the same command watches them again; scancel {} ends them",
            jobs.join(" ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_array_has_a_place_that_slurm_refuses() {
        assert_eq!(chunks(&[0, 1, 3], 1001), [(0, vec![0, 1, 3])]);
        assert_eq!(chunks(&[0, 9, 10, 25], 10), [(0, vec![0, 9]), (10, vec![0]), (20, vec![5])]);
        assert!(chunks(&[], 10).is_empty());
    }

    #[test]
    fn the_name_of_a_job_tells_its_plan_and_its_first_cell() {
        let line = format!("{} 7 123", job_name("0123456789ab", 1000));
        let (plan, job) = ("0123456789ab".to_owned(), "123".to_owned());
        assert_eq!(task(&line), Some(Task { plan, cell: 1007, job }));
        for other in ["", "osn 1 2", "osn-a-b 1 2", "train 1 2", "osn-0123456789ab-0 N/A 5"] {
            assert_eq!(task(other), None, "{other}");
        }
    }
}
