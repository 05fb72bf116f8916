//! Sentences with their translations, in three parts.

use sha2::{Digest, Sha256};

use crate::data::error::counted;
use crate::data::text::language::Language;
use crate::run::trained_on::{Trainable, TrainedOn};

/// A sentence and its translation, each without white space at its ends and never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// What is given.
    pub source: String,
    /// What is wanted.
    pub target: String,
}

/// Sentences of one language with their translations into another, in three parts, none of them empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParallelText {
    /// The name or the whole path of the folder that it was loaded by.
    pub name: String,
    /// Where it comes from and how much there is of it, for people.
    pub origin: String,
    /// The language that is given.
    pub source: Language,
    /// The language that is wanted.
    pub target: Language,
    /// What a model may learn from, subwords included.
    pub train: Vec<Pair>,
    /// What rules may see scores of.
    pub validation: Vec<Pair>,
    /// What only the reported scores are of.
    pub test: Vec<Pair>,
}

/// What `run.json` says of the data.
pub(super) fn origin(
    place: &str,
    [source, target]: [&Language; 2],
    [train, validation, test]: [&[Pair]; 3],
) -> String {
    format!(
        "{place}: {} from {source} to {target} to train on, {} to validate and {} to test with",
        counted(train.len(), "pair"),
        validation.len(),
        test.len(),
    )
}

impl Trainable for ParallelText {
    fn trained_on(&self) -> TrainedOn {
        let mut digest = Sha256::new();
        for part in [&self.train, &self.validation, &self.test] {
            add(&mut digest, part);
        }
        TrainedOn {
            source: self.origin.clone(),
            name: Some(self.name.clone()),
            sha256: Some(format!("{:x}", digest.finalize())),
            sound: None,
        }
    }

    fn n_scorable(&self) -> usize {
        self.validation.len().min(self.test.len())
    }
}

/// Adds the pairs of a part so that no other pairs give the same digest.
fn add(digest: &mut Sha256, part: &[Pair]) {
    digest.update((part.len() as u64).to_le_bytes());
    for sentence in part.iter().flat_map(|pair| [&pair.source, &pair.target]) {
        digest.update((sentence.len() as u64).to_le_bytes());
        digest.update(sentence);
    }
}
