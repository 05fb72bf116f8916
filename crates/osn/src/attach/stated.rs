//! What the module tree does not show of weights, as its user states it.

use osn_core::layer::{Architecture, Globs};
use serde::{Deserialize, Serialize};

use crate::error::AttachError;

/// What is stated of some weights with [`Plan::state`](crate::Plan::state); what is `None` stays as the module tree shows
/// it.
///
/// The tree shows whether a `BatchNorm`, `GroupNorm` or `InstanceNorm` of Burn is the next layer of the same module,
/// whether a module around the weight has a type named after residual connections, and which weight is the last that is no
/// embedding: that one is taken for the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stated {
    /// Whether a normalization follows directly.
    pub is_normalized: Option<bool>,
    /// Whether it lies in the branch of a residual connection.
    pub is_residual: Option<bool>,
    /// Whether its outputs are those of the network.
    pub is_output: Option<bool>,
}

impl Stated {
    fn complete(self, seen: Architecture) -> Architecture {
        Architecture {
            is_normalized: self.is_normalized.unwrap_or(seen.is_normalized),
            is_residual: self.is_residual.unwrap_or(seen.is_residual),
            is_output: self.is_output.unwrap_or(seen.is_output),
            ..seen
        }
    }
}

/// Statements by globs of paths, in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Statements(Vec<(String, Stated)>);

impl Statements {
    pub(crate) fn push(&mut self, glob: String, stated: Stated) {
        self.0.push((glob, stated));
    }

    /// Each weight's architecture, with what is stated of its path; the last statement about something holds.
    ///
    /// # Errors
    ///
    /// [`AttachError::Glob`] for a malformed glob, [`AttachError::NothingSelected`] for one that matches no path.
    pub(crate) fn complete<'a>(
        &self,
        seen: impl Iterator<Item = (&'a str, Architecture)>,
    ) -> Result<Vec<Architecture>, AttachError> {
        let (paths, mut architectures): (Vec<&str>, Vec<Architecture>) = seen.unzip();
        for (glob, stated) in &self.0 {
            let globs = Globs::new([glob.as_str()])?;
            let matches: Vec<usize> =
                (0..paths.len()).filter(|&index| globs.matching(paths[index]).is_some()).collect();
            if matches.is_empty() {
                let (pattern, available) = (format!("path {glob}"), paths.join(", "));
                return Err(AttachError::NothingSelected { pattern, available });
            }
            for index in matches {
                architectures[index] = stated.complete(architectures[index]);
            }
        }
        Ok(architectures)
    }
}
