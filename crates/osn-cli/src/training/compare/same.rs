//! Whether a study in a folder can be extended to the one that is asked for.

use osn_recipes::run::versions::Versions;
use osn_report::study::{RegimeIdentity, Study};
use serde_json::Value;

/// The differences between the studies by which runs would be lost or mixed, each in a few words; none where
/// the new study only adds runs.
pub(super) fn differences(before: &Study, now: &Study) -> Vec<String> {
    let recipes = differs("recipe", &before.asked.recipe, &now.asked.recipe);
    // With another recipe all the rest differs, too.
    if recipes.is_some() {
        return recipes.into_iter().collect();
    }
    let mut found = build(before, now);
    found.extend(differs("device", &before.identity.device, &now.identity.device));
    found.extend(regimes(before, now));
    found.extend(arms(before, now));
    found.extend(seeds(before, now));
    found
}

fn differs(what: &str, before: &str, now: &str) -> Option<String> {
    let before = if before.is_empty() { "unknown" } else { before };
    (before != now).then(|| format!("{what} was {before} and is {now}"))
}

fn build(before: &Study, now: &Study) -> Vec<String> {
    let versions = |study: &Study| -> Versions {
        serde_json::from_value(study.versions.clone()).unwrap_or_default()
    };
    versions(before).differences(&versions(now))
}

fn regimes(before: &Study, now: &Study) -> Vec<String> {
    let of = |study: &Study, name: &str| study.identity.regimes.get(name).cloned();
    let names = before.asked.regimes.iter().map(|regime| regime.name.as_str());
    let found = names.map(|name| match of(now, name) {
        None => vec![format!("regime {name} is missing")],
        Some(now) => regime(name, &of(before, name).unwrap_or_default(), &now),
    });
    found.flatten().collect()
}

fn regime(name: &str, before: &RegimeIdentity, now: &RegimeIdentity) -> Vec<String> {
    let mut found = Vec::new();
    config("", &before.config, &now.config, &mut found);
    let identity = |it: &RegimeIdentity| it.data_sha256.clone().unwrap_or_else(|| it.data.clone());
    let what = if now.data_sha256.is_some() { "the data's SHA-256" } else { "the data" };
    found.extend(differs(what, &identity(before), &identity(now)));
    found.into_iter().map(|difference| format!("regime {name}: {difference}")).collect()
}

/// Every setting that differs.
fn config(key: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
    if let (Value::Object(before), Value::Object(now)) = (before, now) {
        let mut keys: Vec<_> = before.keys().chain(now.keys()).collect();
        keys.sort();
        keys.dedup();
        let value = |of: &serde_json::Map<String, Value>, key: &str| {
            of.get(key).cloned().unwrap_or_default()
        };
        let deeper =
            |name: &String| if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        for name in keys {
            config(&deeper(name), &value(before, name), &value(now, name), found);
        }
        return;
    }
    let key = if key.is_empty() { "config" } else { key };
    found.extend(differs(key, &before.to_string(), &now.to_string()));
}

/// The arms whose rules are missing; their names do not matter.
fn arms(before: &Study, now: &Study) -> Vec<String> {
    let of = |study: &Study, name: &str| study.identity.arms.get(name).cloned();
    let is_there = |rules: &Option<Value>| {
        rules.as_ref().is_some_and(|rules| now.identity.arms.values().any(|it| it == rules))
    };
    let names = before.asked.arms.iter().map(|arm| arm.name.as_str());
    let lost = names.filter(|name| !is_there(&of(before, name)));
    let say = |name| match of(now, name) {
        Some(_) => format!("the rules of {name} have changed"),
        None => format!("rule {name} is missing"),
    };
    lost.map(say).collect()
}

fn seeds(before: &Study, now: &Study) -> Option<String> {
    let lost = before.asked.seeds.iter().find(|seed| !now.asked.seeds.contains(seed))?;
    Some(format!("it has seed {lost}, and --seeds has not"))
}
