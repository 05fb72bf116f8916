//! A `run.json` of anyone, or an honest one with some values changed: the run can be gone on with, or not,
//! in words.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_fuzz::{folder_with, is_said};
use osn_recipes::run::request::TrainRequest;
use osn_recipes::run::stopped::StoppedRun;
use osn_recipes::{describe, recipes};
use serde_json::{Value, from_slice, json, to_vec};

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, text)) = bytes.split_first() else { return };
    let run = match from_slice(text) {
        Ok(changes) => to_vec(&changed(honest(usize::from(choice)), changes)).expect("it is JSON"),
        Err(_) => text.to_vec(),
    };
    let folder = folder_with(&[("run.json", &run)]);
    let stopped = match StoppedRun::open(folder.path()) {
        Ok(stopped) => stopped,
        Err(error) => return is_said(&error),
    };
    let _ = stopped.finished();
    match TrainRequest::resuming(stopped).and_then(|request| describe(&request)) {
        Ok(again) => assert!(to_vec(&again).is_ok()),
        Err(error) => is_said(&error),
    }
});

fn honest(choice: usize) -> Value {
    let recipes = recipes();
    let recipe = recipes[choice % recipes.len()].name.to_owned();
    let request = TrainRequest { recipe, ..TrainRequest::default() };
    json!(describe(&request).expect("the defaults are good"))
}

/// The value with what stands in `changes` in place of what was there; `null` takes away.
fn changed(value: Value, changes: Value) -> Value {
    match (value, changes) {
        (Value::Object(mut fields), Value::Object(changes)) => {
            for (key, change) in changes {
                let before = fields.remove(&key).unwrap_or_default();
                if !change.is_null() {
                    fields.insert(key, changed(before, change));
                }
            }
            Value::Object(fields)
        }
        (_, changes) => changes,
    }
}
