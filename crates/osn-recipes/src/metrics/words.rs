//! What scores of translations take for a word.

/// The words of a sentence as sacreBLEU's tokenizer `13a` finds them, which is that of the script mteval-v13a.
///
/// Signs are words of their own. Periods and commas are too, unless between digits; a hyphen is behind a
/// digit. Four entities of SGML become what they stand for.
pub(super) fn words_13a(sentence: &str) -> Vec<String> {
    let text = without_markup(sentence.trim_end_matches(is_space));
    let is_stop = |letter: char| matches!(letter, '.' | ',');
    let is_digit = |letter: char| letter.is_ascii_digit();
    let text: String = format!(" {text} ").chars().flat_map(apart).collect();
    let text = part(&text, |before| !is_digit(before), is_stop, |a, b| [a, ' ', b, ' ']);
    let text = part(&text, is_stop, |behind| !is_digit(behind), |a, b| [' ', a, ' ', b]);
    let text = part(&text, is_digit, |behind| behind == '-', |a, b| [a, ' ', b, ' ']);
    text.split(is_space).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What Python's `str.split` splits at.
pub(super) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter)
}

fn without_markup(sentence: &str) -> String {
    let text = sentence.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    // In this order: `&amp;lt;` becomes `<`.
    let entities = [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")];
    entities.into_iter().fold(text, |text, (entity, letter)| text.replace(entity, letter))
}

/// A letter, with spaces around it where it is a sign of ASCII other than `'`, `,`, `-` and `.`.
fn apart(letter: char) -> impl Iterator<Item = char> {
    let is_sign = letter.is_ascii_punctuation() && !matches!(letter, '\'' | ',' | '-' | '.');
    let space = is_sign.then_some(' ');
    space.into_iter().chain([letter]).chain(space)
}

/// Replaces two letters that follow each other and are as asked for, from left to right; none is looked at
/// again, as in a substitution by a regular expression.
fn part(
    text: &str,
    first: impl Fn(char) -> bool,
    second: impl Fn(char) -> bool,
    replace: impl Fn(char, char) -> [char; 4],
) -> String {
    let mut parted = String::with_capacity(text.len() * 2);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.next_if(|next| first(letter) && second(*next)) {
            Some(next) => parted.extend(replace(letter, next)),
            None => parted.push(letter),
        }
    }
    parted
}
