//! The examples at the end of each command's help; a test runs them.

use clap::Command as Clap;

/// For each command, by its words, what a line does, and the line.
const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "train",
        &[
            ("Normalize every layer of a Q-network", "osn train control --decide always"),
            (
                "Keep σ at 2 or below, with a rule's parameter",
                "osn train control --decide cap:target=2 --seed 7",
            ),
        ],
    ),
    ("resume", &[("Go on where a run was stopped", "osn resume runs/control-always-s1")]),
    (
        "compare",
        &[("Two rules with two seeds each", "osn compare control --decide always,never --seeds 2")],
    ),
    ("tour", &[("A GAN twice, all else equal, with another seed", "osn tour --seed 2")]),
    (
        "settings",
        &[("What `--set` takes, and its defaults", "osn settings control --preset quick")],
    ),
    ("data", &[("The data sets, and which are here", "osn data")]),
    ("data list", &[("The data sets, and which are here", "osn data list")]),
    (
        "data import",
        &[(
            "Emoji from the npm package, as pairs of pictures",
            "osn data import openmoji package --size 16",
        )],
    ),
    ("watch", &[("Follow a run in the browser", "osn watch runs/control-always-s1")]),
    (
        "report",
        &[
            ("The page of a run", "osn report runs/control-always-s1"),
            (
                "A study and a run on one page",
                "osn report studies/control runs/control-always-s1 -o both.html",
            ),
        ],
    ),
    (
        "inspect",
        &[
            ("σ of every weight", "osn inspect model.safetensors"),
            (
                "Some weights, with their three largest singular values",
                "osn inspect model.safetensors --select '**.weight' --top 3",
            ),
            ("All files that a pattern matches", "osn inspect '*.safetensors' --sort stable-rank"),
        ],
    ),
    (
        "normalize",
        &[(
            "Make no σ larger than 1",
            "osn normalize model.safetensors capped.safetensors --target 1 --mode cap",
        )],
    ),
    ("decide", &[("The rules, with their parameters", "osn decide")]),
    ("decide list", &[("The rules, for a program", "osn decide list --json")]),
    ("decide check", &[("Whether a file of rules can be read", "osn decide check rules.toml")]),
    (
        "decide why",
        &[("What was in force at a step, and why", "osn decide why runs/control-always-s1 3")],
    ),
    ("decide like", &[("The control arm of a run", "osn decide like runs/control-always-s1")]),
    (
        "decide frozen",
        &[(
            "What a run held, throughout",
            "osn decide frozen runs/control-always-s1 > frozen.toml",
        )],
    ),
    ("doctor", &[("What a report of a fault should hold", "osn doctor")]),
    (
        "completions",
        &[("For bash", "osn completions bash > ~/.local/share/bash-completion/completions/osn")],
    ),
    ("man", &[("The man pages, for `man -l man1/osn-train.1`", "osn man man1")]),
];

/// The command with the examples of each of its commands, before what its help ends with.
pub(super) fn with_examples(command: Clap) -> Clap {
    EXAMPLES.iter().fold(command, |command, (words, examples)| {
        let words: Vec<_> = words.split(' ').collect();
        if has(&command, &words) { below(command, &words, &text(examples)) } else { command }
    })
}

/// Whether there is such a command; those that train may be absent.
fn has(command: &Clap, words: &[&str]) -> bool {
    let found = words.iter().try_fold(command, |command, word| command.find_subcommand(word));
    found.is_some()
}

fn below(command: Clap, words: &[&str], text: &str) -> Clap {
    let Some((first, rest)) = words.split_first() else {
        let after = command.get_after_help().map(|after| format!("\n\n{after}"));
        return command.after_help(text.to_owned() + &after.unwrap_or_default());
    };
    command.mut_subcommand(first, |command| below(command, rest, text))
}

fn text(examples: &[(&str, &str)]) -> String {
    let title = if examples.len() == 1 { "Example:" } else { "Examples:" };
    let lines = examples.iter().map(|(what, line)| format!("\n  {line}\n      {what}"));
    title.to_owned() + &lines.collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::usage;

    fn without_examples(command: &Clap, path: &str) -> Vec<String> {
        let of = |command: &Clap| {
            let path = format!("{path} {}", command.get_name());
            let has_example = command
                .get_after_help()
                .is_some_and(|after| after.to_string().contains("\n  osn "));
            let own = (!has_example).then(|| path.clone());
            own.into_iter().chain(without_examples(command, &path)).collect::<Vec<_>>()
        };
        command.get_subcommands().flat_map(of).collect()
    }

    #[test]
    fn every_command_has_an_example_that_can_be_read() {
        assert_eq!(without_examples(&usage::command(), "osn"), Vec::<String>::new());
        for (words, examples) in EXAMPLES {
            let is_here = has(&usage::command(), &words.split(' ').collect::<Vec<_>>());
            for (_, line) in examples.iter().filter(|_| is_here) {
                let line = line.split(" > ").next().unwrap();
                let words = line.split(' ').map(|word| word.trim_matches('\''));
                assert!(usage::command().try_get_matches_from(words).is_ok(), "{line}");
            }
        }
    }
}
