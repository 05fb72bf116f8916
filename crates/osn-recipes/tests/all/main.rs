//! The tests of the crate as one program: each links everything once.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod bad_checkpoint;
mod bad_config;
mod bad_data;
mod bad_sound;
mod build_script;
mod cgan;
mod classify;
mod cldr;
mod control;
mod data;
mod diverging;
mod features;
mod files;
mod gan;
mod metrics;
mod nmt;
mod openmoji;
mod pairs;
mod resume;
mod runs;
mod scores;
mod sentences;
mod sound;
mod subwords;
mod text;
mod translate;
mod translations;
mod workers;
