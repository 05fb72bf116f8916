//! The pages that people read: their links lead somewhere, and their commands are ones that osn takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use osn_core::decide::{Rule, Rules};
use serde_json::Value;

use crate::processes::{done, osn};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Folders without pages of ours.
const SKIPPED: [&str; 6] = ["target", ".git", "node_modules", "runs", "studies", "corpus"];

fn root() -> PathBuf {
    fs::canonicalize(ROOT).unwrap()
}

/// Every page of the project, by its path from the project's folder.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut pages = BTreeMap::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() && !SKIPPED.contains(&name.as_str()) {
                folders.push(entry.path());
            } else if Path::new(&name).extension().is_some_and(|it| it == "md") {
                let path = entry.path().strip_prefix(root()).unwrap().to_owned();
                pages.insert(path, fs::read_to_string(entry.path()).unwrap());
            }
        }
    }
    pages
}

/// The lines of a page outside of blocks of code, or within them.
fn lines(page: &str, in_code: bool) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_fence && is_code == in_code
    })
}

/// A paragraph may break a link in two, and code in a line is no link.
fn prose(page: &str) -> String {
    let text = lines(page, false).collect::<Vec<_>>().join("\n");
    let outside =
        text.split('`').enumerate().map(|(index, part)| if index % 2 == 0 { part } else { "code" });
    outside.collect()
}

fn targets(page: &str) -> Vec<String> {
    let text = prose(page);
    let ends = text.split("](").skip(1).filter_map(|rest| {
        let mut depth = 0;
        let end = rest.find(|letter| {
            depth += i32::from(letter == '(') - i32::from(letter == ')');
            depth < 0
        })?;
        Some(rest[..end].split_whitespace().next().unwrap_or_default().to_owned())
    });
    ends.collect()
}

/// The names by which headings are linked to: small letters, hyphens for spaces, no other signs; a number behind a
/// name that was there before.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for heading in lines(page, false).filter(|line| line.starts_with('#')) {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let keep = |letter: &char| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter);
        let anchor: String =
            text.chars().filter(keep).map(|it| if it == ' ' { '-' } else { it }).collect();
        let again = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(again).find(|it| !found.contains(it));
        found.extend(free);
    }
    found
}

/// Where a link leads, from the project's folder.
fn place(page: &Path, target: &str) -> PathBuf {
    let mut place = PathBuf::new();
    for part in page.parent().unwrap().join(target).components() {
        match part {
            Component::ParentDir => {
                assert!(place.pop(), "{}: {target} leaves the project", page.display());
            }
            Component::CurDir => {}
            part => place.push(part),
        }
    }
    place
}

/// What is wrong with a link, if anything is.
fn fault(pages: &BTreeMap<PathBuf, String>, page: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let place = if path.is_empty() { page.to_owned() } else { place(page, path) };
    let is_there = root().join(&place).exists();
    let has_anchor =
        anchor.is_empty() || pages.get(&place).is_none_or(|text| anchors(text).contains(anchor));
    (!is_there || !has_anchor).then(|| format!("{}: {target}", page.display()))
}

#[test]
fn every_link_of_every_page_leads_to_a_file_and_a_heading() {
    let pages = pages();
    let faults = |(page, text): (&PathBuf, &String)| -> Vec<String> {
        targets(text).iter().filter_map(|target| fault(&pages, page, target)).collect()
    };
    let faults: Vec<String> = pages.iter().flat_map(faults).collect();
    assert!(pages.len() > 40, "{}", pages.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_link_to_nowhere_is_found() {
    let page = PathBuf::from("docs/README.md");
    let pages = BTreeMap::from([(
        page.clone(),
        "# One (two)\n\n[a](#one-two) [b](#three) `[c](d)`\n".to_owned(),
    )]);
    assert_eq!(targets(&pages[&page]), ["#one-two", "#three"]);
    assert_eq!(fault(&pages, &page, "#one-two"), None);
    for target in ["#three", "nowhere.md", "../nowhere"] {
        assert!(fault(&pages, &page, target).is_some(), "{target}");
    }
}

#[test]
fn every_page_of_the_book_is_in_its_contents_once() {
    let pages = pages();
    let contents = targets(&pages[Path::new("docs/SUMMARY.md")]);
    let listed: BTreeSet<PathBuf> = contents.iter().map(|it| Path::new("docs").join(it)).collect();
    assert_eq!(listed.len(), contents.len(), "a page is listed twice");
    let folders = ["docs/book", "docs/results"];
    let is_chapter = |page: &&PathBuf| folders.iter().any(|folder| page.starts_with(folder));
    for page in pages.keys().filter(is_chapter) {
        assert!(listed.contains(page), "{} is not in docs/SUMMARY.md", page.display());
    }
}

#[test]
fn every_file_of_rules_on_a_page_can_be_read() {
    let mut n_files = 0;
    for (page, text) in pages().iter().filter(|(page, _)| page.starts_with("docs")) {
        let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for block in blocks.filter(|block| block.contains("[[rule]]")) {
            Rules::from_toml(block).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            n_files += 1;
        }
    }
    assert!(n_files >= 2, "{n_files}");
}

#[test]
fn every_page_of_the_book_with_rust_is_compiled_as_documentation() {
    let library = fs::read_to_string(root().join("crates/osn/src/lib.rs")).unwrap();
    let with_rust = |(page, text): &(&PathBuf, &String)| {
        page.starts_with("docs/book") && text.lines().any(|line| line.starts_with("```rust"))
    };
    let pages = pages();
    let named: Vec<_> =
        pages.iter().filter(with_rust).map(|(page, _)| page.display().to_string()).collect();
    assert!(named.len() >= 3, "{named:?}");
    for page in named {
        assert!(library.contains(&format!("/{page}\"")), "{page} is not in crates/osn/src/lib.rs");
    }
}

/// The lines of blocks that call osn or set a variable for it; a line that ends in `\` goes on.
fn command_lines(page: &str) -> Vec<String> {
    let code = lines(page, true).collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let is_command = |line: &&str| {
        let line = line.trim_start_matches("RAYON_NUM_THREADS=1 ");
        line.starts_with("cargo run --release") || line.starts_with("osn ") || is_assignment(line)
    };
    code.lines().map(str::trim).filter(is_command).map(str::to_owned).collect()
}

/// `NAME=…` in capitals, as of a shell.
fn is_assignment(line: &str) -> bool {
    let name = line.split('=').next().unwrap_or_default();
    line.contains('=') && !name.is_empty() && name.chars().all(|it| it.is_ascii_uppercase())
}

/// The words of each command as a shell hands them to osn.
fn words(lines: &[String]) -> Vec<Vec<String>> {
    let say = "set -f; say() { for word; do printf '%s\\n' \"$word\"; done; echo; }; cargo() { say cargo \"$@\"; }; osn() { say \"$@\"; }\n";
    // What a line writes to a file goes where nobody sees it.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{say}{}", lines.join("\n"))]).current_dir(elsewhere.path());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{lines:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let commands = text.split("\n\n").map(|it| it.lines().map(str::to_owned).collect::<Vec<_>>());
    commands.filter(|words| !words.is_empty()).filter_map(of_osn).collect()
}

/// Without `cargo run --release --`; nothing of a command that runs something else.
fn of_osn(words: Vec<String>) -> Option<Vec<String>> {
    if words[0] != "cargo" {
        return Some(words);
    }
    match words.get(3).map(String::as_str) {
        None => Some(vec!["tour".to_owned()]),
        Some("--") => Some(words[4..].to_vec()),
        Some(_) => None,
    }
}

fn values<'a>(words: &'a [String], option: &str) -> Vec<&'a str> {
    words.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1].as_str()).collect()
}

