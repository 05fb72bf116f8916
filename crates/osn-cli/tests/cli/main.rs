//! The command as its user meets it: exit codes, the two outputs, and the files that it leaves.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]
#![cfg_attr(not(unix), allow(dead_code, reason = "what only tests of signals need"))]

#[cfg(unix)]
mod bad_input;
#[cfg(unix)]
mod book;
mod checkpoints;
mod cluster;
mod commands;
mod compare;
#[cfg(unix)]
mod faults;
mod inputs;
mod live;
mod newcomer;
#[cfg(unix)]
mod outputs;
mod processes;
#[cfg(unix)]
mod resume;
#[cfg(unix)]
mod sentences;
#[cfg(unix)]
mod signals;
