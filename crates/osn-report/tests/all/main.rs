//! The tests of the crate as one program: each links everything once.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod book;
mod browser;
mod browsing;
mod heads;
mod live;
mod long_run;
mod made_up;
mod run_page;
mod schema;
mod shown;
mod statistics;
mod study;
mod study_browser;
mod study_file;
mod study_page;
mod tensorboard;
mod texts;
mod verdict;
mod warnings;
