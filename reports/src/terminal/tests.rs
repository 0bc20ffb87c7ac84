//! The screen fits, says what matters, and stays in its bounds with hostile data.

use super::*;
use crate::sample;

fn plain_screen(report: &Report) -> String {
    let page = Some("target/seedstorm/report.html".to_owned());
    screen(report, &Options { colour: false, page, next: None })
}

#[test]
fn fits_on_one_screen() {
    let text = plain_screen(&sample::report());
    assert!(text.lines().count() <= 45, "{} lines", text.lines().count());
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{} columns: {line}", line.chars().count());
    }
}

#[test]
fn ends_with_the_page_and_the_next_command() {
    let text = plain_screen(&sample::report());
    let tail: Vec<&str> = text.lines().rev().take(3).collect();
    let tail = tail.join("\n");
    assert!(tail.contains("page: target/seedstorm/report.html"));
    assert!(tail.contains("next: cargo storm replay --scenario cluster --seed 18"));
    let next = Some("cargo storm bench".to_owned());
    let text = screen(&Report::default(), &Options { next, ..Options::default() });
    assert!(text.ends_with("exit code 2   next: cargo storm bench\n"), "{text}");
}

#[test]
fn colour_changes_no_letter() {
    let report = sample::report();
    let painted = screen(&report, &Options { colour: true, ..Options::default() });
    let bare = screen(&report, &Options::default());
    assert!(painted.contains("\u{1b}[1;31m"));
    assert!(!bare.contains('\u{1b}'));
    let mut stripped = String::new();
    let mut escape = false;
    for letter in painted.chars() {
        match letter {
            '\u{1b}' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            _ => stripped.push(letter),
        }
    }
    assert_eq!(stripped, bare);
}

#[test]
fn text_of_the_run_cannot_steer_the_terminal() {
    let mut report = sample::report();
    let simulation = report.simulation.as_mut().unwrap();
    simulation.scenario = "\u{1b}[2Jgone".to_owned();
    simulation.seeds[17].violations[0].evidence = "a\u{1b}]0;title\u{7}b ".repeat(200);
    report.load.as_mut().unwrap().target = "\u{1b}[31mred".to_owned();
    let text = plain_screen(&report);
    assert!(!text.contains('\u{1b}'));
    assert!(text.lines().count() <= 45);
}

#[test]
fn many_seeds_and_steps_are_cut_and_say_so() {
    let mut report = sample::report();
    for seed in &mut report.simulation.as_mut().unwrap().seeds {
        seed.verdict = SeedVerdict::Violated;
    }
    let load = report.load.as_mut().unwrap();
    load.steps = std::iter::repeat_n(load.steps.clone(), 5).flatten().collect();
    let text = plain_screen(&report);
    assert!(text.contains("did not hold either: seeds 4, 5, 6, 7, 8, 9, 10, 11 and 89 more"), "{text}");
    assert!(text.contains("20 earlier steps are on the page"));
    assert!(text.lines().count() <= 45, "{} lines", text.lines().count());
}

#[test]
fn a_long_word_is_cut() {
    assert_eq!(wrap("aaaa bb", 4, 2), ["aaaa", "bb"]);
    assert_eq!(wrap("abcdefgh", 4, 2), ["abc…"]);
    assert_eq!(wrap("a b c d", 1, 2), ["a", "…"]);
    assert_eq!(wrap("", 10, 2), [""]);
}
