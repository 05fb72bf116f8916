//! What somebody meets who knows nothing of osn yet: examples, a wrong word, a folder in place of a file.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::inputs::{checkpoint, emoji_package, write_tensor};
use crate::processes::{Ended, done, osn, osn_on, refused};

/// All commands.
const COMMANDS: [&str; 21] = [
    "train",
    "resume",
    "compare",
    "tour",
    "settings",
    "data",
    "data list",
    "data import",
    "watch",
    "report",
    "inspect",
    "normalize",
    "decide",
    "decide list",
    "decide check",
    "decide why",
    "decide like",
    "decide frozen",
    "doctor",
    "completions",
    "man",
];
/// What makes a run or a study of `control` short.
const SHORT: &str = " --set steps=4 --set log_every=2 --set eval_episodes=2 --set final_episodes=2 --set random_actions=50";
const SHORT_TOUR: &str = " --set steps=40 --set eval_every=20 --set eval_images=100 --set final_images=100 \
                          --set d_channels=8 --set g_channels=8 --set batch_size=8";

/// The lines of the examples in a command's help.
fn examples(command: &str) -> Vec<String> {
    let help = done(osn(&format!("{command} --help")).env("COLUMNS", "200")).stdout;
    let lines = help.lines().skip_while(|line| !line.starts_with("Example"));
    let lines =
        lines.filter_map(|line| line.strip_prefix("  osn ")).map(|line| format!("osn {line}"));
    lines.collect()
}

/// A folder with the files that the examples name.
fn place_of_examples() -> TempDir {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    checkpoint(folder.path());
    write_tensor(&at("other.safetensors"), "a.weight", &[2, 2], &[1.0, 0.0, 0.0, 2.0]);
    write_tensor(&at("model.safetensors"), "a.weight", &[2, 2], &[3.0, 0.0, 0.0, 1.0]);
    emoji_package(&at("package"));
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/rules.toml");
    fs::copy(rules, at("rules.toml")).unwrap();
    fs::create_dir_all(at(".local/share/bash-completion/completions")).unwrap();
    folder
}

