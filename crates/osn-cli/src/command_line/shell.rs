//! Commands as they are typed into a shell.

use std::path::Path;

/// The full program's name, as it was typed where this is it.
pub(crate) fn program() -> String {
    if cfg!(not(feature = "train")) {
        return "osn".to_owned();
    }
    if std::env::var_os("CARGO").is_some() {
        return "cargo run --release --".to_owned();
    }
    std::env::args().next().map_or_else(|| "osn".to_owned(), |name| quoted(&name))
}

/// A word as a POSIX shell reads it back.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The command that resumes a run.
pub(crate) fn resume_line(folder: &Path) -> String {
    format!("{} resume {}", program(), quoted(&folder.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_words_are_quoted_for_the_shell() {
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
