//! Reads Python pickles as data: what they would import or call becomes an inert description.
//!
//! A pickle is a program for a stack machine. The [`machine`] runs its instructions, but where
//! Python would import a name it notes the name, and where Python would call something it notes
//! what would be called with what. Nothing is ever imported or called, so nothing in a pickle can
//! do more than cost time and memory, of which each byte of it is granted so much.

pub(crate) mod error;
pub(crate) mod machine;
pub(crate) mod value;