/// The rules of `--decide`: a part without the name of a rule belongs to the one before.
fn rules(value: &str) -> Vec<String> {
    let names: Vec<_> = Rule::catalogue().iter().map(|doc| doc.name).collect();
    let mut rules: Vec<String> = Vec::new();
    for part in value.split(',') {
        let name = part.split([':', '@']).next().unwrap_or_default();
        match rules.last_mut() {
            Some(last) if !names.contains(&name) && part.contains('=') => last.extend([",", part]),
            _ => rules.push(part.to_owned()),
        }
    }
    rules
}

fn must_be_a_rule(rule: &str) {
    let rule = rule.split('@').next().unwrap_or_default();
    let is_placeholder = rule.chars().all(|it| it.is_ascii_uppercase() || it == '…');
    if is_placeholder {
        return;
    }
    if Path::new(rule).extension().is_some_and(|it| it == "toml") {
        assert!(root().join(rule).exists(), "{rule}");
    } else {
        Rule::parse(rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
    }
}

/// The settings of each recipe.
fn settings() -> BTreeMap<String, BTreeSet<String>> {
    let recipes = ["gan", "cgan", "translate", "control", "classify", "nmt"];
    let of = |recipe: &str| {
        let listed = done(osn(&format!("settings {recipe} --json"))).stdout;
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let names = listed["settings"].as_array().unwrap().iter();
        (recipe.to_owned(), names.map(|it| it["name"].as_str().unwrap().to_owned()).collect())
    };
    recipes.map(of).into()
}

#[test]
fn every_command_of_every_page_is_one_that_osn_takes() {
    let settings = settings();
    let mut n_commands = 0;
    for (page, text) in pages() {
        for words in words(&command_lines(&text)) {
            let line = format!("{}: osn {}", page.display(), words.join(" "));
            // The words before it are read first: what is wrong with them is an error all the same.
            let mut asked = osn("");
            let ended = asked.args(&words).arg("--help").output().unwrap();
            assert!(ended.status.success(), "{line}: {}", String::from_utf8_lossy(&ended.stderr));
            values(&words, "--decide")
                .into_iter()
                .flat_map(rules)
                .for_each(|rule| must_be_a_rule(&rule));
            let recipe =
                words.get(1).filter(|it| settings.contains_key(*it)).map_or("gan", String::as_str);
            for setting in values(&words, "--set") {
                let key = setting.split('=').next().unwrap_or_default();
                let is_known = settings[recipe].contains(key) || key == "KEY";
                assert!(is_known, "{line}: {recipe} has no setting {key}");
            }
            n_commands += 1;
        }
    }
    assert!(n_commands > 60, "{n_commands}");
}

#[test]
fn a_wrong_command_on_a_page_is_found() {
    let page = "```sh\nX=gan\ncargo run --release -- train $X --decide cap:target=2,dwell=9,never # why\nls\n```\n";
    let found = words(&command_lines(page));
    assert_eq!(found, [["train", "gan", "--decide", "cap:target=2,dwell=9,never"]]);
    assert_eq!(rules(&found[0][3]), ["cap:target=2,dwell=9", "never"]);
    assert_eq!(osn("trian --help").status().unwrap().code(), Some(2));
    assert_eq!(osn("train gan --sed 1 --help").status().unwrap().code(), Some(2));
}
