//! The arms of a study: the rules of `--decide`.

use osn_core::decide::{Rule, Rules};
use osn_core::key_values::split_outside_brackets;
use osn_core::layer::View;
use osn_recipes::decide::Decide;
use osn_report::study::Arm;
use serde_json::{Value, json};

use crate::failure::Failure;

/// An arm, and its rules.
#[derive(Debug)]
pub(super) struct ReadArm {
    pub(super) arm: Arm,
    pub(super) identity: Value,
}

/// Reads the values of every `--decide`, in order.
pub(super) fn read(words: &[String]) -> Result<Vec<ReadArm>, Failure> {
    let names: Vec<String> = words.iter().flat_map(|word| split(word)).collect();
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(Failure::bad_input(format!("--decide names {} twice", twice.1)));
    }
    if names.len() < 2 {
        let message = "--decide needs two or more rules, for example auto,always,never";
        return Err(Failure::bad_input(message));
    }
    let arms: Vec<ReadArm> = names.into_iter().map(arm).collect::<Result<_, _>>()?;
    must_differ(&arms)?;
    Ok(arms)
}

/// Two names of the same rules would be one arm that is counted twice.
fn must_differ(arms: &[ReadArm]) -> Result<(), Failure> {
    for (place, later) in arms.iter().enumerate() {
        if let Some(first) = arms[..place].iter().find(|arm| arm.identity == later.identity) {
            let (first, later) = (&first.arm.name, &later.arm.name);
            let message =
                format!("{first} and {later} in --decide are the same rules; remove one of them");
            return Err(Failure::bad_input(message));
        }
    }
    Ok(())
}

fn arm(name: String) -> Result<ReadArm, Failure> {
    let decide = Decide::named(&name)?;
    let identity = identity(&json!(decide.rules), decide.view.as_ref());
    Ok(ReadArm { arm: Arm { name, is_static: is_static(&decide.rules) }, identity })
}

/// The rules with every parameter and the view, with defaults filled in.
pub(super) fn identity(rules: &Value, view: Option<&View>) -> Value {
    // A matrix is the same map as its reshaping.
    json!({ "rules": rules, "view": view.unwrap_or(&View::Reshaped) })
}

/// Whether the rules do the same at every step.
fn is_static(rules: &Rules) -> bool {
    let stays = |rule: &Rule| {
        matches!(rule, Rule::Never(_) | Rule::Observe(_) | Rule::Always(_) | Rule::Static(_))
    };
    rules.entries().iter().all(|entry| stays(&entry.rule))
}

/// Splits `never,cap:target=2,dwell=50,always` at the commas between rules.
///
/// A rule's own parameters are separated by commas too: a part with a `=` and no `:` before it belongs to the
/// rule before.
fn split(text: &str) -> Vec<String> {
    let mut rules: Vec<String> = Vec::new();
    for part in split_outside_brackets(text) {
        match rules.last_mut() {
            Some(rule) if is_parameter_of(rule, part) => {
                rule.push(',');
                rule.push_str(part);
            }
            _ => rules.push(part.trim().to_owned()),
        }
    }
    rules.retain(|rule| !rule.is_empty());
    rules
}

fn is_parameter_of(rule: &str, part: &str) -> bool {
    let key = part.split_once('=').map(|(key, _)| key);
    rule.contains(':') && key.is_some_and(|key| !key.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_inside_a_rule_do_not_end_it() {
        assert_eq!(split("auto,always,never"), ["auto", "always", "never"]);
        let text = "cap:target=2,dwell=50, never,static:path=**.{a,b},target=1,always:target=2";
        let rules =
            ["cap:target=2,dwell=50", "never", "static:path=**.{a,b},target=1", "always:target=2"];
        assert_eq!(split(text), rules);
        assert_eq!(split("a.toml,never,"), ["a.toml", "never"]);
    }

    #[test]
    fn what_does_the_same_at_every_step_is_static() {
        let words = ["never,observe,always:target=2".into(), "static:position=last,cap".into()];
        let arms = read(&words).unwrap();
        let statics: Vec<_> = arms.iter().map(|read| read.arm.is_static).collect();
        assert_eq!(statics, [true, true, true, true, false]);
    }

    #[test]
    fn an_arm_alone_or_twice_is_refused() {
        for words in ["never", "never,cap,never", "never,perhaps"] {
            assert!(read(&[words.to_owned()]).is_err(), "{words}");
        }
    }

    #[test]
    fn two_names_of_the_same_rules_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.toml");
        std::fs::write(&file, "[[rule]]\nrule = \"cap\"\ntarget = 1.0\n").unwrap();
        let file = file.to_str().unwrap();
        for (first, later) in [
            ("cap", "cap:target=1"),
            ("cap:dwell=7,target=2", "cap:target=2,dwell=7"),
            ("always", "always@reshaped"),
            ("always@bidirectional", "always:target=1@bidirectional"),
            ("cap", file),
        ] {
            let message = read(&[format!("never,{first},{later}")]).unwrap_err().one_line();
            assert!(message.contains(&format!("{first} and {later}")), "{message}");
        }
        let different = "cap,cap:target=2,cap@bidirectional,cap:target=2@bidirectional";
        assert_eq!(read(&[different.into()]).unwrap().len(), 4);
    }
}
