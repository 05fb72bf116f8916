//! What `--decide` and `--set` say, for every recipe: what is accepted is what `run.json` brings back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_fuzz::{folder_with, is_said};
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::stopped::StoppedRun;
use osn_recipes::{describe, recipes};

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let request = asked(usize::from(choice), text);
    match describe(&request) {
        Ok(description) => {
            let json = serde_json::to_vec(&description).expect("it is written");
            let folder = folder_with(&[("run.json", &json)]);
            let stopped = StoppedRun::open(folder.path()).expect("what was written is read");
            let request = TrainRequest::resuming(stopped).expect("it is of this build");
            let again = describe(&request).expect("what was accepted is accepted again");
            assert_eq!(again.config, description.config);
            assert_eq!(again.rules, description.rules);
            assert_eq!(again.view, description.view);
        }
        Err(error) => is_said(&error),
    }
});

/// The first line is the rule, where there is one; each line after it a setting.
fn asked(choice: usize, text: &str) -> TrainRequest {
    let recipes = recipes();
    let recipe = recipes[choice % recipes.len()];
    let mut lines = text.lines();
    TrainRequest {
        recipe: recipe.name.to_owned(),
        preset: Some(recipe.presets[choice / recipes.len() % recipe.presets.len()].to_owned()),
        decide: lines.next().filter(|rule| !rule.is_empty()).map(str::to_owned),
        settings: lines
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        ..TrainRequest::default()
    }
}
