//! Runs that are killed or stopped at any moment, as processes of their own, and go on: held against the
//! same run that nobody disturbed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use tempfile::TempDir;

use crate::inputs::pictures;
use crate::processes::{
    ENDLESS, Ended, Left, begun, checkpoints, control, description, done, has_record, has_saved,
    kill, osn, osn_on, refused, run_in, set, signal, signalled, small, status, train, undisturbed,
    wait_for, wait_for_run,
};

/// How often runs of each recipe are killed.
const KILLS: u32 = 40;

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
        // No state to wait for: a kill may come at any moment.
        std::thread::sleep(moments.next(Duration::from_millis(120)));
        child.kill().unwrap();
        let ended = Ended::of(child);
        match ended.code {
            None => kills += 1,
            Some(0) => return kills,
            Some(_) => panic!("{ended:?}"),
        }
        child = osn_on("resume", folder).spawn().unwrap();
    }
}

/// Kills runs of a recipe until that was often enough.
fn goes_on_after_every_kill(recipe: &str, seed: u64) {
    let mut moments = KillTimes(seed);
    let whole = undisturbed(recipe);
    let mut n_kills = 0;
    for round in 0.. {
        let out = TempDir::new().unwrap();
        let child = train(recipe, out.path()).spawn().unwrap();
        let folder = wait_for_run(out.path(), |_| true);
        n_kills += kill_until_finished(child, &folder, &mut moments);
        Left::of(&folder).must_be(&whole, &format!("{recipe} after {n_kills} kills"));
        if n_kills >= KILLS {
            return;
        }
        assert!(round < 40, "{n_kills} kills in 40 runs: nothing is tested");
    }
}

#[test]
fn control_killed_at_any_moment_goes_on_to_the_same_record() {
    goes_on_after_every_kill(&control(120), 7);
}

#[test]
fn classify_killed_at_any_moment_goes_on_to_the_same_record() {
    let images = "--set eval_images=100 --set final_images=200";
    goes_on_after_every_kill(&format!("classify --set network=mlp --set steps=60 {images}"), 11);
}

#[test]
fn gan_killed_at_any_moment_goes_on_to_the_same_record_and_pictures() {
    goes_on_after_every_kill(&small("gan", 30, 100), 13);
}

#[test]
fn cgan_killed_at_any_moment_goes_on_to_the_same_record_and_pictures() {
    goes_on_after_every_kill(&small("cgan", 30, 100), 17);
}

#[test]
fn translate_killed_at_any_moment_goes_on_to_the_same_record_and_pictures() {
    goes_on_after_every_kill(&small("translate", 30, 100), 19);
}

#[test]
fn nmt_killed_at_any_moment_goes_on_to_the_same_record_and_translations() {
    let network = "--set encoder_layers=1 --set decoder_layers=1 --set width=8 --set heads=2 --set feed_forward=8";
    let data = "--set vocabulary=400 --set max_length=12 --set batch_size=8 --set beam=1";
    let scores = "--set eval_sentences=8 --set final_sentences=8";
    goes_on_after_every_kill(&format!("nmt {network} {data} {scores} --set steps=30"), 23);
}

#[test]
fn a_run_killed_before_its_first_checkpoint_is_resumed_from_its_start() {
    let recipe = "control --set steps=1500 --set eval_every=100 --set eval_episodes=2 \
                  --set final_episodes=4 --checkpoint-every 1000000 --set log_every=1";
    let train = |out: &TempDir| osn_on(&format!("train {recipe} --out"), out.path());
    let [undisturbed, out] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    done(train(&undisturbed));
    let whole = Left::of(&run_in(undisturbed.path()).unwrap());
    let mut child = train(&out).spawn().unwrap();
    let folder = wait_for_run(out.path(), has_record);
    child.kill().unwrap();
    assert_eq!(Ended::of(child).code, None, "it was over before it could be killed");
    assert!(checkpoints(&folder).is_empty());
    // At the earliest moment of all there is no record yet, and a file half written.
    let bare = out.path().join("bare");
    fs::create_dir_all(bare.join("samples")).unwrap();
    fs::copy(folder.join("run.json"), bare.join("run.json")).unwrap();
    fs::write(bare.join(".osn-k1ll3d.tmp"), "half").unwrap();
    for folder in [folder, bare] {
        done(osn_on("resume", &folder));
        Left::of(&folder).must_be(&whole, "killed early");
        assert_eq!(status(&folder), "finished");
        assert!(!folder.join(".osn-k1ll3d.tmp").exists());
    }
}

