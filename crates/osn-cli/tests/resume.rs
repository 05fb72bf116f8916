//! Runs that are killed at any moment, as processes of their own, and go on: held against the same run
//! that nobody killed.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod processes;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use processes::{
    CONTROL, Left, begun, checkpoints, done, has_saved, osn, resume, run_in, said, signal, train,
    undisturbed, wait_for,
};

/// How often runs of each of the five recipes are killed.
const KILLS: u32 = 40;

const CLASSIFY: [&str; 9] = [
    "classify",
    "--set",
    "network=mlp",
    "--set",
    "steps=60",
    "--set",
    "eval_images=100",
    "--set",
    "final_images=200",
];
/// What makes runs of the recipes with pictures small; the recipe comes first.
const SMALL: [&str; 10] = [
    "--set",
    "steps=30",
    "--set",
    "g_channels=4",
    "--set",
    "d_channels=4",
    "--set",
    "eval_images=100",
    "--set",
    "final_images=100",
];
/// A run that ends when somebody ends it.
const ENDLESS: [&str; 3] = ["control", "--set", "steps=100000000"];

/// Moments that look random and are the same each time.
struct KillTimes(u64);

impl KillTimes {
    /// A part of `most`.
    fn next(&mut self, most: Duration) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        most.mul_f64((self.0 >> 40) as f64 / (1_u64 << 24) as f64)
    }
}

/// Kills a run again and again, each time soon after it has written something, until it is finished; how
/// often that was.
fn kill_until_finished(mut child: Child, folder: &Path, moments: &mut KillTimes) -> u32 {
    let mut kills = 0;
    loop {
        wait_for(|| has_saved(folder, child.id()) || child.try_wait().unwrap().is_some());
        std::thread::sleep(moments.next(Duration::from_millis(120)));
        child.kill().unwrap();
        let (code, words) = said(child);
        match code {
            None => kills += 1,
            Some(0) => return kills,
            Some(code) => panic!("it failed with {code}: {words}"),
        }
        child = resume(folder).spawn().unwrap();
    }
}

/// Kills runs of a recipe until that was often enough.
fn goes_on_after_every_kill(recipe: &[&str], seed: u64) {
    let mut moments = KillTimes(seed);
    let whole = undisturbed(recipe);
    let mut n_kills = 0;
    for round in 0.. {
        let out = tempfile::tempdir().unwrap();
        let child = train(recipe, out.path()).spawn().unwrap();
        wait_for(|| run_in(out.path()).is_some());
        let folder = run_in(out.path()).unwrap();
        n_kills += kill_until_finished(child, &folder, &mut moments);
        Left::of(&folder).must_be(&whole, &format!("{recipe:?} after {n_kills} kills"));
        if n_kills >= KILLS {
            return;
        }
        assert!(round < 40, "{n_kills} kills in 40 runs: nothing is tested");
    }
}

#[test]
fn control_killed_at_any_moment_goes_on_to_the_same_record() {
    goes_on_after_every_kill(&CONTROL, 7);
}

#[test]
fn classify_killed_at_any_moment_goes_on_to_the_same_record() {
    goes_on_after_every_kill(&CLASSIFY, 11);
}

#[test]
fn gan_killed_at_any_moment_goes_on_to_the_same_record_and_pictures() {
    goes_on_after_every_kill(&[&["gan"], &SMALL[..]].concat(), 13);
}

#[test]
fn cgan_killed_at_any_moment_goes_on_to_the_same_record_and_pictures() {
    goes_on_after_every_kill(&[&["cgan"], &SMALL[..]].concat(), 17);
}

#[test]
fn translate_killed_at_any_moment_goes_on_to_the_same_record_and_pictures() {
    goes_on_after_every_kill(&[&["translate"], &SMALL[..]].concat(), 19);
}

#[test]
fn a_run_that_is_asked_to_end_says_how_to_go_on_and_with_which_signal_it_ended() {
    for (name, code) in [("-TERM", 143), ("-INT", 130)] {
        let out = tempfile::tempdir().unwrap();
        let (child, folder) = begun(&ENDLESS, out.path());
        signal(&child, name);
        let (found, words) = said(child);
        assert_eq!(found, Some(code), "{words}");
        assert!(words.contains(&format!("resume {}", folder.display())), "{words}");
        // Nobody waits for the end of it: it goes on, and is asked to end again.
        let child = resume(&folder).spawn().unwrap();
        wait_for(|| has_saved(&folder, child.id()));
        signal(&child, name);
        assert_eq!(said(child).0, Some(code));
    }
}

#[test]
fn a_second_signal_ends_at_once_and_the_run_goes_on_from_the_checkpoint_before() {
    let out = tempfile::tempdir().unwrap();
    // The scores at the end of a stopped run take longer than anybody wants to wait.
    let slow = [&["gan"], &SMALL[..], &["--set", "steps=100000", "--set", "final_images=10000"]];
    let (mut child, folder) = begun(&slow.concat(), out.path());
    signal(&child, "-INT");
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("Ctrl-C") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended at the first");
    }
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!folder.join("report.html").exists(), "it ended well");
    assert!(!checkpoints(&folder).is_empty());
    let child = resume(&folder).spawn().unwrap();
    wait_for(|| has_saved(&folder, child.id()));
    signal(&child, "-KILL");
    assert_eq!(said(child).0, None);
}

