//! The arms of a study: the rules that are named behind `--decide`.

use osn_core::{Rule, Rules};
use osn_recipes::decide::Decide;
use osn_report::study::Arm;

use crate::failure::Failure;

/// Reads what stands behind every `--decide`, in order.
pub(super) fn read(words: &[String]) -> Result<Vec<Arm>, Failure> {
    let names: Vec<String> = words.iter().flat_map(|word| split(word)).collect();
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(Failure::bad_input(format!("--decide names {} twice", twice.1)));
    }
    if names.len() < 2 {
        let message = "one arm compares with nothing; name two or more: --decide auto,always,never";
        return Err(Failure::bad_input(message));
    }
    names.into_iter().map(arm).collect()
}

fn arm(name: String) -> Result<Arm, Failure> {
    let is_static = is_static(&Decide::named(&name)?.rules);
    Ok(Arm { name, is_static })
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
/// A rule's own parameters are separated by commas too. A part with a `=` and no `:` before it goes on
/// with the rule before, and so does one inside brackets.
fn split(text: &str) -> Vec<String> {
    let mut rules: Vec<String> = Vec::new();
    for part in text.split(',') {
        match rules.last_mut() {
            Some(rule) if is_open(rule) || goes_on(rule, part) => {
                rule.push(',');
                rule.push_str(part);
            }
            _ => rules.push(part.trim().to_owned()),
        }
    }
    rules.retain(|rule| !rule.is_empty());
    rules
}

fn goes_on(rule: &str, part: &str) -> bool {
    let key = part.split_once('=').map(|(key, _)| key);
    rule.contains(':') && key.is_some_and(|key| !key.contains(':'))
}

fn is_open(rule: &str) -> bool {
    let count = |brackets: [char; 2]| rule.chars().filter(|it| brackets.contains(it)).count();
    count(['{', '[']) > count(['}', ']'])
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
        let statics: Vec<_> = arms.iter().map(|arm| arm.is_static).collect();
        assert_eq!(statics, [true, true, true, true, false]);
    }

    #[test]
    fn an_arm_alone_or_twice_is_refused() {
        let message = |word: &str| format!("{:?}", read(&[word.to_owned()]).unwrap_err());
        assert!(message("never").contains("name two or more"));
        assert!(message("never,cap,never").contains("names never twice"));
        assert!(message("never,perhaps").contains("unknown rule `perhaps`"));
    }
}
