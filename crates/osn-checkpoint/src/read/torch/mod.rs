//! Reads what `torch.save` and `torch.jit.save` write, without running any of it.

pub(crate) mod archive;
pub(crate) mod error;
pub(crate) mod legacy;
mod path;
mod rebuild;
mod rebuilt;
mod storage;
mod walk;
mod zip;
