//! What a disk, a machine or a person does to the files of a run: it goes on to the same bits, or is
//! refused in one line.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use osn_report::Sample;
use osn_report::tensorboard::write_run;
use prost::Message;
use safetensors::SafeTensors;
use tempfile::TempDir;

use crate::commands::event_files;
use crate::processes::{
    Ended, Left, after, begun, checkpoints, control, done, ends_with, files_in, has_saved, kill,
    osn_on, refused, set, status, train, undisturbed, wait_for, wait_for_run,
};

/// A user id that owns no file.
const NOBODY: u32 = 65_534;

/// A short run that was killed with two checkpoints behind it, and what it leaves where nobody kills it.
fn killed() -> (Left, TempDir, PathBuf) {
    let (recipe, out) = (control(30), TempDir::new().unwrap());
    for attempt in 0..20 {
        let (mut child, folder) = begun(&recipe, &out.path().join(attempt.to_string()));
        wait_for(|| checkpoints(&folder).len() > 1 || child.try_wait().unwrap().is_some());
        child.kill().unwrap();
        if Ended::of(child).code.is_none() {
            return (undisturbed(&recipe), out, folder);
        }
    }
    panic!("it was over before it could be killed, twenty times");
}

/// A copy beside it, for the next thing that happens to it.
fn copy_of(folder: &Path, name: &str) -> PathBuf {
    let to = folder.with_file_name(name.replace('/', "-"));
    for inside in ["", "samples", "checkpoints"] {
        fs::create_dir_all(to.join(inside)).unwrap();
        for entry in fs::read_dir(folder.join(inside)).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), to.join(inside).join(entry.file_name())).unwrap();
            }
        }
    }
    to
}

/// A byte in the middle of each part of a checkpoint, in its header, and in the header's length.
fn places(file: &[u8]) -> Vec<(String, usize)> {
    let (length, header) = SafeTensors::read_metadata(file).unwrap();
    let data = 8 + length;
    let middle = |name: &String| {
        let (start, end) = header.info(name).unwrap().data_offsets;
        data + usize::midpoint(start, end)
    };
    let mut places: Vec<_> =
        header.offset_keys().into_iter().map(|name| (name.clone(), middle(&name))).collect();
    places.push(("the header".to_owned(), data / 2));
    places.push(("its length".to_owned(), 0));
    places
}

#[test]
fn a_flipped_bit_in_any_part_is_named_and_the_checkpoint_before_is_used() {
    let (whole, _out, folder) = killed();
    let newest = fs::read(checkpoints(&folder).last().unwrap()).unwrap();
    let places = places(&newest);
    assert!(places.len() > 20, "{places:?}");
    for (number, (part, place)) in places.into_iter().enumerate() {
        let copy = copy_of(&folder, &format!("flipped-{number}"));
        let file = checkpoints(&copy).pop().unwrap();
        let mut bytes = newest.clone();
        bytes[place.min(newest.len() - 1)] ^= 1 << (number % 8);
        fs::write(&file, bytes).unwrap();
        let said = done(osn_on("resume", &copy)).stderr;
        assert!(said.contains(file.file_name().unwrap().to_str().unwrap()), "{part}: {said}");
        Left::of(&copy).must_be(&whole, &part);
    }
}

#[test]
fn a_run_without_a_whole_checkpoint_is_refused() {
    let (_, _out, folder) = killed();
    for file in checkpoints(&folder) {
        fs::write(file, "half").unwrap();
    }
    // A line for each checkpoint stands before the error.
    assert_eq!(ends_with(2, osn_on("resume", &folder)).errors().len(), 1);
    refused(osn_on("resume", "/no/such/run".as_ref()));
}

#[test]
fn a_record_cut_in_the_middle_of_a_line_goes_on() {
    let (whole, _out, folder) = killed();
    let record = folder.join("record.jsonl");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text + "{\"event\":\"step\",\"st").unwrap();
    done(osn_on("resume", &folder));
    Left::of(&folder).must_be(&whole, "a line begun");
}

