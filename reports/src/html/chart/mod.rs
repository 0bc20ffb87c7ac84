//! Charts by hand: inline SVG from scales, axes, lines and a legend. No chart library, no script.
//!
//! Coordinates never hold anything but finite numbers: [`scale::Scale::at`] gives none for a value that
//! has no place, and [`num`] is the only way a coordinate gets into the text. Leaves out what a chart
//! shows; that is in the panels.

pub(super) mod legend;
pub(super) mod plot;
pub(super) mod scale;
pub(super) mod thin;

/// A coordinate with one decimal at most.
pub(super) fn num(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// Path data through `points`; `None` breaks the line. A point between two breaks becomes a dot, if the
/// stroke has round ends.
pub(super) fn line(points: impl IntoIterator<Item = Option<(f64, f64)>>) -> String {
    let mut data = String::new();
    let mut last: Option<(f64, f64)> = None;
    let mut alone = false;
    for point in points {
        match (last, point) {
            (None, Some((x, y))) => {
                data += &format!("M{} {}", num(x), num(y));
                alone = true;
            }
            (Some(_), Some((x, y))) => {
                data += &format!("L{} {}", num(x), num(y));
                alone = false;
            }
            (Some(_), None) if alone => data += "h0",
            (_, None) => {}
        }
        last = point;
    }
    if alone && last.is_some() {
        data += "h0";
    }
    data
}

/// Path data of the area between `points` and the height `base`. Gaps count as zero height.
pub(super) fn area(points: &[(f64, f64)], base: f64) -> String {
    let (Some(first), Some(end)) = (points.first(), points.last()) else { return String::new() };
    let edge = line(points.iter().copied().map(Some));
    let base = num(base);
    format!("{edge}L{} {base}L{} {base}Z", num(end.0), num(first.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short_and_finite() {
        assert_eq!(num(1.0), "1");
        assert_eq!(num(-0.01), "0");
        assert_eq!(num(12.345), "12.3");
        assert_eq!(num(f64::NAN), "0");
        assert_eq!(num(f64::NEG_INFINITY), "0");
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let points = [Some((0.0, 1.0)), Some((1.0, 2.0)), None, Some((3.0, 4.0)), None];
        assert_eq!(line(points), "M0 1L1 2M3 4h0");
        assert_eq!(line([]), "");
        assert_eq!(line([None, Some((1.0, 1.0))]), "M1 1h0");
    }

    #[test]
    fn an_area_comes_back_to_its_base() {
        assert_eq!(area(&[(0.0, 1.0), (2.0, 3.0)], 10.0), "M0 1L2 3L2 10L0 10Z");
        assert_eq!(area(&[], 10.0), "");
    }
}
