//! The display of a run while it trains: live on a terminal, in plain lines elsewhere.

mod groups;
pub(crate) mod lines;
mod live;
pub(crate) mod run_display;

use self::lines::RunLines;
use self::live::LiveRun;
use self::run_display::RunDisplay;
use crate::terminal::capabilities::is_live;

/// The display for standard error as it is now.
pub(crate) fn for_stderr() -> Box<dyn RunDisplay> {
    if is_live() { Box::new(LiveRun::new()) } else { Box::new(RunLines::default()) }
}