#[test]
fn a_run_whose_checkpoints_were_thrown_away_keeps_its_record() {
    let out = TempDir::new().unwrap();
    let (child, folder) = begun(&control(400), out.path());
    let read = || fs::read_to_string(folder.join("record.jsonl")).unwrap();
    let n_lines = read().lines().count();
    wait_for(|| read().lines().count() > n_lines + 20);
    kill(child);
    fs::remove_dir_all(folder.join("checkpoints")).unwrap();
    let before = read();
    refused(osn_on("resume", &folder));
    assert!(read() == before);
}

#[test]
fn a_stopped_run_can_be_resumed_and_stopped_again() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let out = TempDir::new().unwrap();
        let (child, folder) = begun(ENDLESS, out.path());
        assert_eq!(signalled(child, name).code, Some(code));
        let child = osn_on("resume", &folder).spawn().unwrap();
        wait_for(|| has_saved(&folder, child.id()));
        assert_eq!(signalled(child, name).code, Some(code));
    }
}

#[test]
fn a_second_signal_ends_at_once_and_the_run_goes_on_from_the_checkpoint_before() {
    let out = TempDir::new().unwrap();
    // The scores at the end of a stopped run take longer than anybody wants to wait.
    let (mut child, folder) = begun(&small("gan", 100_000, 10_000), out.path());
    signal(&child, "INT");
    // The only sign that the first signal has come.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("stopping")), "it ended at the first");
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!folder.join("report.html").exists(), "it ended well");
    assert!(!checkpoints(&folder).is_empty());
    let child = osn_on("resume", &folder).spawn().unwrap();
    wait_for(|| has_saved(&folder, child.id()));
    assert_eq!(signalled(child, "KILL").code, None);
}

#[test]
fn a_second_process_is_refused_with_the_first_ones_number() {
    let out = TempDir::new().unwrap();
    let (child, folder) = begun(ENDLESS, out.path());
    let line = refused(osn_on("resume", &folder));
    assert!(line.contains(&child.id().to_string()), "{line}");
    kill(child);
}

#[test]
fn a_finished_run_is_no_error_and_one_without_checkpoints_is() {
    let out = TempDir::new().unwrap();
    done(osn_on(&format!("train {} --keep-checkpoints 0 --out", control(4)), out.path()));
    let folder = run_in(out.path()).unwrap();
    done(osn_on("resume", &folder));
    set(&folder.join("run.json"), "/status", "stopped");
    refused(osn_on("resume", &folder));
}

/// A short run of `gan` on what `data` names in a folder; it is stopped before its end.
fn stopped_on(here: &Path, data: &str) -> PathBuf {
    let line =
        format!("train {} --data {data} --checkpoint-every 1 --out runs", small("gan", 4, 100));
    done(osn(&line).current_dir(here));
    let folder = run_in(&here.join("runs")).unwrap();
    fs::remove_file(checkpoints(&folder).pop().unwrap()).unwrap();
    set(&folder.join("run.json"), "/status", "stopped");
    folder
}

#[test]
fn a_run_on_a_relative_folder_goes_on_from_anywhere_and_by_the_command_that_was_printed() {
    let (here, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    pictures(&here.path().join("photos"));
    let folder = stopped_on(here.path(), "photos");
    let whole = Left::of(&folder);
    let as_printed = Path::new("runs").join(folder.file_name().unwrap());
    done(osn_on("resume", &as_printed).current_dir(&here));
    Left::of(&folder).must_be(&whole, "from where it was started");

    fs::remove_dir_all(here.path().join("runs")).unwrap();
    let folder = stopped_on(here.path(), "./photos/");
    done(osn_on("resume", &folder).current_dir(&elsewhere));
    Left::of(&folder).must_be(&whole, "from elsewhere");
}

#[test]
fn a_folder_that_is_called_as_a_data_set_is_in_nobodys_way() {
    let here = TempDir::new().unwrap();
    pictures(&here.path().join("fashion-mnist-10k"));
    // The data set comes first, the folder by its path.
    for (data, is_folder) in [("fashion-mnist-10k", false), ("./fashion-mnist-10k", true)] {
        let folder = stopped_on(here.path(), data);
        let asked = description(&folder)["asked_data"].as_str().unwrap().to_owned();
        assert_eq!(Path::new(&asked).is_absolute(), is_folder, "{asked}");
        done(osn_on("resume", &folder).current_dir(&here));
        fs::remove_dir_all(here.path().join("runs")).unwrap();
    }
}
