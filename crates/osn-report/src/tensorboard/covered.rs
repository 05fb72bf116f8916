//! How far an event file goes.

use std::io::Read;

use prost::Message;

use super::event_writer::read_record;
use super::proto::Event;

/// The step before which an event file lacks nothing of what its run's record says: that of its last
/// event. 0 where it has none; what is damaged or cut short is not read, and nothing behind it.
pub fn covered(mut file: impl Read) -> u64 {
    let mut covered = 0;
    while let Some(record) = read_record(&mut file) {
        let Ok(event) = Event::decode(&record[..]) else { break };
        covered = u64::try_from(event.step).unwrap_or_default();
    }
    covered
}
