//! What a disk, a machine or a person does to a run, done to processes of their own: they go on to the
//! same bits, or say in one line what is wrong.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod processes;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use assert_cmd::cargo::cargo_bin;
use osn_report::Sample;
use osn_report::tensorboard::write_run;
use processes::{
    CONTROL, Left, begun, checkpoints, done, has_saved, osn, resume, run_in, said, train,
    undisturbed, wait_for,
};
use prost::Message;
use safetensors::SafeTensors;
use serde_json::Value;

/// A user id that owns no file.
const NOBODY: u32 = 65_534;

/// A run that is over in half a second.
fn short() -> Vec<&'static str> {
    [&CONTROL[..], &["--set", "steps=30"]].concat()
}

/// One that is still there when something is done to it.
fn longer() -> Vec<&'static str> {
    [&CONTROL[..], &["--set", "steps=400"]].concat()
}

/// A short run that was killed with two checkpoints behind it.
fn killed(out: &Path) -> PathBuf {
    for attempt in 0..20 {
        let out = out.join(attempt.to_string());
        let (mut child, folder) = begun(&short(), &out);
        wait_for(|| checkpoints(&folder).len() > 1 || child.try_wait().unwrap().is_some());
        child.kill().unwrap();
        if said(child).0.is_none() {
            return folder;
        }
    }
    panic!("it was over before it could be killed, twenty times");
}

/// A copy, for the next thing that happens to it.
fn copy_of(folder: &Path, to: &Path) -> PathBuf {
    for inside in ["", "samples", "checkpoints"] {
        fs::create_dir_all(to.join(inside)).unwrap();
        for entry in fs::read_dir(folder.join(inside)).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), to.join(inside).join(entry.file_name())).unwrap();
            }
        }
    }
    to.to_owned()
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
    let (whole, out) = (undisturbed(&short()), tempfile::tempdir().unwrap());
    let folder = killed(out.path());
    let newest = fs::read(checkpoints(&folder).last().unwrap()).unwrap();
    let places = places(&newest);
    assert!(places.len() > 20, "{places:?}");
    for (number, (part, place)) in places.into_iter().enumerate() {
        let copy = copy_of(&folder, &out.path().join(format!("flipped-{number}")));
        let file = checkpoints(&copy).pop().unwrap();
        let mut bytes = newest.clone();
        bytes[place.min(newest.len() - 1)] ^= 1 << (number % 8);
        fs::write(&file, bytes).unwrap();
        let words = done(resume(&copy));
        let name = file.file_name().unwrap().to_string_lossy();
        assert!(words.contains(&*name), "{part}: {words}");
        Left::of(&copy).must_be(&whole, &part);
    }
}

#[test]
fn where_every_checkpoint_is_damaged_one_line_says_so() {
    let out = tempfile::tempdir().unwrap();
    let folder = killed(out.path());
    for file in checkpoints(&folder) {
        fs::write(file, "half").unwrap();
    }
    let (code, words) = said(resume(&folder).spawn().unwrap());
    assert_eq!(code, Some(2));
    assert!(!words.contains("panicked"), "{words}");
}

#[test]
fn a_record_cut_in_the_middle_of_a_line_goes_on() {
    let (whole, out) = (undisturbed(&short()), tempfile::tempdir().unwrap());
    let folder = killed(out.path());
    let record = folder.join("record.jsonl");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text + "{\"event\":\"step\",\"st").unwrap();
    done(resume(&folder));
    Left::of(&folder).must_be(&whole, "a line begun");
}

#[test]
fn a_clock_that_was_set_back_since_changes_nothing() {
    let (whole, out) = (undisturbed(&short()), tempfile::tempdir().unwrap());
    let folder = killed(out.path());
    let path = folder.join("run.json");
    let mut description: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let later = SystemTime::now() + Duration::from_secs(400_000_000);
    let seconds = later.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    description["started_unix_secs"] = seconds.into();
    fs::write(&path, description.to_string()).unwrap();
    let inside = ["", "samples", "checkpoints"].map(|inside| fs::read_dir(folder.join(inside)));
    for file in inside.into_iter().flatten().flatten().flatten() {
        File::open(file.path()).unwrap().set_modified(later).unwrap();
    }
    done(resume(&folder));
    Left::of(&folder).must_be(&whole, "from the future");
}

