//! Messages beside what moves on the screen.

use console::style;

use crate::terminal::screen::Screen;
use crate::terminal::stderr;

/// Says things without disturbing what is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speaker(Option<Screen>);

impl Speaker {
    /// One that speaks above what moves on a screen.
    pub(crate) fn above(screen: &Screen) -> Self {
        Self(Some(screen.clone()))
    }

    pub(crate) fn say(&self, words: &str) {
        match &self.0 {
            Some(screen) => screen.say(&style(words).for_stderr().yellow().to_string()),
            None => stderr::say(words),
        }
    }

    /// Takes whatever moves off the screen.
    pub(crate) fn close(&self) {
        if let Some(screen) = &self.0 {
            screen.clear();
        }
    }
}
