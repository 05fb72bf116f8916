//! What a study says, for a person.

use super::{Analysis, Study};

/// The table and the sentences.
pub fn verdict(study: &Study, analysis: &Analysis) -> String {
    let _ = (study, analysis);
    String::new()
}