#[test]
fn a_full_disk_ends_the_run_in_one_line_and_with_space_it_goes_on() {
    let (disk, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let recipe = longer();
    let arguments = train(&recipe, &disk.path().join("runs"));
    let mut script = Command::new("unshare");
    // A disk of its own, which nobody else sees.
    script.args(["-rm", "sh", "-c", FULL_DISK, "sh"]).arg(disk.path()).arg(kept.path());
    script.arg(cargo_bin!("osn")).args(arguments.get_args());
    let status = script.status();
    if !status.as_ref().is_ok_and(|status| status.code() != Some(NO_DISK)) {
        eprintln!("skipped: this machine lets nobody mount a disk ({status:?})");
        return;
    }
    assert!(status.unwrap().success());
    let read = |name: &str| fs::read_to_string(kept.path().join(name)).unwrap();
    assert_eq!((read("full.code").trim(), read("resume.code").trim()), ("1", "0"));
    // Not failed: the disk says nothing of the rule. Where not even that fits, it is as it was.
    assert!(["interrupted", "running"].iter().any(|it| read("full.status").contains(it)));
    let words = read("full.err");
    let errors: Vec<_> = words.lines().filter(|line| line.contains("error:")).collect();
    assert_eq!(errors.len(), 1, "{words}");
    assert!(errors[0].contains("No space left on device"), "{words}");
    assert!(errors[0].contains("resume "), "{words}");
    Left::of(&kept.path().join("run")).must_be(&undisturbed(&recipe), "on a full disk");
}

/// What the script ends with where it may not mount.
const NO_DISK: i32 = 77;

/// Fills the disk while the run is writing, makes space, and goes on.
const FULL_DISK: &str = r#"
    mount -t tmpfs -o size=16m none "$1" || exit 77
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

/// The super-user writes where nobody may.
fn as_anybody(command: &mut Command, program: &Path) -> Child {
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    if !is_root {
        return command.spawn().unwrap();
    }
    let mut other = Command::new(program);
    other.args(command.get_args()).stderr(std::process::Stdio::piped()).uid(NOBODY);
    other.stdout(std::process::Stdio::null()).spawn().unwrap()
}

#[test]
fn a_folder_turned_read_only_ends_the_run_in_one_line_and_writable_it_goes_on() {
    let out = tempfile::tempdir().unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open(out.path(), 0o777);
    // Where anybody can start it.
    let program = out.path().join("osn");
    fs::copy(cargo_bin!("osn"), &program).unwrap();
    let recipe = longer();
    let runs = out.path().join("runs");
    let child = as_anybody(&mut train(&recipe, &runs), &program);
    wait_for(|| run_in(&runs).is_some_and(|folder| !checkpoints(&folder).is_empty()));
    let folder = run_in(&runs).unwrap();
    let closed = ["checkpoints", "samples", ""].map(|inside| folder.join(inside));
    let open_all = |mode| closed.iter().map(|path| open(path, mode)).collect();
    let () = open_all(0o555);
    let (code, words) = said(child);
    let () = open_all(0o755);
    assert_eq!(code, Some(1), "{words}");
    let errors: Vec<_> = words.lines().filter(|line| line.contains("error:")).collect();
    assert!(errors.len() == 1 && errors[0].contains("permission denied"), "{words}");

    let (code, words) = said(as_anybody(&mut resume(&folder), &program));
    assert_eq!(code, Some(0), "{words}");
    Left::of(&folder).must_be(&undisturbed(&recipe), "read-only for a while");
}

#[test]
fn event_files_of_a_resumed_run_give_each_step_once_and_what_its_record_says() {
    let out = tempfile::tempdir().unwrap();
    let recipe = [&longer()[..], &["--tensorboard"]].concat();
    let (mut child, folder) = begun(&recipe, out.path());
    for _ in 0..2 {
        child.kill().unwrap();
        child.wait().unwrap();
        child = resume(&folder).spawn().unwrap();
        wait_for(|| has_saved(&folder, child.id()) || child.try_wait().unwrap().is_some());
    }
    assert_eq!(said(child).0, Some(0));
    let description = fs::read_to_string(folder.join("run.json")).unwrap();
    let record = fs::read(folder.join("record.jsonl")).unwrap();
    let mut afterwards = Vec::new();
    write_run(&mut afterwards, &description, &record[..], samples(&folder)).unwrap();
    let files = event_files(&folder);
    assert_eq!(files.len(), 3, "a reader that is open never sees that a file was replaced");
    assert!(held(&files) == held(&[afterwards]));
    assert!(held(&files).len() > 100);
}

#[test]
fn a_run_that_begins_again_has_its_events_once_too() {
    let out = tempfile::tempdir().unwrap();
    let recipe = [&longer()[..], &["--tensorboard"]].concat();
    let (mut child, folder) = begun(&recipe, out.path());
    child.kill().unwrap();
    child.wait().unwrap();
    // As if the kill had come before the first checkpoint.
    fs::remove_dir_all(folder.join("checkpoints")).unwrap();
    fs::write(folder.join("record.jsonl"), "").unwrap();
    done(resume(&folder));
    let description = fs::read_to_string(folder.join("run.json")).unwrap();
    let record = fs::read(folder.join("record.jsonl")).unwrap();
    let mut afterwards = Vec::new();
    write_run(&mut afterwards, &description, &record[..], samples(&folder)).unwrap();
    assert!(held(&event_files(&folder)) == held(&[afterwards]));
}

/// What TensorBoard reads of a run, in its order.
fn event_files(folder: &Path) -> Vec<Vec<u8>> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_events = |path: &PathBuf| path.to_string_lossy().contains("/events.out.tfevents.");
    let mut paths: Vec<_> = paths.filter(is_events).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
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

fn samples(folder: &Path) -> Vec<Sample> {
    let folder = osn_recipes::run::folder::RunFolder::open(folder).unwrap();
    let read = |(step, path)| Sample { step, png: fs::read(path).unwrap() };
    folder.samples().unwrap().into_iter().map(read).collect()
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

#[test]
fn a_run_whose_folder_is_gone_says_so() {
    let (code, words) = said(osn(&["resume", "/no/such/run"]).spawn().unwrap());
    assert_eq!((code, words.lines().count()), (Some(2), 1), "{words}");
}

/// The files and folders of a run that osn writes.
const WRITTEN: [&str; 6] =
    ["run.lock", "run.json", "record.jsonl", "report.html", "samples", "checkpoints"];

/// Puts what a run has under a name elsewhere, and a link to it in its place; where it is now.
fn led_out(run: &Path, name: &str) -> PathBuf {
    let (path, others) = (run.join(name), run.with_added_extension("others"));
    // Somebody else's, with what is needed there to go on.
    if path.is_dir() {
        fs::rename(&path, &others).unwrap();
        fs::write(others.join("mine.tmp"), "mine").unwrap();
    } else {
        let there = fs::read(&path).unwrap_or_else(|_| b"mine".to_vec());
        let _ = fs::remove_file(&path);
        fs::write(&others, there).unwrap();
    }
    std::os::unix::fs::symlink(&others, &path).unwrap();
    others
}

#[test]
fn a_run_with_links_that_lead_out_writes_over_nobody() {
    let (whole, out) = (undisturbed(&short()), tempfile::tempdir().unwrap());
    let folder = killed(out.path());
    for name in WRITTEN {
        for command in ["resume", "report"] {
            let copy = out.path().join(format!("{command}-{}", name.replace('/', "-")));
            let copy = copy_of(&folder, &copy);
            let others = led_out(&copy, name);
            let before = bytes_in(&others);
            let (code, words) = said(osn(&[command, copy.to_str().unwrap()]).spawn().unwrap());
            assert!(bytes_in(&others) == before, "{command} {name}: {words}");
            match (command, code) {
                ("resume", Some(0)) => Left::of(&copy).must_be(&whole, name),
                ("report", Some(0)) => assert!(copy.join("report.html").is_file(), "{name}"),
                (_, code) => assert_eq!(code, Some(2), "{command} {name}: {words}"),
            }
        }
    }
}

/// A file, or every file of a folder.
fn bytes_in(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(files) = fs::read_dir(path) else {
        return vec![(path.to_owned(), fs::read(path).unwrap())];
    };
    let files = files.map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.map(|file| (file.clone(), fs::read(&file).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn reasons_in_a_record_do_not_speak_to_the_terminal() {
    let out = tempfile::tempdir().unwrap();
    let folder = killed(out.path());
    let record = folder.join("record.jsonl");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace("\"reason\":\"", "\"reason\":\"\\u001b]0;owned\\u0007"))
        .unwrap();
    let mut why = osn(&["decide", "why", folder.to_str().unwrap()]);
    let shown = why.stdout(std::process::Stdio::piped()).output().unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("\u{fffd}]0;owned\u{fffd}") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_never_waited_for() {
    let out = tempfile::tempdir().unwrap();
    let folder = killed(out.path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let newest = format!("checkpoints/{}", name(checkpoints(&folder).last().unwrap()));
    for file in ["run.json", "record.jsonl", "run.lock", &newest] {
        let copy = copy_of(&folder, &out.path().join(format!("pipe-{}", file.replace('/', "-"))));
        let _ = fs::remove_file(copy.join(file));
        assert!(Command::new("mkfifo").arg(copy.join(file)).status().unwrap().success());
        for command in ["resume", "report", "watch"] {
            let mut child = osn(&[command, copy.to_str().unwrap()]).spawn().unwrap();
            wait_for(|| child.try_wait().unwrap().is_some());
            let (code, words) = said(child);
            assert!(code.is_some_and(|code| code <= 2), "{command} {file}: {words}");
            assert!(!words.contains("panicked"), "{command} {file}: {words}");
        }
    }
}
