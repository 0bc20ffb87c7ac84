//! The key to a chart, in HTML so that it wraps in a narrow window.

use maud::{Markup, html};

/// How a series is drawn, and so how its key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::html) enum Mark {
    /// A line; the class gives its colour.
    Line(&'static str),
    /// A dashed line.
    Dashed(&'static str),
    /// A filled box.
    Box(&'static str),
    /// A dot.
    Dot(&'static str),
    /// A diagonal cross.
    Cross(&'static str),
}

/// A row of keys.
pub(in crate::html) fn legend(entries: &[(Mark, &str)]) -> Markup {
    html! {
        ul.legend {
            @for (mark, label) in entries { li { (swatch(*mark)) (label) } }
        }
    }
}

fn swatch(mark: Mark) -> Markup {
    html! {
        svg.swatch width="22" height="12" viewBox="0 0 22 12" aria-hidden="true" {
            @match mark {
                Mark::Line(class) => path class={ "line " (class) } d="M1 6h20" {},
                Mark::Dashed(class) => path class={ "line dashed " (class) } d="M1 6h20" {},
                Mark::Box(class) => rect class={ "box " (class) } x="3" y="1" width="16" height="10" rx="2" {},
                Mark::Dot(class) => circle class={ "dot " (class) } cx="11" cy="6" r="3.5" {},
                Mark::Cross(class) => path class={ "line " (class) } d="M7 2l8 8m0-8l-8 8" {},
            }
        }
    }
}
