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
    closest(word, names).map(|name| format!(" (did you mean '{name}'?)")).unwrap_or_default()
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
}
