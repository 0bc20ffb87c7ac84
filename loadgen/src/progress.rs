//! What a run says while it goes on. Results are not its business: those come in the report.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reports::model::{LoadSecond, LoadStep, Validity};

/// Hears how a run goes. Called from the thread that runs it; a slow listener delays nothing but itself.
pub trait Progress {
    /// Step `number` of `of`, from zero, begins; it takes about `length`.
    fn step_started(&self, number: usize, of: usize, rps: f64, length: Duration);
    /// A second of the run is over.
    fn second(&self, second: &LoadSecond);
    /// A step is over and judged.
    fn step_done(&self, step: &LoadStep);
    /// Something a person should know that is in no figure.
    fn note(&self, text: &str);
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step_started(&self, _number: usize, _of: usize, _rps: f64, _length: Duration) {}
    fn second(&self, _second: &LoadSecond) {}
    fn step_done(&self, _step: &LoadStep) {}
    fn note(&self, _text: &str) {}
}

/// A bar on standard error for the step under way and a line for each step that is over. Where standard
/// error is no terminal, only the lines.
#[derive(Debug)]
pub struct Bars {
    bar: Mutex<ProgressBar>,
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

impl Bars {
    /// Draws nothing before the first step.
    pub fn new() -> Self {
        Self { bar: Mutex::new(ProgressBar::hidden()) }
    }

    fn with_bar<T>(&self, action: impl FnOnce(&mut ProgressBar) -> T) -> T {
        // A bar is right again with its next drawing, whatever happened to it.
        action(&mut self.bar.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn line(&self, text: &str) {
        self.with_bar(|bar| if bar.is_hidden() { eprintln!("{text}") } else { bar.println(text) });
    }
}

impl Progress for Bars {
    fn step_started(&self, number: usize, of: usize, rps: f64, length: Duration) {
        let style = ProgressStyle::with_template("{prefix} [{bar:24}] {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        self.with_bar(|bar| {
            let target = ProgressDrawTarget::stderr_with_hz(4);
            *bar = ProgressBar::with_draw_target(Some(length.as_secs_f64().ceil() as u64), target);
            bar.set_style(style);
            bar.set_prefix(format!("load {}/{of} {rps:>6.0}/s", number + 1));
        });
    }

    fn second(&self, second: &LoadSecond) {
        let text = format!(
            "sent {} of {}, ok {}, failed {}, p99 {}",
            second.sent,
            second.offered,
            second.ok,
            second.failed,
            ms(second.intended_p99_us)
        );
        self.with_bar(|bar| {
            bar.inc(1);
            bar.set_message(text);
        });
    }

    fn step_done(&self, step: &LoadStep) {
        self.with_bar(|bar| bar.finish_and_clear());
        self.line(&step_line(step));
    }

    fn note(&self, text: &str) {
        self.line(text);
    }
}

/// A step in one line.
fn step_line(step: &LoadStep) -> String {
    let verdict = match (&step.validity, step.carried, &step.missed) {
        (Validity::Invalid(reason), ..) => format!("INVALID: {reason}"),
        (Validity::Valid, true, _) => "carried".to_owned(),
        (Validity::Valid, false, missed) => {
            format!("NOT carried: {}", missed.as_deref().unwrap_or("no reason given"))
        }
    };
    format!(
        "load {:>6.0}/s: {} of {} ok, p50 {}, p99 {}, {verdict}",
        step.target_rps,
        step.ok,
        step.offered,
        ms(step.intended.p50_us),
        ms(step.intended.p99_us)
    )
}

fn ms(us: u64) -> String {
    format!("{:.1} ms", us as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_line_with_its_verdict() {
        let mut step =
            LoadStep { target_rps: 500.0, offered: 20, ok: 20, carried: true, ..LoadStep::default() };
        assert_eq!(step_line(&step), "load    500/s: 20 of 20 ok, p50 0.0 ms, p99 0.0 ms, carried");
        step.carried = false;
        step.missed = Some("too slow".to_owned());
        assert!(step_line(&step).ends_with("NOT carried: too slow"));
        step.validity = Validity::Invalid("too late".to_owned());
        assert!(step_line(&step).ends_with("INVALID: too late"));
    }
}