#[test]
fn a_second_process_is_refused_with_the_first_ones_number() {
    let out = tempfile::tempdir().unwrap();
    let (mut child, folder) = begun(&ENDLESS, out.path());
    let (code, words) = said(resume(&folder).spawn().unwrap());
    assert_eq!(code, Some(2));
    assert!(words.contains(&format!("process {}", child.id())), "{words}");
    assert_eq!(words.lines().count(), 1, "{words}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_finished_run_says_so_and_one_without_checkpoints_what_to_do() {
    let out = tempfile::tempdir().unwrap();
    let arguments = [&["train"], &CONTROL[..], &["--set", "steps=4", "--out"]].concat();
    let without = [&arguments[..], &[out.path().to_str().unwrap(), "--keep-checkpoints", "0"]];
    done(osn(&without.concat()));
    let folder = run_in(out.path()).unwrap();
    let (code, words) = said(resume(&folder).spawn().unwrap());
    assert_eq!(code, Some(0));
    assert!(words.contains(" 4 steps"), "{words}");

    let text = fs::read_to_string(folder.join("run.json")).unwrap();
    fs::write(folder.join("run.json"), text.replace("\"finished\"", "\"stopped\"")).unwrap();
    assert_eq!(said(resume(&folder).spawn().unwrap()).0, Some(2));
}

/// A short run of `gan` on what `data` names in a folder; it is stopped before its end.
fn stopped_on(here: &Path, data: &str) -> PathBuf {
    let words = [&["train", "gan"], &SMALL[..], &["--set", "steps=4", "--data", data]].concat();
    let mut command = osn(&[&words[..], &["--checkpoint-every", "1", "--out", "runs"]].concat());
    command.current_dir(here);
    done(command);
    let folder = run_in(&here.join("runs")).unwrap();
    fs::remove_file(checkpoints(&folder).pop().unwrap()).unwrap();
    let text = fs::read_to_string(folder.join("run.json")).unwrap();
    fs::write(folder.join("run.json"), text.replace("\"finished\"", "\"stopped\"")).unwrap();
    folder
}

fn pictures(folder: &Path) {
    fs::create_dir(folder).unwrap();
    for index in 0..60 {
        let picture = image::RgbImage::from_pixel(28, 28, image::Rgb([9, index, 200]));
        picture.save(folder.join(format!("{index:02}.png"))).unwrap();
    }
}

#[test]
fn a_run_on_a_relative_folder_goes_on_from_anywhere_and_by_the_command_that_was_printed() {
    let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    pictures(&here.path().join("photos"));
    let folder = stopped_on(here.path(), "photos");
    let whole = Left::of(&folder);
    let name = folder.file_name().unwrap().to_str().unwrap();
    let mut as_printed = osn(&["resume", &format!("runs/{name}")]);
    as_printed.current_dir(here.path());
    done(as_printed);
    Left::of(&folder).must_be(&whole, "from where it was started");

    fs::remove_dir_all(here.path().join("runs")).unwrap();
    let folder = stopped_on(here.path(), "./photos/");
    let mut from_elsewhere = resume(&folder);
    from_elsewhere.current_dir(elsewhere.path());
    done(from_elsewhere);
    Left::of(&folder).must_be(&whole, "from elsewhere");
}

#[test]
fn a_folder_that_is_called_as_a_data_set_is_in_nobodys_way() {
    let here = tempfile::tempdir().unwrap();
    pictures(&here.path().join("fashion-mnist-10k"));
    // The data set comes first, the folder by its path.
    for (data, is_folder) in [("fashion-mnist-10k", false), ("./fashion-mnist-10k", true)] {
        let folder = stopped_on(here.path(), data);
        let text = fs::read_to_string(folder.join("run.json")).unwrap();
        let description: serde_json::Value = serde_json::from_str(&text).unwrap();
        let data = description["asked_data"].as_str().unwrap();
        assert_eq!(Path::new(data).is_absolute(), is_folder, "{data}");
        let mut command = resume(&folder);
        command.current_dir(here.path());
        done(command);
        fs::remove_dir_all(here.path().join("runs")).unwrap();
    }
}

#[test]
fn what_differs_is_said_in_one_line() {
    let out = tempfile::tempdir().unwrap();
    let (mut child, folder) = begun(&ENDLESS, out.path());
    child.kill().unwrap();
    child.wait().unwrap();
    let text = fs::read_to_string(folder.join("run.json")).unwrap();
    let mut description: serde_json::Value = serde_json::from_str(&text).unwrap();
    description["versions"]["burn"] = "0.21.0".into();
    description["versions"]["lock"] = "abacus".into();
    fs::write(folder.join("run.json"), description.to_string()).unwrap();
    let (code, words) = said(resume(&folder).spawn().unwrap());
    assert_eq!((code, words.lines().count()), (Some(2), 1), "{words}");
    assert!(words.contains("abacus") && words.contains("0.21.0"), "{words}");
}
