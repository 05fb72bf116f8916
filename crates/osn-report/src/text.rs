//! Text as a person reads it: numbers, and words from files made fit to stand among others.

/// Four significant digits, without an exponent where that stays short.
pub fn short(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_nan() {
        "–".to_owned()
    } else if magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude) {
        format!("{value:.2e}")
    } else {
        fixed(value, decimals(magnitude))
    }
}

/// How many decimals numbers of one unit share, so that they compare at a glance.
///
/// The largest number keeps what [`short`] gives it and the smallest at least two digits. Where no few decimals do
/// both, each number is as [`short`] has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits(Option<usize>);

impl Digits {
    /// The decimals for these numbers; those that are zero or not finite have no say.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let sizes = values.into_iter().map(f64::abs).filter(|it| it.is_finite() && *it > 0.0);
        let ends = sizes.fold(None, |ends: Option<(f64, f64)>, size| {
            let (least, most) = ends.unwrap_or((size, size));
            Some((least.min(size), most.max(size)))
        });
        let Some((least, most)) = ends else { return Self(None) };
        if least < 1e-4 || most >= 1e6 {
            return Self(None);
        }
        let bounds = [10.0, 1.0, 0.1, 0.01, 0.001];
        let two_digits = bounds.iter().take_while(|bound| least < **bound).count();
        let needed = decimals(most).max(two_digits);
        Self((needed <= 5).then_some(needed))
    }

    /// A number with them.
    pub fn shown(self, value: f64) -> String {
        match self.0 {
            Some(decimals) if value.is_finite() => fixed(value, decimals),
            _ => short(value),
        }
    }
}

/// Never "-0.00".
fn fixed(value: f64, decimals: usize) -> String {
    let shown = format!("{value:.decimals$}");
    match shown.strip_prefix('-') {
        Some(size) if size.bytes().all(|b| matches!(b, b'0' | b'.')) => size.to_owned(),
        _ => shown,
    }
}

fn decimals(magnitude: f64) -> usize {
    match magnitude {
        m if m == 0.0 || m >= 1000.0 => 0,
        m if m >= 100.0 => 1,
        m if m >= 10.0 => 2,
        m if m >= 0.1 => 3,
        _ => 5,
    }
}

/// Seconds as `8.5 s`, `3 min 04 s` or `2 h 05 min`.
pub fn duration(secs: f64) -> String {
    if !secs.is_finite() || secs < 0.0 {
        return "–".to_owned();
    }
    // Whole seconds first, so that 59.9 s is never "0 min 60 s".
    let whole = secs.round();
    let (minutes, seconds) = ((whole / 60.0).floor(), whole % 60.0);
    if secs < 59.5 {
        format!("{secs:.1} s")
    } else if whole < 3600.0 {
        format!("{minutes:.0} min {seconds:02.0} s")
    } else {
        format!("{:.0} h {:02.0} min", (minutes / 60.0).floor(), minutes % 60.0)
    }
}

/// `1 run`, `2 runs`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The text with a mark in place of every character that is no visible part of it.
///
/// Names and reasons come from files that anybody may have written. They must not speak to a
/// terminal (control characters), forge a line (line breaks), turn the text around them (marks of
/// direction) or hide in it (characters without a width). To be called on each field by itself,
/// before it is put among other words.
pub fn escaped(text: &str) -> String {
    text.replace(is_unfit, "\u{fffd}")
}

/// The same of text whose lines are its own: a page, or several fields below each other.
pub(crate) fn escaped_lines(text: &str) -> String {
    text.replace(|c: char| !matches!(c, '\n' | '\t') && is_unfit(c), "\u{fffd}")
}

/// Whether a script of people needs this character that is not seen: joiners shape Persian, Hindi and emoji, marks of
/// direction stand in Arabic and Hebrew. Only for texts that stand alone, where it turns no other text around.
pub(crate) fn is_of_a_script(character: char) -> bool {
    matches!(character, '\u{200c}'..='\u{200f}' | '\u{61c}' | '\u{ad}' | '\u{fe00}'..='\u{fe0f}')
}

