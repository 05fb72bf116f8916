//! `osn decide`: lists rules, checks a rules file, and explains decisions.

use std::collections::BTreeMap;
use std::path::Path;

use osn_core::decide::{ParameterDoc, Rule, RuleDoc, ScopedRule};
use osn_report::escaped;
use osn_runs::history::{History, Turn};
use osn_runs::mean_targets::{MeanTarget, mean_targets};
use osn_runs::record::{Record, read_record};
use osn_runs::rules_file::read_rules;
use serde_json::{Value, json};

use crate::failure::{Failure, SUCCESS};
use crate::run::folder;
use crate::terminal::stderr::say;
use crate::terminal::stdout;
use crate::terminal::text::paragraph;

const INDENT: &str = "    ";

/// Prints every rule and its parameters.
pub(crate) fn list(json: bool) -> Result<u8, Failure> {
    let rules = Rule::catalogue();
    if json {
        stdout::print(&format!("{:#}\n", as_json(rules)))?;
        return Ok(SUCCESS);
    }
    stdout::print(&rules.iter().map(describe).collect::<Vec<_>>().join("\n"))?;
    say("\nUse one: osn train --decide cap:target=2,dwell=100");
    say("Several, each for some layers, in a file: osn train --decide rules.toml");
    say("Measure kernels as both of their reshapings: osn train --decide always@bidirectional");
    Ok(SUCCESS)
}

/// Prints the rules of a file, one line each.
pub(crate) fn check(path: &Path) -> Result<u8, Failure> {
    let rules = read_rules(path).map_err(Failure::bad_input)?;
    let lines = rules.entries().iter().zip(1..).map(|(entry, number)| understood(number, entry));
    stdout::print(&lines.collect::<String>())?;
    say("The last rule that selects a layer decides for it.");
    Ok(SUCCESS)
}

/// Prints for each layer the decision in force at a step, since when, and its reason.
pub(crate) fn why(run: &Path, step: Option<u64>) -> Result<u8, Failure> {
    let history = history(run)?;
    let step = step.unwrap_or(history.steps());
    let line = |(network, path, turn): (&str, &str, &Turn)| {
        let Turn { step, to, reason } = turn;
        let [network, path, to, reason] = [network, path, to, reason].map(escaped);
        format!("{network} {path}: {to} since step {step}: {reason}\n")
    };
    let lines: String = history.at(step).map(line).collect();
    stdout::print(&lines)?;
    if lines.is_empty() {
        say(format_args!("{}: its record has no decision yet", run.display()));
    } else if step > history.steps() {
        say(format_args!(
            "The run has only {} steps; these are its last decisions.",
            history.steps()
        ));
    }
    Ok(SUCCESS)
}

/// Prints the text of `random` with the duty cycle and the dwell of a run.
pub(crate) fn like(run: &Path) -> Result<u8, Failure> {
    let history = history(run)?;
    let (Some(duty), Some(dwell)) = (history.duty(), history.dwell()) else {
        let message = format!("{}: its record has no decision; pass another run", run.display());
        return Err(Failure::bad_input(message));
    };
    // Whole steps, and at least one, as the rule wants them.
    let dwell = dwell.round().max(1.0);
    stdout::print(&format!("random:duty={duty:.3},dwell={dwell}\n"))?;
    say("Its target is 1 unless you add one: random:target=2,…");
    Ok(SUCCESS)
}

/// Prints a rules file that holds each layer at the mean target that a run gave it.
pub(crate) fn frozen(run: &Path) -> Result<u8, Failure> {
    let layers = mean_targets(&record(run)?.events);
    if layers.iter().all(|layer| layer.held.is_none()) {
        let message =
            format!("{}: no layer was held at a logged step; pass another run", run.display());
        return Err(Failure::bad_input(message));
    }
    stdout::print(&as_rules_file(&layers))?;
    say("Write it to a file, and use it: osn train --decide FILE");
    Ok(SUCCESS)
}

/// A rules file in which each layer has its target throughout, and every other layer none.
fn as_rules_file(layers: &[MeanTarget]) -> String {
    let mut rules: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for layer in layers {
        let Some(held) = &layer.held else { continue };
        // The blocks of a weight are in its path: paths of one target share a rule.
        let (path, block) =
            match layer.path.strip_suffix(']').and_then(|path| path.rsplit_once('[')) {
                Some((path, block)) => (path, Some(block)),
                None => (&*layer.path, None),
            };
        let target = format!("{:.4e}", held.target);
        rules.entry((&*layer.network, &*held.action, target, block)).or_default().push(path);
    }
    // A rule that decides no layer is refused.
    let some_are_free = layers.iter().any(|layer| layer.held.is_none());
    let mut texts =
        Vec::from_iter(some_are_free.then(|| "[[rule]]\nrule = \"never\"\n".to_owned()));
    for ((network, action, target, block), paths) in rules {
        let blocks = block.map_or_else(String::new, |block| format!(", blocks = [{block}]"));
        // A list of strings is the same in TOML as in JSON.
        texts.push(format!(
            "[[rule]]\nrule = \"static\"\naction = {}\ntarget = {target}\nselect = {{ networks = {}, paths = {}{blocks} }}\n",
            json!(action),
            json!([network]),
            json!(paths),
        ));
    }
    texts.join("\n")
}

