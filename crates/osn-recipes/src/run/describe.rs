//! `run.json` as it is at the start of a run.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::decide::Decide;
use crate::run::description::{RunDescription, RunStatus, SCHEMA, as_json};
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::trained_on::TrainedOn;
use crate::run::versions::{Machine, Versions};

/// `run.json` as it is at the start of a run.
pub(crate) fn describe(
    request: &TrainRequest,
    doc: &RecipeDoc,
    decide: &Decide,
    config: &impl Serialize,
    data: &TrainedOn,
) -> RunDescription {
    RunDescription {
        schema: SCHEMA,
        recipe: doc.name.to_owned(),
        preset: request.preset.clone().unwrap_or_else(|| doc.presets[0].to_owned()),
        decide: decide.name.clone(),
        rules: serde_json::to_value(&decide.rules).unwrap_or_default(),
        view: decide.view.clone(),
        seed: request.seed,
        data: data.source.clone(),
        data_sha256: data.sha256.clone(),
        asked_data: data.name.clone(),
        signatures: signatures(doc),
        sound: data.sound.clone(),
        device: request.device_name().to_owned(),
        config: as_json(config),
        checkpoints: request.checkpoints,
        versions: Versions::of_this_build(),
        machine: Machine::here(),
        started_unix_secs: unix_secs(),
        status: RunStatus::Running,
        error: None,
        totals: None,
    }
}

fn signatures(doc: &RecipeDoc) -> BTreeMap<String, String> {
    doc.signatures.iter().map(|(score, words)| ((*score).to_owned(), (*words).to_owned())).collect()
}

/// Seconds since 1970 by this machine's clock, 0 where that is before 1970.
fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
