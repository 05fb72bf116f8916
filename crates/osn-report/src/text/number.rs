//! Numbers as a person reads them.

/// Four significant digits, without an exponent where that stays short.
pub fn short(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_nan() {
        "–".to_owned()
    } else if magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude) {
        format!("{value:.2e}")
    } else {
        format!("{value:.*}", decimals(magnitude))
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
    fn durations_are_never_sixty_seconds() {
        let shown = [0.25, 59.4, 59.96, 60.0, 184.0, 3599.9, 7500.0, f64::NAN];
        let expected = [
            "0.2 s",
            "59.4 s",
            "1 min 00 s",
            "1 min 00 s",
            "3 min 04 s",
            "1 h 00 min",
            "2 h 05 min",
            "–",
        ];
        assert_eq!(shown.map(duration), expected);
    }
}