fn history(run: &Path) -> Result<History, Failure> {
    Ok(History::of(&record(run)?.events))
}

fn record(run: &Path) -> Result<Record, Failure> {
    let path = run.join("record.jsonl");
    if !path.exists() {
        // A folder of runs is answered with the runs in it.
        folder::open(run)?;
    }
    read_record(&path).map_err(Failure::bad_input)
}

fn understood(number: usize, entry: &ScopedRule) -> String {
    let ScopedRule { select, rule } = entry;
    let (rule, select) = (escaped(&rule.label()), escaped(&select.to_string()));
    format!("rule {number}: {rule} for {select}\n")
}

fn as_json(rules: &[RuleDoc]) -> Value {
    let parameter = |it: &ParameterDoc| {
        json!({
            "name": it.name,
            "default": it.default,
            "meaning": it.meaning,
            "may_repeat": it.may_repeat(),
        })
    };
    let rule = |doc: &RuleDoc| {
        let parameters: Vec<_> = doc.parameters.iter().map(parameter).collect();
        json!({ "name": doc.name, "sentence": doc.sentence, "parameters": parameters })
    };
    json!({ "schema": 1, "rules": rules.iter().map(rule).collect::<Vec<_>>() })
}

/// The rule's name and sentence, then a line for each parameter: its name, its default, its meaning.
fn describe(doc: &RuleDoc) -> String {
    let width = |column: fn(&ParameterDoc) -> &str| {
        doc.parameters.iter().map(|it| column(it).chars().count()).max().unwrap_or_default()
    };
    let (name, default) = (width(|it| it.name), width(|it| it.default));
    let row = |it: &ParameterDoc| {
        paragraph(&format!("{INDENT}{:name$}  {:default$}  ", it.name, it.default), it.meaning)
    };
    let parameters: String = doc.parameters.iter().map(row).collect();
    format!("{}\n{}{parameters}", doc.name, paragraph("  ", doc.sentence))
}

#[cfg(test)]
mod tests {
    use osn_core::decide::Rules;
    use osn_runs::mean_targets::Held;

    use super::*;
    use crate::terminal::text::WIDTH;

    #[test]
    fn what_a_run_held_is_a_rules_file_that_can_be_read() {
        let layer = |path: &str, action: &str, target| MeanTarget {
            network: "a \"network\"".to_owned(),
            path: path.to_owned(),
            held: Some(Held { action: action.to_owned(), target }),
        };
        let free = MeanTarget { held: None, ..layer("input.weight", "", 0.0) };
        let layers = [
            free,
            layer("0.query.weight[0]", "normalize", 1.0),
            layer("0.query.weight[1]", "normalize", 1.0),
            layer("1.query.weight[1]", "normalize", 1.0),
            layer("output.weight", "cap", 1e-7 / 3.0),
        ];
        let rules = Rules::from_toml(&as_rules_file(&layers)).unwrap();
        let expected = ["never", "static:action=cap,target=3.3333e-8", "static", "static"];
        let entries = rules.entries().iter();
        assert_eq!(entries.map(|entry| entry.rule.label()).collect::<Vec<_>>(), expected);
        let select = |place: usize| {
            let select = &rules.entries()[place].select;
            (select.paths.patterns().to_vec(), select.blocks.clone())
        };
        assert_eq!(select(1).0, ["output.weight"]);
        assert_eq!(select(2), (vec!["0.query.weight".to_owned()], vec![0]));
        let both = ["0.query.weight", "1.query.weight"].map(str::to_owned).to_vec();
        assert_eq!(select(3), (both, vec![1]));
        // Where all are held no rule is left that decides none.
        let all = Rules::from_toml(&as_rules_file(&layers[1..])).unwrap();
        assert_eq!(all.entries().len(), 3);
    }

    #[test]
    fn every_rule_fits_and_says_all_of_its_parameters() {
        for doc in Rule::catalogue() {
            let text = describe(doc);
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            let said = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for it in doc.parameters {
                let row = format!("{} {} {}", it.name, it.default, it.meaning);
                assert!(said.contains(&row), "{row} is missing in {text}");
            }
        }
    }
}
