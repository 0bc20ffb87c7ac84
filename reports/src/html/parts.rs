//! Small parts that several panels use: verdict marks, figures, chart frames, commands.

use maud::{Markup, html};

use crate::verdict::HalfVerdict;

/// How something is to be read; gives colour and sign, so that neither has to stand alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Warn,
    Quiet,
}

impl Tone {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Warn => "warn",
            Self::Quiet => "quiet",
        }
    }

    /// Tone of a verdict.
    pub(super) fn of(verdict: HalfVerdict) -> Self {
        match verdict {
            HalfVerdict::Held => Self::Good,
            HalfVerdict::Violated | HalfVerdict::LoadMissed => Self::Bad,
            HalfVerdict::HarnessFault | HalfVerdict::Vacuous | HalfVerdict::LoadInvalid => Self::Warn,
            HalfVerdict::NotRun => Self::Quiet,
        }
    }
}

/// A small sign: tick, cross, exclamation mark or dash, each in a shape of its own.
pub(super) fn sign(tone: Tone) -> Markup {
    html! {
        svg class={ "sign " (tone.class()) } viewBox="0 0 16 16" aria-hidden="true" {
            @match tone {
                Tone::Good => { circle cx="8" cy="8" r="8" {} path d="M4.2 8.4l2.6 2.6 5-5.6" {} }
                Tone::Bad => {
                    rect x=".5" y=".5" width="15" height="15" rx="2.5" {}
                    path d="M4.8 4.8l6.4 6.4m0-6.4l-6.4 6.4" {}
                }
                Tone::Warn => { path.shape d="M8 .4L15.8 14.6H.2z" {} path d="M8 5.6v4m0 2.6v.1" {} }
                Tone::Quiet => { circle cx="8" cy="8" r="8" {} path d="M4.4 8h7.2" {} }
            }
        }
    }
}

/// A word in a tone.
pub(super) fn badge(tone: Tone, word: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (sign(tone)) (word) } }
}

/// One figure with its name and, where it helps, a remark.
pub(super) fn tile(name: &str, value: &str, remark: &str, tone: Tone) -> Markup {
    html! {
        div class={ "tile " (tone.class()) } {
            div.name { (name) }
            div.value { (value) }
            @if !remark.is_empty() { div.remark { (remark) } }
        }
    }
}

/// A chart with its heading, remark and key.
pub(super) fn figure(title: &str, remark: &str, key: Markup, drawing: Markup) -> Markup {
    html! {
        figure.panel {
            figcaption { h3 { (title) } p.remark { (remark) } }
            (key)
            (drawing)
        }
    }
}

/// A command to copy. One click selects it whole; the script adds a button.
pub(super) fn command(text: &str) -> Markup {
    html! { div.command { code { (text) } } }
}
