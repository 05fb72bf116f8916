//! What is kept of a record of any length: so many points as a screen can show.

pub(crate) mod columns;
pub(crate) mod downsampled;
pub(crate) mod min_max;
pub(crate) mod timeline;
