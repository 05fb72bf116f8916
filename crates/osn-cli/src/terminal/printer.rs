//! Messages above the lines of the screen that are drawn anew.

use console::style;

use crate::terminal::screen::Screen;
use crate::terminal::stderr;

/// Prints messages from any thread: above the foot of a screen, or plainly where there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printer(pub(crate) Option<Screen>);

impl Printer {
    pub(crate) fn say(&self, words: &str) {
        match &self.0 {
            Some(screen) => screen.say(&style(words).for_stderr().yellow().to_string()),
            None => stderr::say(words),
        }
    }

    /// Removes the foot of the screen.
    pub(crate) fn close(&self) {
        if let Some(screen) = &self.0 {
            screen.clear();
        }
    }
}
