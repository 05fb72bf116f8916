//! A rule as text, or a rules file: what is accepted reads back as the same from its own words.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_core::decide::{Rule, Rules};
use osn_fuzz::is_said;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Rule::parse(text) {
        Ok(rule) => assert_eq!(Rule::parse(&rule.to_string()).as_ref(), Ok(&rule), "{text}"),
        Err(error) => is_said(&error),
    }
    if let Err(error) = Rules::from_toml(text) {
        is_said(&error);
    }
});