/// A line as a shell runs it.
fn in_shell(line: &str, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    let program = Path::new(env!("CARGO_BIN_EXE_osn")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    shell.args(["-c", line]).current_dir(folder).env("PATH", path).env("HOME", folder);
    shell.env("BROWSER", "true").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

#[cfg(unix)]
#[test]
fn every_command_has_examples_and_each_does_what_it_should() {
    let folder = place_of_examples();
    for command in COMMANDS {
        let lines = examples(command);
        assert!(!lines.is_empty(), "osn {command} --help has no example");
        for line in lines {
            let is_of = |command: &str| line.starts_with(command);
            let short = if is_of("osn tour") {
                SHORT_TOUR
            } else if is_of("osn train") || is_of("osn compare") {
                SHORT
            } else {
                ""
            };
            let line = line + short;
            let Ended { stdout, .. } = done(in_shell(&line, folder.path()));
            let is_silent = line.contains(" > ") || line.contains(" man ");
            let is_said = ["report", "watch", "normalize", "resume", "import"];
            let prints = !is_silent && !is_said.iter().any(|word| line.contains(word));
            assert!(!prints || !stdout.is_empty(), "{line} printed nothing");
        }
    }
    for made in ["both.html", "capped.safetensors", "man1/osn-train.1", "man1/osn-decide-why.1"] {
        assert!(folder.path().join(made).is_file(), "{made}");
    }
    let completions = ".local/share/bash-completion/completions/osn";
    assert!(fs::read_to_string(folder.path().join(completions)).unwrap().contains("--decide"));
}

#[test]
fn a_wrong_word_is_answered_with_the_right_one() {
    let folder = place_of_examples();
    let model = folder.path().join("model.safetensors");
    for (line, right) in [
        ("trian", "'train'"),
        ("train gna", "'gan'"),
        ("train --preset quik", "'quick'"),
        ("train --decide alwys", "'always'"),
        ("train --decide cap:taget=1", "'target'"),
        ("train --decide always@bidirectoinal", "'bidirectional'"),
        ("train --data fashion-mnist-10", "'fashion-mnist-10k'"),
        ("train --set lerning_rate=1", "'learning_rate'"),
        ("train --device felx", "'flex'"),
        ("train nmt --data cldr-name", "'cldr-names'"),
        ("settings tranlsate", "'translate'"),
        ("compare contrl", "'control'"),
        ("decide lst", "'list'"),
        ("completions bsh", "'bash'"),
    ] {
        let said = refused(osn(line).current_dir(folder.path()));
        let is_asked = said.contains("did you mean") || said.contains("similar");
        assert!(is_asked && said.contains(right), "{line}: {said}");
    }
    for (words, right) in [
        ("--view reshapd", "'reshaped'"),
        ("--select a.weigth", "'a.weight'"),
        ("--sort sigm", "'sigma'"),
    ] {
        let ended = Ended::of(osn_on(&format!("inspect {words}"), &model).spawn().unwrap());
        assert!(ended.code == Some(2) && ended.stderr.contains(right), "{words}: {}", ended.stderr);
    }
}

#[test]
fn the_doctor_finds_nothing_wrong_and_names_what_a_report_needs() {
    let text = done(osn("doctor")).stdout;
    for name in
        ["osn", "Burn", "compiler", "built for", "processor", "threads", "browser", "terminal"]
    {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name} is not in\n{text}");
    }
    assert_eq!(text.matches(" ok: ").count(), 3, "{text}");
    assert!(text.contains("BROWSER=true"), "{text}");
}

#[test]
fn quiet_says_errors_and_results_only() {
    let folder = TempDir::new().unwrap();
    let line = format!("train control --quiet {SHORT} --out");
    let ended = done(osn_on(&line, folder.path()));
    assert!(ended.stderr.is_empty() && ended.stdout.lines().count() == 1, "{ended:?}");
    let run = ended.stdout.trim_end();
    let why = done(osn("--quiet decide why").arg(run));
    assert!(why.stderr.is_empty() && !why.stdout.is_empty(), "{why:?}");
    assert!(refused(osn("-q train gna")).starts_with("error: "));
}

#[test]
fn a_pattern_in_quotation_marks_and_a_folder_of_the_hub_are_opened() {
    let folder = place_of_examples();
    let names = |words: &str| {
        let text = done(osn(words).current_dir(folder.path())).stdout;
        text.matches("a.weight").count()
    };
    assert_eq!(names("inspect *.safetensors"), 2);
    assert!(refused(osn("inspect *.pt").current_dir(folder.path())).contains("'*.pt'"));

    let model = folder.path().join("hub/models--you--net");
    let snapshot = |name: &str, sigma: f32| {
        let folder = model.join("snapshots").join(name);
        fs::create_dir_all(&folder).unwrap();
        write_tensor(&folder.join("model.safetensors"), "a.weight", &[1, 1], &[sigma]);
    };
    snapshot("0a", 5.0);
    let sigma = |path: &str| {
        let json = done(osn_on("inspect --json", &model.join(path))).stdout;
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        report["tensors"][0]["sigma"]["value"].as_f64().unwrap().round()
    };
    assert_eq!([sigma(""), sigma("snapshots"), sigma("snapshots/0a")], [5.0; 3]);
    snapshot("0b", 7.0);
    assert!(refused(osn_on("inspect", &model)).contains("0a"));
    fs::create_dir_all(model.join("refs")).unwrap();
    fs::write(model.join("refs/main"), "0b").unwrap();
    assert_eq!([sigma(""), sigma("snapshots")], [7.0; 2]);
}

#[test]
fn a_folder_of_runs_is_answered_with_the_runs_in_it() {
    let folder = TempDir::new().unwrap();
    let line = format!("train control {SHORT} --out");
    let run = done(osn_on(&line, folder.path())).stdout;
    for command in ["decide why", "decide like", "decide frozen", "report", "watch", "resume"] {
        let said = refused(osn_on(command, folder.path()));
        assert!(said.contains(run.trim_end()), "{command}: {said}");
    }
}