#[test]
fn a_clock_that_was_set_back_since_changes_nothing() {
    let (whole, _out, folder) = killed();
    let later = SystemTime::now() + Duration::from_secs(400_000_000);
    let seconds = later.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    set(&folder.join("run.json"), "/started_unix_secs", seconds);
    for file in files_in(&folder).keys().chain(&[folder.join("run.lock")]) {
        File::open(file).unwrap().set_modified(later).unwrap();
    }
    done(osn_on("resume", &folder));
    Left::of(&folder).must_be(&whole, "from the future");
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn a_full_disk_ends_the_run_in_one_line_and_with_space_it_goes_on() {
    let (disk, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let recipe = control(400);
    let osn = train(&recipe, &disk.path().join("runs"));
    // A disk of its own, which nobody else sees.
    let apart = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, "sh"]).arg(disk.path()).arg(kept.path());
        command
    };
    // Neither a container nor a changed root lets everybody do that.
    let tried = apart(MOUNT).status();
    if !tried.as_ref().is_ok_and(ExitStatus::success) {
        eprintln!("skipped: this machine lets nobody mount a disk ({tried:?})");
        return;
    }
    let mut script = apart(&format!("{MOUNT} || exit\n{FULL_DISK}"));
    assert!(script.arg(osn.get_program()).args(osn.get_args()).status().unwrap().success());
    let read = |name: &str| fs::read_to_string(kept.path().join(name)).unwrap();
    assert_eq!((read("full.code").trim(), read("resume.code").trim()), ("1", "0"));
    // Not failed: the disk says nothing of the rule. Where not even that fits, it is as it was.
    assert!(["interrupted", "running"].iter().any(|it| read("full.status").contains(it)));
    let words = read("full.err");
    let errors: Vec<_> = words.lines().filter(|line| line.starts_with("error: ")).collect();
    // The words of the system.
    assert!(errors.len() == 1 && errors[0].contains("No space left on device"), "{words}");
    Left::of(&kept.path().join("run")).must_be(&undisturbed(&recipe), "on a full disk");
}

const MOUNT: &str = r#"mount -t tmpfs -o size=16m none "$1""#;

