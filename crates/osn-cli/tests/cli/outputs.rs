//! Outputs that nobody reads or that are full, and colours on those that a person reads.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::inputs::checkpoint;
use crate::processes::{
    Ended, Left, begun, control, done, ends_with, osn, osn_on, run_in, signalled, status, train,
    undisturbed,
};
use crate::signals::{n_finished, study};

/// A pipe whose reader is gone.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A disk with no room.
fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// Ways in which no output can be written, with the exit code of a command that succeeds and has data to put
/// out: only data that could not be put out is a failure.
const UNREAD: [(&str, i32); 5] =
    [("pipes", 0), ("full errors", 0), ("full", 1), ("2>&-", 0), (">&- 2>&-", 0)];

/// The exit code of a command in one of these ways.
fn code_with(how: &str, mut command: Command) -> Option<i32> {
    match how {
        "pipes" => command.stdout(unread()).stderr(unread()),
        "full errors" => command.stdout(Stdio::null()).stderr(full()),
        "full" => command.stdout(full()).stderr(full()),
        closed => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("exec \"$0\" \"$@\" {closed}")]);
            shell.arg(command.get_program()).args(command.get_args()).stdout(Stdio::null());
            shell.current_dir(command.get_current_dir().unwrap_or(Path::new(".")));
            return shell.status().unwrap().code();
        }
    };
    command.status().unwrap().code()
}

#[test]
fn a_training_whose_outputs_nobody_reads_trains_on_and_its_files_say_what_is_true() {
    let whole = undisturbed(&control(30));
    for (how, code) in UNREAD {
        let out = TempDir::new().unwrap();
        assert_eq!(code_with(how, train(&control(30), out.path())), Some(code), "{how}");
        let folder = run_in(out.path()).unwrap();
        assert_eq!(status(&folder), "finished", "{how}");
        Left::of(&folder).must_be(&whole, how);
        assert!(folder.join("report.html").exists(), "{how}");
    }
}

#[test]
fn a_resumed_run_whose_outputs_nobody_reads_goes_on_and_a_failed_one_says_so_in_its_files() {
    let whole = undisturbed(&control(400));
    for (how, code) in UNREAD {
        let out = TempDir::new().unwrap();
        let (child, folder) = begun(&control(400), out.path());
        assert_eq!(signalled(child, "INT").code, Some(130), "{how}");
        assert_eq!(code_with(how, osn_on("resume", &folder)), Some(code), "{how}");
        assert_eq!(status(&folder), "finished", "{how}");
        Left::of(&folder).must_be(&whole, how);
    }
    let out = TempDir::new().unwrap();
    let diverging = train(&format!("{} --set learning_rate=1e30", control(30)), out.path());
    assert_eq!(code_with("pipes", diverging), Some(1));
    assert_eq!(status(&run_in(out.path()).unwrap()), "failed");
}

#[test]
fn a_study_whose_outputs_nobody_reads_is_run_to_its_end() {
    for (how, code) in UNREAD {
        let out = TempDir::new().unwrap();
        assert_eq!(code_with(how, study(20, "", out.path())), Some(code), "{how}");
        assert_eq!(n_finished(out.path()), 2, "{how}");
    }
}

#[test]
fn every_other_command_whose_outputs_nobody_reads_ends_with_one_exit_code() {
    let out = TempDir::new().unwrap();
    done(train(&format!("{} --decide never", control(30)), out.path()));
    fs::rename(run_in(out.path()).unwrap(), out.path().join("run")).unwrap();
    checkpoint(out.path());
    let baked = out.path().join("baked.safetensors");
    let has_data = [
        "--help",
        "settings",
        "inspect model.safetensors",
        "inspect --json model.safetensors",
        "data",
        "decide",
        "decide why run",
        "decide like run",
    ];
    let has_none = [
        "normalize model.safetensors baked.safetensors --target 1",
        "report run",
        "watch run",
        "resume run",
    ];
    let refused = ["foo", "inspect /no/such/file", "resume /no/such/run"];
    for (how, of_data) in UNREAD {
        let _ = fs::remove_file(&baked);
        for (lines, code) in [(&has_data[..], of_data), (&has_none, 0), (&refused, 2)] {
            for line in lines {
                let mut command = osn(line);
                command.current_dir(&out);
                assert_eq!(code_with(how, command), Some(code), "{line} {how}");
            }
        }
        assert!(baked.exists(), "{how}");
    }
}

#[test]
fn data_that_could_not_be_put_out_is_said() {
    let ended = ends_with(1, osn("data").stdout(full()));
    // The words of the system.
    assert!(ended.stderr.contains("No space left"), "{ended:?}");
}

/// What a command writes to a terminal that says this of itself.
fn on_terminal(environment: &str, folder: &TempDir, line: &str) -> Option<String> {
    let line = format!("{environment} {} {line}", env!("CARGO_BIN_EXE_osn"));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(folder).stdin(Stdio::null());
    let output = script.stderr(Stdio::null()).output().ok()?;
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn no_command_sends_escapes_to_a_terminal_without_them_or_colours_to_a_person_without_a_wish_for_them()
 {
    let folder = TempDir::new().unwrap();
    checkpoint(folder.path());
    let train = format!("train {} --out runs", control(30));
    let compare = format!("compare {} --decide=never,always --seeds=1 --out study", control(9));
    done(osn(&train).current_dir(&folder));
    let commands = [
        "--help",
        "foo",
        "train --help",
        "inspect model.safetensors",
        "data",
        "decide",
        "decide why runs/*-s1",
        "report runs/*-s1",
        &train,
        &compare,
    ];
    for line in commands {
        let Some(text) = on_terminal("TERM=dumb", &folder, line) else {
            eprintln!("skipped: this machine has no script");
            return;
        };
        assert!(!text.is_empty() && !text.contains('\u{1b}'), "{line}: {text:?}");
        // Without colours lines may still be drawn anew.
        let text = on_terminal("NO_COLOR=1 TERM=xterm-256color", &folder, line).unwrap();
        assert!(!text.is_empty() && !has_colours(&text), "{line}: {text:?}");
    }
    let environment = "env -u NO_COLOR -u CLICOLOR TERM=xterm-256color";
    let text = on_terminal(environment, &folder, "inspect model.safetensors").unwrap();
    assert!(has_colours(&text), "{text:?}");
}

/// Whether a sequence that sets colours or weight is in a text.
fn has_colours(text: &str) -> bool {
    text.split("\u{1b}[").skip(1).any(|rest| {
        rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
    })
}

#[test]
fn colours_are_forced_and_forbidden_by_the_same_rule_everywhere() {
    let folder = TempDir::new().unwrap();
    checkpoint(folder.path());
    for line in ["foo", "--help", "inspect model.safetensors"] {
        for (environment, is_coloured) in [
            (&[][..], false),
            (&[("CLICOLOR_FORCE", "1")], true),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")], true),
            (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
            (&[("CLICOLOR", "1")], false),
        ] {
            let mut command = osn(line);
            command.current_dir(&folder).env_remove("NO_COLOR").env_remove("CLICOLOR");
            command.env("TERM", "xterm").envs(environment.iter().copied());
            let Ended { stdout, stderr, .. } = Ended::of(command.spawn().unwrap());
            assert_eq!(has_colours(&(stdout + &stderr)), is_coloured, "{line}: {environment:?}");
        }
    }
}