/// Text of people that stands alone, with the marks that its script needs.
pub(crate) fn escaped_alone(text: &str) -> String {
    text.replace(|c: char| is_unfit(c) && !is_of_a_script(c), "\u{fffd}")
}

/// The text with an escape in place of certain characters, made of their code points.
pub(crate) fn with_escapes(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    escape: impl Fn(u32) -> String,
) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_escaped(character) {
            escaped.push_str(&escape(u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn is_unfit(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Of no width, or seen as nothing.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            // Of direction.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{206f}'
            // Ends of a line and of a paragraph.
            | '\u{2028}' | '\u{2029}'
            // Annotations, tags and variation selectors.
            | '\u{fff9}'..='\u{fffb}' | '\u{fe00}'..='\u{fe0f}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_digits_are_kept() {
        let shown = [0.0, 1.0, -0.12345, 12.3456, 123.456, 12345.6, 1e-9, 2.5e7, 0.012_34];
        let expected =
            ["0", "1.000", "-0.123", "12.35", "123.5", "12346", "1.00e-9", "2.50e7", "0.01234"];
        assert_eq!(shown.map(short), expected);
        assert_eq!([f64::NAN, f64::INFINITY].map(short), ["–", "inf"]);
    }

    #[test]
    fn numbers_of_a_column_have_as_many_decimals() {
        let column = |values: &[f64]| {
            let digits = Digits::of(values.iter().copied());
            values.iter().map(|value| digits.shown(*value)).collect::<Vec<_>>()
        };
        assert_eq!(column(&[0.01, 0.201, 0.0]), ["0.010", "0.201", "0.000"]);
        assert_eq!(column(&[678.3, -98.48, -0.0, f64::NAN]), ["678.3", "-98.5", "0.0", "–"]);
        assert_eq!(column(&[0.051_23, 0.07]), ["0.05123", "0.07000"]);
        assert_eq!(column(&[12.5, 3.25]), ["12.50", "3.25"]);
        // No few decimals suit both.
        assert_eq!(column(&[1e-9, 1200.0]), ["1.00e-9", "1200"]);
        assert_eq!(column(&[f64::INFINITY, 0.0]), ["inf", "0"]);
    }

    #[test]
    fn a_zero_has_no_sign() {
        assert_eq!([-0.0, -4e-5].map(short), ["0", "-4.00e-5"]);
    }

    #[test]
    fn durations_are_never_sixty_seconds() {
        let shown = [0.25, 59.4, 59.96, 60.0, 184.0, 3599.9, 7500.0, f64::NAN];
        let expected =
            "0.2 s, 59.4 s, 1 min 00 s, 1 min 00 s, 3 min 04 s, 1 h 00 min, 2 h 05 min, –";
        assert_eq!(shown.map(duration).join(", "), expected);
    }

    #[test]
    fn a_field_speaks_to_no_terminal_forges_no_line_and_turns_no_text_around() {
        let shown = escaped("σ of '\u{1b}]0;owned\u{7}\u{9b}31m'\r\nis 2");
        assert_eq!(shown, "σ of '\u{fffd}]0;owned\u{fffd}\u{fffd}31m'\u{fffd}\u{fffd}is 2");
        let unfit = "\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}\u{200b}\
                     \u{200d}\u{feff}\u{85}\u{e0041}\t\r\n";
        assert!(escaped(unfit).chars().all(|shown| shown == '\u{fffd}'), "{:?}", escaped(unfit));
        let honest = "blocks.0.ключ.重み.Wᵀ–é.weight";
        assert_eq!(escaped(honest), honest);
        assert_eq!(escaped_lines("a\n\tb\u{202e}"), "a\n\tb\u{fffd}");
    }
}
