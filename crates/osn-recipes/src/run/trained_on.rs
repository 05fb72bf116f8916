//! What a run learns from.

use crate::data::sound::description::SoundDescription;

/// What a run learns from: a text for people, and a digest of every byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainedOn {
    /// Where it comes from.
    pub source: String,
    /// The name of a data set or the whole path of a folder, by which the same is loaded from anywhere;
    /// absent where there are no files.
    pub name: Option<String>,
    /// SHA-256 of the images, in hexadecimal digits; absent where there are none.
    pub sha256: Option<String>,
    /// How recordings became images, where they did.
    pub sound: Option<SoundDescription>,
}

impl TrainedOn {
    /// Identifies the data, as
    /// [`RunDescription::data_identity`](crate::run::description::RunDescription::data_identity).
    pub fn identity(&self) -> &str {
        self.sha256.as_deref().unwrap_or(&self.source)
    }

    /// Data that have a name and no files.
    pub fn named(source: &str) -> Self {
        Self { source: source.to_owned(), name: None, sha256: None, sound: None }
    }
}

/// Data in two parts: one to train on, one to score against.
pub(crate) trait Trainable {
    /// Where the data come from, and the digest of every byte.
    fn trained_on(&self) -> TrainedOn;

    /// How many examples can be scored: as many as the smaller part has.
    fn n_scorable(&self) -> usize;
}
