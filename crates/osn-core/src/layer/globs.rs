//! Chooses layers by path.

use std::fmt;

use serde::{Deserialize, Serialize};

use self::matcher::Matcher;
use crate::key_values::split_outside_brackets;

/// A list of globs over dot-separated paths, compiled once.
///
/// `*` stands for anything within one segment, `**` for any number of whole segments (`**.weight`
/// matches `weight` and `blocks.0.weight`), `?` for one character, `[ab]` for one of some and `{a,b}`
/// for one of several globs. Without the crate's feature `globs` only whole paths are taken, and anything
/// else is [`GlobError::NotBuilt`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Globs {
    patterns: Vec<String>,
    matchers: Vec<Matcher>,
}

/// The most characters of a glob. A longer one is a mistake, or an attempt to use up all memory.
const LONGEST_GLOB: usize = 1_000;

/// Why a glob cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobError {
    /// The glob's syntax is wrong.
    #[error("bad glob `{glob}`: {problem}")]
    Syntax {
        /// The glob as it was written.
        glob: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The glob is empty, which matches no path.
    #[error("empty glob: write ** to match every path")]
    Empty,
    /// The glob is longer than any path.
    #[error("a glob of {length} characters is too long: at most {LONGEST_GLOB}")]
    TooLong {
        /// Its length in characters.
        length: usize,
    },
    /// osn-core was built without its feature `globs`, and this is more than a path.
    #[error("`{glob}` is a glob: write a whole path, or build osn-core with the feature `globs`")]
    NotBuilt {
        /// The glob as it was written.
        glob: String,
    },
    /// The glob holds a comma outside braces, which no path does.
    #[error("bad glob `{glob}`: a path holds no comma; write {{a,b}} or several globs")]
    Comma {
        /// The glob as it was written.
        glob: String,
    },
}

impl Globs {
    /// Compiles globs.
    ///
    /// # Errors
    ///
    /// [`GlobError`], naming the first glob that is not one.
    pub fn new<T: Into<String>>(globs: impl IntoIterator<Item = T>) -> Result<Self, GlobError> {
        let patterns: Vec<String> = globs.into_iter().map(Into::into).collect();
        let matchers = patterns.iter().map(|glob| checked(glob)).collect::<Result<_, _>>()?;
        Ok(Self { patterns, matchers })
    }

    /// The globs as they were written.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The first glob that matches a dot-separated path.
    pub fn matching(&self, path: &str) -> Option<&str> {
        let path = path.replace('.', "/");
        let found = self.matchers.iter().position(|matcher| matcher.is_match(&path))?;
        Some(&self.patterns[found])
    }
}

impl fmt::Display for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.patterns.join(" or "))
    }
}

impl PartialEq for Globs {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl TryFrom<Vec<String>> for Globs {
    type Error = GlobError;

    fn try_from(patterns: Vec<String>) -> Result<Self, Self::Error> {
        Self::new(patterns)
    }
}

impl From<Globs> for Vec<String> {
    fn from(globs: Globs) -> Self {
        globs.patterns
    }
}

fn checked(glob: &str) -> Result<Matcher, GlobError> {
    let length = glob.chars().count();
    if length == 0 {
        return Err(GlobError::Empty);
    }
    if length > LONGEST_GLOB {
        return Err(GlobError::TooLong { length });
    }
    if split_outside_brackets(glob).len() > 1 {
        return Err(GlobError::Comma { glob: glob.to_owned() });
    }
    Matcher::compile(glob)
}

/// One glob, compiled. Globs know path separators, so dots become slashes, here and in the paths that
/// are matched.
#[cfg(feature = "globs")]
mod matcher {
    use globset::{ErrorKind, GlobBuilder, GlobMatcher, GlobSet};

    use super::GlobError;

    #[derive(Debug, Clone)]
    pub(super) struct Matcher(GlobMatcher);

    impl Matcher {
        pub(super) fn compile(glob: &str) -> Result<Self, GlobError> {
            let slashed = glob.replace('.', "/");
            let mut builder = GlobBuilder::new(&slashed);
            let built = builder.literal_separator(true).backslash_escape(true).build();
            // Where the expression behind a glob is too large or too deep, a matcher panics and a set
            // says so.
            let checked = built.and_then(|glob| GlobSet::new([&glob]).map(|_| glob));
            checked.map(|glob| Self(glob.compile_matcher())).map_err(|error| GlobError::Syntax {
                glob: glob.to_owned(),
                problem: in_a_line(error.kind()),
            })
        }

        pub(super) fn is_match(&self, path: &str) -> bool {
            self.0.is_match(path)
        }
    }

    /// What is wrong with a glob, without the drawing that comes with an expression's error.
    fn in_a_line(problem: &ErrorKind) -> String {
        match problem {
            ErrorKind::Regex(_) => "it is too deep or too large".to_owned(),
            other => other.to_string(),
        }
    }
}

/// A whole path.
#[cfg(not(feature = "globs"))]
mod matcher {
    use super::GlobError;

    #[derive(Debug, Clone)]
    pub(super) struct Matcher(String);

    impl Matcher {
        pub(super) fn compile(glob: &str) -> Result<Self, GlobError> {
            if glob.contains(['*', '?', '[', ']', '{', '}', '\\']) {
                return Err(GlobError::NotBuilt { glob: glob.to_owned() });
            }
            Ok(Self(glob.replace('.', "/")))
        }

        pub(super) fn is_match(&self, path: &str) -> bool {
            self.0 == path
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::select::Select;

    #[test]
    fn a_double_star_spans_any_number_of_segments_and_a_star_only_one() {
        for (glob, path, expected) in [
            ("**.weight", "weight", true),
            ("**.weight", "conv.weight", true),
            ("**.weight", "blocks.0.conv.weight", true),
            ("**.weight", "blocks.0.conv.bias", false),
            ("**.weight", "blocks.0.conv_weight", false),
            ("*.weight", "conv.weight", true),
            ("*.weight", "weight", false),
            ("*.weight", "blocks.0.weight", false),
            ("blocks.**.weight", "blocks.weight", true),
            ("blocks.**.weight", "blocks.0.conv.weight", true),
            ("blocks.**", "blocks.0.conv.weight", true),
            ("**", "anything.at.all", true),
            ("blocks.[01].{conv,linear}.weight", "blocks.1.linear.weight", true),
            ("blocks.[01].{conv,linear}.weight", "blocks.2.linear.weight", false),
            ("conv", "conv.weight", false),
        ] {
            let is_match = Globs::new([glob]).unwrap().matching(path).is_some();
            assert_eq!(is_match, expected, "{glob} {path}");
        }
    }

    #[test]
    fn a_bad_glob_is_refused() {
        let refused = |glob: &str| Globs::new(["**.weight", glob]).unwrap_err();
        // The last is deeper than the regular expression behind it may be.
        let deep = "{a".repeat(300) + &"}".repeat(300);
        for bad in ["blocks.[a", "{a,b", &deep] {
            assert!(matches!(refused(bad), GlobError::Syntax { glob, .. } if glob == bad));
        }
        assert!(matches!(refused("a,b"), GlobError::Comma { .. }));
        assert_eq!(refused(""), GlobError::Empty);
        assert_eq!(refused(&"a".repeat(1_001)), GlobError::TooLong { length: 1_001 });
        assert!(serde_json::from_str::<Select>(r#"{"paths":["x.[a"]}"#).is_err());
        assert!(serde_json::from_str::<Select>(r#"{"path":["x"]}"#).is_err());
    }
}
