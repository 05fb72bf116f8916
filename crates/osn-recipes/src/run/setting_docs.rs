//! What can be set: every setting of a recipe with its defaults, what it takes, and what it means.

use osn_core::number::exact;
use schemars::SchemaGenerator;
use serde_json::Value;

use crate::run::config::Config;
use crate::run::description::as_json;
use crate::run::error::RunError;
use crate::run::settings::{self, SettingError, apply_settings};

/// One setting of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDoc {
    /// What `--set` calls it.
    pub key: String,
    /// Its value in each preset, in the order of
    /// [`RecipeDoc::presets`](crate::run::recipe_doc::RecipeDoc::presets), as it would be written.
    pub defaults: Vec<String>,
    /// What it takes: in the words in which anything else is refused.
    pub expects: String,
    /// What it means: the documentation of the field of the config.
    pub meaning: String,
}

/// Every setting of a config, by name.
pub(crate) fn setting_docs<C: Config>() -> Vec<SettingDoc> {
    let schema = SchemaGenerator::default().into_root_schema_for::<C>();
    let meaning = |key: &str| {
        let description = schema.as_value()["properties"][key]["description"].as_str();
        description.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let presets = C::presets();
    let trees: Vec<Value> = presets.iter().map(as_json).collect();
    let keys = trees.first().map(settings::keys).unwrap_or_default();
    let doc = |key: String| SettingDoc {
        defaults: trees.iter().map(|tree| word(&tree[key.as_str()])).collect(),
        expects: expects(&presets[0], &key),
        meaning: meaning(&key),
        key,
    };
    keys.into_iter().map(doc).collect()
}

/// A value as `--set` reads it.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map(decimal).unwrap_or_default()
        }
        Value::Array(values) if values.is_empty() => "[]".to_owned(),
        Value::Array(values) => values.iter().map(word).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A number as it is in the source, where single precision has it that came from there.
#[expect(clippy::cast_possible_truncation, reason = "whether anything is lost is asked")]
fn decimal(number: f64) -> String {
    let single = number as f32;
    let written = single.to_string().parse().unwrap_or(number);
    exact(if f64::from(single) == number { written } else { number })
}

/// What a setting takes, from the errors for values that it does not take: for no number, for
/// too small a one and for too large a one.
fn expects<C: Config>(config: &C, key: &str) -> String {
    let set = |value: &str| apply_settings(config, &[(key.to_owned(), value.to_owned())]);
    let mut words: Vec<String> = Vec::new();
    for value in ["?", "-1", "0", "18446744073709551615", "1e300"] {
        let required = match set(value).map(|config| config.check()) {
            Err(SettingError::BadValue { expected, .. }) if value == "?" => expected,
            Ok(Err(RunError::Config { key: of, problem })) if of == key => required(&problem),
            _ => continue,
        };
        if !words.contains(&required) {
            words.push(required);
        }
    }
    if set("none").is_ok_and(|config| config.check().is_ok()) {
        words.push("or none".to_owned());
    }
    words.join(", ")
}

/// "must be at least 1, not 0" without what it was.
fn required(problem: &str) -> String {
    let problem = problem.strip_prefix("must be ").unwrap_or(problem);
    problem.rsplit_once(", not ").map_or(problem, |(required, _)| required).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::config::ClassifyConfig;
    use crate::control::config::ControlConfig;
    use crate::gan::config::GanConfig;
    use crate::translate::config::TranslateConfig;

    fn doc<C: Config>(key: &str) -> SettingDoc {
        setting_docs::<C>().into_iter().find(|doc| doc.key == key).unwrap()
    }

    /// Each default, set anew in another preset, gives what the preset has.
    fn must_be_documented<C: Config>() {
        let presets = C::presets();
        let docs = setting_docs::<C>();
        assert!(docs.len() > 15);
        for (place, preset) in presets.iter().enumerate() {
            let set = |doc: &SettingDoc| (doc.key.clone(), doc.defaults[place].clone());
            let all: Vec<_> = docs.iter().map(set).collect();
            let built = apply_settings(&presets[0], &all).unwrap();
            assert_eq!(as_json(&built), as_json(preset));
        }
        for SettingDoc { key, expects, meaning, .. } in docs {
            assert!(meaning.ends_with(['.', ')']) && meaning.len() > 15, "{key}: {meaning}");
            assert!(expects.len() > 5, "{key}: {expects}");
        }
    }

    #[test]
    fn every_setting_of_every_recipe_has_its_defaults_what_it_takes_and_a_meaning() {
        must_be_documented::<GanConfig>();
        must_be_documented::<TranslateConfig>();
        must_be_documented::<ControlConfig>();
        must_be_documented::<ClassifyConfig>();
    }

    #[test]
    fn what_a_setting_takes_is_what_is_refused_otherwise() {
        let expects = |doc: SettingDoc| doc.expects;
        assert_eq!(
            expects(doc::<GanConfig>("batch_size")),
            "a whole number, at least 2, at most 8192"
        );
        assert_eq!(expects(doc::<GanConfig>("beta_2")), "a number, from 0 to below 1");
        assert_eq!(expects(doc::<GanConfig>("learning_rate")), "a number, above 0");
        assert_eq!(expects(doc::<GanConfig>("ema")), "a number, from 0 to below 1, or none");
        assert_eq!(expects(doc::<TranslateConfig>("hold_generator")), "true or false");
        let objectives = expects(doc::<GanConfig>("objective"));
        assert!(
            objectives.contains("`hinge`") && objectives.contains("`least_squares`"),
            "{objectives}"
        );
        let widths = expects(doc::<ControlConfig>("hidden_sizes"));
        assert_eq!(widths, "a list such as 64,128, from 1 to 8192 each");
    }

    #[test]
    fn defaults_are_written_as_in_the_source() {
        assert_eq!(doc::<GanConfig>("beta_2").defaults[..2], ["0.999", "0.999"]);
        assert_eq!(doc::<GanConfig>("epsilon").defaults[0], "1e-8");
        assert_eq!(doc::<GanConfig>("steps").defaults[..2], ["5000", "10000"]);
        assert_eq!(doc::<ControlConfig>("hidden_sizes").defaults, ["128,128", "256,256"]);
        assert_eq!(doc::<ClassifyConfig>("train_images").defaults[0], "none");
    }
}
