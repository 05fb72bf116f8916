//! Rules from a file.

use std::io;
use std::path::{Path, PathBuf};

use osn_core::decide::{Rules, RulesFileError};
use osn_files::plain_file;

/// No file of rules that anybody writes is larger.
const MAX_BYTES: u64 = 1 << 20;

/// Why a rules file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// It cannot be opened.
    #[error("cannot read the rules in {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It makes no sense.
    #[error("{}, {source}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with which line.
        source: RulesFileError,
    },
}

/// Reads a rules file, in TOML.
///
/// # Errors
///
/// [`RulesError`], with the line that is wrong.
pub fn read_rules(path: &Path) -> Result<Rules, RulesError> {
    let text = plain_file::read(path, MAX_BYTES)
        .and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other))
        .map_err(|source| RulesError::Unreadable { path: path.to_owned(), source })?;
    Rules::from_toml(&text).map_err(|source| RulesError::Content { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn rules_come_back_in_their_order_and_a_file_without_sense_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules.toml");
        fs::write(&file, "[[rule]]\nrule = \"never\"\n[[rule]]\nselect = { paths = [\"a*\"] }\nrule = \"always\"")
            .unwrap();
        let rules: Vec<_> =
            read_rules(&file).unwrap().entries().iter().map(|it| it.rule.label()).collect();
        assert_eq!(rules, ["never", "always"]);
        fs::write(&file, "[[rule]]\nrule = \"perhaps\"").unwrap();
        let error = read_rules(&file).unwrap_err();
        assert!(matches!(&error, RulesError::Content { path, .. } if *path == file), "{error}");
        fs::write(&file, [0xff]).unwrap();
        let error = read_rules(&file).unwrap_err();
        assert!(matches!(error, RulesError::Unreadable { .. }), "{error}");
    }
}
