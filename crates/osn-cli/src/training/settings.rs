//! `osn settings`: the settings of a recipe.

use osn_recipes::run::error::RunError;
use osn_recipes::run::recipe_doc::RecipeDoc;
use osn_recipes::run::setting_docs::SettingDoc;
use serde_json::{Map, Value, json};

use crate::failure::{Failure, SUCCESS};
use crate::terminal::stderr::say;
use crate::terminal::stdout;
use crate::terminal::text::paragraph;
use crate::training::args::SettingsArgs;

const INDENT: &str = "    ";

/// Prints every setting with its defaults, its values and its meaning.
pub(crate) fn run(args: &SettingsArgs) -> Result<u8, Failure> {
    let recipe = osn_recipes::recipe(&args.recipe)?;
    let docs = osn_recipes::settings(recipe.name)?;
    let shown = shown_presets(&recipe, args.preset.as_deref())?;
    if args.json {
        stdout::print(&format!("{:#}\n", as_json(&recipe, &docs, &shown)))?;
        return Ok(SUCCESS);
    }
    let text: String = docs.iter().map(|doc| describe(doc, &recipe, &shown)).collect();
    stdout::print(&text)?;
    let names: Vec<_> = osn_recipes::recipes().iter().map(|recipe| recipe.name).collect();
    say(format_args!("\nChange one with: osn train {} --set steps=500", recipe.name));
    say(format_args!("Settings of: {}", names.join(", ")));
    Ok(SUCCESS)
}

/// The indices of the presets to show: that of the argument, or all.
fn shown_presets(recipe: &RecipeDoc, preset: Option<&str>) -> Result<Vec<usize>, RunError> {
    let Some(preset) = preset else { return Ok((0..recipe.presets.len()).collect()) };
    let place = recipe.presets.iter().position(|name| *name == preset);
    let unknown = || RunError::unknown_name("preset", preset, recipe.presets);
    Ok(vec![place.ok_or_else(unknown)?])
}

/// The name and the defaults, then the values, then the meaning.
fn describe(doc: &SettingDoc, recipe: &RecipeDoc, shown: &[usize]) -> String {
    let SettingDoc { key, defaults, expects, meaning } = doc;
    let first = &defaults[shown[0]];
    let default = if shown.iter().all(|&place| defaults[place] == *first) {
        first.clone()
    } else {
        let in_a_row = shown.chunk_by(|&one, &next| defaults[one] == defaults[next]);
        let of_presets = |places: &[usize]| {
            let names = [places[0], places[places.len() - 1]].map(|place| recipe.presets[place]);
            let names = if places.len() > 1 { names.join(" to ") } else { names[0].to_owned() };
            format!("{names} {}", defaults[places[0]])
        };
        in_a_row.map(of_presets).collect::<Vec<_>>().join(", ")
    };
    format!("{key}  {default}\n{}{}", paragraph(INDENT, expects), paragraph(INDENT, meaning))
}

fn as_json(recipe: &RecipeDoc, docs: &[SettingDoc], shown: &[usize]) -> Value {
    let setting = |doc: &SettingDoc| {
        let default =
            |&place: &usize| (recipe.presets[place].to_owned(), json!(doc.defaults[place]));
        let defaults: Map<_, _> = shown.iter().map(default).collect();
        json!({
            "name": doc.key,
            "defaults": defaults,
            "expects": doc.expects,
            "meaning": doc.meaning,
        })
    };
    let settings: Vec<_> = docs.iter().map(setting).collect();
    json!({ "schema": 1, "recipe": recipe.name, "settings": settings })
}