/// Fills the disk while the run is writing, makes space, and goes on.
const FULL_DISK: &str = r#"
    disk=$1 kept=$2 osn=$3
    shift 3
    "$osn" "$@" > "$kept/full.out" 2> "$kept/full.err" &
    until ls "$disk"/runs/*/checkpoints/*.safetensors > /dev/null 2>&1; do sleep 0.01; done
    dd if=/dev/zero of="$disk/ballast" bs=4k 2> /dev/null
    wait $!
    echo $? > "$kept/full.code"
    grep '"status"' "$disk"/runs/*/run.json > "$kept/full.status"
    rm "$disk/ballast"
    "$osn" resume "$disk"/runs/* > "$kept/resume.out" 2> "$kept/resume.err"
    echo $? > "$kept/resume.code"
    cp -r "$disk"/runs/* "$kept/run"
"#;

#[test]
fn a_file_that_may_not_grow_ends_the_run_in_one_line_and_it_can_go_on() {
    let (recipe, out) = (control(400), TempDir::new().unwrap());
    // Blocks of 512 bytes: the record grows beyond them.
    let ended = ends_with(1, after("ulimit -f 60", &train(&recipe, out.path())));
    let errors = ended.errors();
    // The words of the system.
    assert!(errors.len() == 1 && errors[0].contains("File too large"), "{ended:?}");
    let folder = wait_for_run(out.path(), |_| true);
    assert!(!["running", "finished"].contains(&&*status(&folder)), "{}", status(&folder));
    // With the command that was printed.
    let (_, run) = errors[0].rsplit_once(" resume ").unwrap();
    done(osn_on("resume", run.as_ref()));
    Left::of(&folder).must_be(&undisturbed(&recipe), "a small file");
}

/// The super-user writes where nobody may.
fn as_anybody(mut command: Command, program: &Path) -> Child {
    if !fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0) {
        return command.spawn().unwrap();
    }
    let mut other = Command::new(program);
    other.args(command.get_args()).stdout(Stdio::null()).stderr(Stdio::piped()).uid(NOBODY);
    other.spawn().unwrap()
}

#[test]
fn a_folder_turned_read_only_ends_the_run_in_one_line_and_writable_it_goes_on() {
    let out = TempDir::new().unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open(out.path(), 0o777);
    // Where anybody can start it.
    let program = out.path().join("osn");
    fs::copy(env!("CARGO_BIN_EXE_osn"), &program).unwrap();
    let (recipe, runs) = (control(400), out.path().join("runs"));
    let child = as_anybody(train(&recipe, &runs), &program);
    let folder = wait_for_run(&runs, |folder| !checkpoints(folder).is_empty());
    let open_all = |mode| {
        for inside in ["checkpoints", "samples", ""] {
            open(&folder.join(inside), mode);
        }
    };
    open_all(0o555);
    let ended = Ended::of(child);
    open_all(0o755);
    assert_eq!((ended.code, ended.errors().len()), (Some(1), 1), "{ended:?}");
    // The words of the system, which begin with a capital where a file that was begun could not be renamed.
    assert!(ended.errors()[0].to_lowercase().contains("permission denied"), "{ended:?}");
    let resumed = Ended::of(as_anybody(osn_on("resume", &folder), &program));
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    Left::of(&folder).must_be(&undisturbed(&recipe), "read-only for a while");
}

#[test]
fn event_files_of_a_resumed_run_give_each_step_once_and_what_its_record_says() {
    let out = TempDir::new().unwrap();
    let (mut child, folder) = begun(&format!("{} --tensorboard", control(400)), out.path());
    for _ in 0..2 {
        kill(child);
        child = osn_on("resume", &folder).spawn().unwrap();
        wait_for(|| has_saved(&folder, child.id()) || child.try_wait().unwrap().is_some());
    }
    assert_eq!(Ended::of(child).code, Some(0));
    let files = event_files(&folder);
    assert_eq!(files.len(), 3, "a reader that is open never sees that a file was replaced");
    assert!(held(&files) == held(&[of_whole_run(&folder)]));
    assert!(held(&files).len() > 100);
}

#[test]
fn a_run_that_begins_again_has_its_events_once_too() {
    let out = TempDir::new().unwrap();
    let (child, folder) = begun(&format!("{} --tensorboard", control(400)), out.path());
    kill(child);
    // As if the kill had come before the first checkpoint.
    fs::remove_dir_all(folder.join("checkpoints")).unwrap();
    fs::write(folder.join("record.jsonl"), "").unwrap();
    done(osn_on("resume", &folder));
    assert!(held(&event_files(&folder)) == held(&[of_whole_run(&folder)]));
}

/// The event file of a run as it is written afterwards.
fn of_whole_run(folder: &Path) -> Vec<u8> {
    let description = fs::read_to_string(folder.join("run.json")).unwrap();
    let record = fs::read(folder.join("record.jsonl")).unwrap();
    let samples = osn_runs::folder::RunFolder::open(folder).unwrap().samples().unwrap();
    let read = |(step, path)| Sample::picture(step, fs::read(path).unwrap());
    let mut file = Vec::new();
    write_run(
        &mut file,
        &description,
        &record[..],
        samples.into_iter().map(read).collect::<Vec<_>>(),
    )
    .unwrap();
    file
}

/// What of an event says where it belongs.
#[derive(Clone, PartialEq, prost::Message)]
struct Event {
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    /// There at the start of a session.
    #[prost(bytes = "vec", optional, tag = "7")]
    session_log: Option<Vec<u8>>,
}

/// What TensorBoard holds when it has read these files one after the other, in an order of its own: where a
/// session starts it forgets that step and all later ones.
fn held(files: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut held: Vec<(i64, Vec<u8>)> = Vec::new();
    for record in files.iter().flat_map(|file| records(file)) {
        let event = Event::decode(&record[..]).unwrap();
        if event.session_log.is_some() {
            held.retain(|(step, _)| *step < event.step);
        } else if event.file_version.is_none() {
            held.push((event.step, record));
        }
    }
    let mut held: Vec<_> = held.into_iter().map(|(_, record)| record).collect();
    held.sort();
    held
}

/// The whole records of an event file: eight bytes of length and four of a checksum stand before each, four
/// behind.
fn records(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some((length, rest)) = file.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
        let Some(record) = rest.get(4..4 + length) else { break };
        records.push(record.to_vec());
        file = rest.get(8 + length..).unwrap_or_default();
    }
    records
}

/// Moves what a run has under a name into a folder of somebody else, and puts a link to it in its place;
/// that folder.
fn moved_out(run: &Path, name: &str) -> PathBuf {
    let (path, others) = (run.join(name), run.with_added_extension("others"));
    let moved = others.join("moved");
    fs::create_dir(&others).unwrap();
    if fs::rename(&path, &moved).is_err() {
        fs::write(&moved, "mine").unwrap();
    } else if moved.is_dir() {
        fs::write(moved.join("mine.tmp"), "mine").unwrap();
    }
    symlink(&moved, &path).unwrap();
    others
}

#[test]
fn a_run_with_links_that_lead_out_writes_over_nobody() {
    let (whole, _out, folder) = killed();
    for name in ["run.lock", "run.json", "record.jsonl", "report.html", "samples", "checkpoints"] {
        for command in ["resume", "report"] {
            let copy = copy_of(&folder, &format!("{command}-{name}"));
            let others = moved_out(&copy, name);
            let before = files_in(&others);
            let ended = Ended::of(osn_on(command, &copy).spawn().unwrap());
            assert!(files_in(&others) == before, "{command} {name}: {ended:?}");
            match (command, ended.code) {
                ("resume", Some(0)) => Left::of(&copy).must_be(&whole, name),
                ("report", Some(0)) => assert!(copy.join("report.html").is_file(), "{name}"),
                (_, code) => assert_eq!(code, Some(2), "{command} {name}: {ended:?}"),
            }
        }
    }
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_never_waited_for() {
    let (_, _out, folder) = killed();
    let newest = checkpoints(&folder).pop().unwrap();
    let newest = newest.strip_prefix(&folder).unwrap().to_str().unwrap();
    for file in ["run.json", "record.jsonl", "run.lock", newest] {
        let copy = copy_of(&folder, &format!("pipe-{file}"));
        let _ = fs::remove_file(copy.join(file));
        assert!(Command::new("mkfifo").arg(copy.join(file)).status().unwrap().success());
        for command in ["resume", "report", "watch"] {
            let mut child = osn_on(command, &copy).spawn().unwrap();
            wait_for(|| child.try_wait().unwrap().is_some());
            let ended = Ended::of(child);
            assert!(ended.code.is_some_and(|code| code <= 2), "{command} {file}: {ended:?}");
        }
    }
}
