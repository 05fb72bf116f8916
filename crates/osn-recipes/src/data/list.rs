//! The data sets that have a name.

use std::path::Path;

use crate::data::names::{CLDR, EDGES, EMBEDDED, FULL, IMAGE_RECIPES, PAIR_RECIPES, TEXT_RECIPES};
use crate::data::text::cldr;
use crate::data::{fashion_mnist, openmoji, pair_folder};

/// One line of the list of data sets.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DataEntry {
    /// What to pass to `--data`.
    pub name: String,
    /// What it holds.
    pub what: String,
    /// Its licence.
    pub licence: String,
    /// Where it comes from, and how to get it.
    pub origin: String,
    /// Whether it can be loaded on this machine now.
    pub present: bool,
    /// The recipes that take it.
    pub recipes: &'static [&'static str],
}

/// Lists the data sets that have a name, and whether each is there.
pub fn images() -> Vec<DataEntry> {
    let licence = fashion_mnist::LICENCE;
    let full = Path::new(fashion_mnist::FULL_SET_FOLDER);
    vec![
        DataEntry {
            name: EMBEDDED.to_owned(),
            what: "10,000 + 10,000 grey 28x28 images of clothes, 10 classes".to_owned(),
            licence: licence.to_owned(),
            origin: "compiled in: the first 1,000 training images of each class, all test images"
                .to_owned(),
            present: true,
            recipes: IMAGE_RECIPES,
        },
        DataEntry {
            name: FULL.to_owned(),
            what: "60,000 + 10,000 grey 28x28 images of clothes, 10 classes".to_owned(),
            licence: licence.to_owned(),
            origin: format!("Debian package dataset-fashion-mnist, in {}", full.display()),
            present: fashion_mnist::is_idx_folder(full),
            recipes: IMAGE_RECIPES,
        },
    ]
}

/// Lists the pairs that have a name or a command, and whether they can be loaded here now.
pub fn pairs() -> Vec<DataEntry> {
    vec![
        DataEntry {
            name: EDGES.to_owned(),
            what: "10,000 + 10,000 pairs of grey 28x28 images: Sobel edges and the clothes"
                .to_owned(),
            licence: fashion_mnist::LICENCE.to_owned(),
            origin: "computed from fashion-mnist-10k".to_owned(),
            present: true,
            recipes: PAIR_RECIPES,
        },
        DataEntry {
            name: openmoji::FOLDER.to_owned(),
            what: "about 4,500 pairs of emoji: line art and colour".to_owned(),
            licence: openmoji::LICENCE.to_owned(),
            origin: "npm package openmoji, drawn by osn data import openmoji DIR into this folder"
                .to_owned(),
            present: pair_folder::is_split(Path::new(openmoji::FOLDER)),
            recipes: PAIR_RECIPES,
        },
    ]
}

/// Lists the sentences that have a name, and whether they can be loaded here now.
pub fn texts() -> Vec<DataEntry> {
    vec![DataEntry {
        name: CLDR.to_owned(),
        what:
            "about 12,000 names of emoji, languages, places, units and dates in en, de, fr and es"
                .to_owned(),
        licence: cldr::LICENCE.to_owned(),
        origin: "compiled in: the Unicode CLDR 45".to_owned(),
        present: true,
        recipes: TEXT_RECIPES,
    }]
}
