//! When checkpoints are written.

use serde::{Deserialize, Serialize};

/// When to write checkpoints, and how many to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints {
    /// Steps between two of them; absent is one before each scoring and one a minute. There is always
    /// one at the end, finished or stopped.
    pub every: Option<u64>,
    /// How many of the last ones stay; 0 writes none at all.
    pub keep: usize,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self { every: None, keep: 3 }
    }
}
