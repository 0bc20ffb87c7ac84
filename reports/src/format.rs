//! Numbers as people read them: grouped counts, latencies with a fitting unit, shares in percent.
//!
//! Every function takes any value: what is not a finite number becomes a dash. Leaves out layout.

/// Stands for a figure that does not exist.
pub(crate) const NONE: &str = "–";

/// `1234567` as `1,234,567`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A rate or another positive figure: grouped above 100, with one decimal below.
pub(crate) fn rate(value: f64) -> String {
    if !value.is_finite() {
        NONE.to_owned()
    } else if value.abs() >= 99.95 || value.fract() == 0.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", count(value.abs().round() as u64))
    } else {
        format!("{value:.1}")
    }
}

/// A latency in microseconds, three significant digits and a unit.
pub(crate) fn micros(value: u64) -> String {
    micros_f64(value as f64)
}

/// As [`micros`], for a computed value.
pub(crate) fn micros_f64(value: f64) -> String {
    if !value.is_finite() {
        NONE.to_owned()
    } else if value < 999.5 {
        format!("{value:.0} µs")
    } else if value < 999_500.0 {
        format!("{} ms", three_digits(value / 1e3))
    } else {
        format!("{} s", three_digits(value / 1e6))
    }
}

fn three_digits(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        rate(value.round())
    }
}

/// A length of time in seconds, in the two largest units that fit.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return NONE.to_owned();
    }
    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1e3);
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    if whole < 3600 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{} h {} min", whole / 3600, whole % 3600 / 60)
    }
}

/// A point in simulated time, to the millisecond.
pub(crate) fn instant(seconds: f64) -> String {
    if seconds.is_finite() { format!("{seconds:.3} s") } else { NONE.to_owned() }
}

/// `part` of `whole` in percent. 100 % and 0 % are shown only when they are exact.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return NONE.to_owned();
    }
    if part == whole {
        return "100 %".to_owned();
    }
    if part == 0 {
        return "0 %".to_owned();
    }
    let share = part as f64 / whole as f64 * 100.0;
    if share < 100.0 { format!("{:.2} %", share.clamp(0.01, 99.99)) } else { format!("{share:.2} %") }
}

/// Processors in use, 1.0 is one.
pub(crate) fn cpus(value: f64) -> String {
    if value.is_finite() { format!("{value:.2}") } else { NONE.to_owned() }
}

/// `1 seed`, `2 seeds`.
pub(crate) fn plural(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// `18, 61, 74 and 3 more`, at most `limit` of them spelled out.
pub(crate) fn list<T: ToString>(items: &[T], limit: usize) -> String {
    let shown: Vec<String> = items.iter().take(limit).map(ToString::to_string).collect();
    let rest = items.len().saturating_sub(limit);
    let shown = shown.join(", ");
    if rest == 0 { shown } else { format!("{shown} and {} more", count(rest as u64)) }
}

/// `text` with at most `limit` characters; what is cut is shown by an ellipsis.
pub(crate) fn clip(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(limit.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// First letter in upper case.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_digits() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(rate(10_000.4), "10,000");
        assert_eq!(rate(12.34), "12.3");
        assert_eq!(rate(f64::NAN), NONE);
    }

    #[test]
    fn picks_a_unit() {
        assert_eq!(micros(830), "830 µs");
        assert_eq!(micros(1_240), "1.24 ms");
        assert_eq!(micros(99_960), "100 ms");
        assert_eq!(micros(999_900), "1.00 s");
        assert_eq!(micros(60_000_000), "60.0 s");
        assert_eq!(duration(0.25), "250 ms");
        assert_eq!(duration(72.4), "1 min 12 s");
        assert_eq!(duration(7_260.0), "2 h 1 min");
        assert_eq!(duration(f64::INFINITY), NONE);
    }

    #[test]
    fn rounds_no_share_to_all_or_nothing() {
        assert_eq!(percent(1, 1_000_000), "0.01 %");
        assert_eq!(percent(999_999, 1_000_000), "99.99 %");
        assert_eq!(percent(7, 7), "100 %");
        assert_eq!(percent(0, 7), "0 %");
        assert_eq!(percent(3, 0), NONE);
    }

    #[test]
    fn shortens() {
        assert_eq!(list(&[1, 2, 3], 2), "1, 2 and 1 more");
        assert_eq!(clip("abcdef", 4), "abc…");
        assert_eq!(capital("übel"), "Übel");
    }
}
