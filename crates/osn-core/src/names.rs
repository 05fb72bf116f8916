//! Names that somebody may have meant.

/// The name that is most like a word, if one is so like it that a slip of the hand explains the difference: at most one
/// letter in three was changed, left out, added, or changed places with its neighbour. A word that is one of the names means
/// no other.
///
/// ```
/// use osn_core::names::closest;
///
/// assert_eq!(closest("alwys", ["always", "never"]), Some("always"));
/// assert_eq!(closest("sometimes", ["always", "never"]), None);
/// ```
pub fn closest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).max(1);
    let distance = |name: &&str| strsim::damerau_levenshtein(word, name);
    let near = |name: &&str| (1..=most).contains(&distance(name)) && distance(name) < word.len();
    let names: Vec<_> = names.into_iter().collect();
    if names.contains(&word) {
        return None;
    }
    names.into_iter().filter(near).min_by_key(distance)
}

/// ` (did you mean 'always'?)`, or nothing where no name is like the word.
///
/// ```
/// let hint = osn_core::names::hint("nevr", ["always", "never"]);
/// assert_eq!(hint, " (did you mean 'never'?)");
/// ```
pub fn hint<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    question(closest(word, names))
}

fn question(meant: Option<impl std::fmt::Display>) -> String {
    meant.map(|name| format!(" (did you mean '{name}'?)")).unwrap_or_default()
}

/// The glob over dotted paths that somebody may have meant by one that matches none of them: what stands behind its last `**.`
/// is compared with the ends of the paths. A glob without one is compared with the whole paths, and then by its last part.
///
/// ```
/// use osn_core::names::closest_glob;
///
/// let meant = closest_glob("**.donw1.weight", &["down1.weight", "down2.weight"]);
/// assert_eq!(meant.as_deref(), Some("**.down1.weight"));
/// ```
pub fn closest_glob(glob: &str, paths: &[&str]) -> Option<String> {
    let by_end = |start: &str, end: &str| {
        let n_parts = end.split('.').count();
        let ends = paths.iter().map(|path| last_parts(path, n_parts));
        closest(end, ends).map(|end| format!("{start}{end}"))
    };
    if let Some(at) = glob.rfind("**.") {
        let (start, end) = glob.split_at(at + "**.".len());
        return by_end(start, end);
    }
    let whole = closest(glob, paths.iter().copied()).map(str::to_owned);
    whole.or_else(|| by_end("**.", last_parts(glob, 1)))
}

/// [`hint`] of the first of some globs that has a [`closest_glob`].
pub fn glob_hint(globs: &[String], paths: &[&str]) -> String {
    question(globs.iter().find_map(|glob| closest_glob(glob, paths)))
}

/// The last so many parts of a dotted path.
fn last_parts(path: &str, count: usize) -> &str {
    path.rmatch_indices('.').nth(count - 1).map_or(path, |(at, _)| &path[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_understood_and_another_word_is_not() {
        let names = ["gan", "cgan", "translate", "learning_rate", "fashion-mnist-10k"];
        let meant = |word| closest(word, names);
        assert_eq!(
            ["gna", "ga", "tranlsate"].map(meant),
            [Some("gan"), Some("gan"), Some("translate")]
        );
        assert_eq!(
            ["learningrate", "fashion-mnist-10"].map(meant),
            [Some("learning_rate"), Some("fashion-mnist-10k")]
        );
        assert_eq!(["", "x", "speech", "gan"].map(meant), [None; 4]);
    }

    #[test]
    fn a_glob_is_compared_with_as_much_of_a_path_as_it_names() {
        let paths = ["encoder.0.query.weight", "encoder.0.key.weight", "head"];
        let meant = |glob| closest_glob(glob, &paths).unwrap_or_default();
        assert_eq!(meant("**.quary.weight"), "**.query.weight");
        assert_eq!(meant("encoder.**.0.kee.weight"), "encoder.**.0.key.weight");
        assert_eq!(meant("haed"), "head");
        assert_eq!(meant("decoder.wieght"), "**.weight");
        assert_eq!(["**", "", "**.", "other.thing", "**.head"].map(meant), [""; 5]);
    }
}
