//! The page as a whole: self-contained, escaped, complete with any part missing, and free of coordinates
//! that are no numbers.

use super::*;
use crate::model::{LoadReport, SeedVerdict, SimulationReport, Timeline, Validity};
use crate::sample;

/// Attributes that hold coordinates or sizes.
const GEOMETRY: [&str; 14] =
    ["x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "width", "height", "d", "viewBox"];

/// Fails at the first coordinate that is not a finite number. Returns how many there are.
fn check_coordinates(page: &str) -> usize {
    let mut checked = 0;
    for svg in page.split("<svg").skip(1) {
        let svg = svg.split("</svg>").next().unwrap();
        for name in GEOMETRY {
            for value in svg.split(&format!(" {name}=\"")).skip(1) {
                let value = value.split('"').next().unwrap();
                let numbers =
                    value.split(|letter: char| letter.is_whitespace() || "MmLlHhVvZz".contains(letter));
                for number in numbers.flat_map(split_signs).filter(|number| !number.is_empty()) {
                    let parsed: f64 = number.parse().unwrap_or(f64::NAN);
                    assert!(parsed.is_finite() && parsed.abs() < 1e5, "{name}=\"{value}\"");
                    checked += 1;
                }
            }
        }
    }
    checked
}

/// `2.6-5` is two numbers in path data.
fn split_signs(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut from = 0;
    for (at, _) in text.match_indices('-').filter(|(at, _)| *at > 0) {
        parts.push(&text[from..at]);
        from = at;
    }
    parts.push(&text[from..]);
    parts
}

/// Every link within the page leads somewhere.
fn check_links(page: &str) {
    for link in page.split("href=\"#").skip(1) {
        let id = link.split('"').next().unwrap();
        assert!(page.contains(&format!("id=\"{id}\"")), "nothing has the id {id}");
    }
}

#[test]
fn is_one_file_that_loads_nothing() {
    let page = page(&sample::report());
    assert!(page.starts_with("<!DOCTYPE html>"));
    for reference in ["http://", "https://", "src=", "url(", "@import", "<link", "//cdn"] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(page.contains("default-src 'none'"));
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(!STYLE.contains("</") && !SCRIPT.contains("</"));
}

#[test]
fn text_of_the_run_is_escaped() {
    let mut report = sample::report();
    let hostile = "<script>alert(1)</script>\"><img src=x onerror=alert(2)>";
    report.build.commit = hostile.to_owned();
    report.started_at = hostile.to_owned();
    let simulation = report.simulation.as_mut().unwrap();
    simulation.scenario = hostile.to_owned();
    let seed = &mut simulation.seeds[17];
    (seed.replay, seed.event_hash) = (hostile.to_owned(), hostile.to_owned());
    seed.artifacts[0] = hostile.to_owned();
    seed.violations[0].judge = hostile.to_owned();
    seed.violations[0].evidence = hostile.to_owned();
    seed.faults[0].kind = hostile.to_owned();
    let timeline = seed.timeline.as_mut().unwrap();
    timeline.nodes[0] = hostile.to_owned();
    timeline.faults[0].kind = hostile.to_owned();
    let load = report.load.as_mut().unwrap();
    load.target = hostile.to_owned();
    load.steps[0].validity = Validity::Invalid(hostile.to_owned());
    load.steps[5].missed = Some(hostile.to_owned());
    load.steps[5].errors[0].class = hostile.to_owned();
    let page = page(&report);
    assert_eq!(page.matches("<script>").count(), 1, "the page's own");
    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn shows_what_matters() {
    let page = page(&sample::report());
    for text in [
        "VIOLATED",
        "TARGET MISSED",
        "cargo storm replay --scenario cluster --seed 18",
        "Never bit: clock_jump; never reached: a snapshot was installed while entries were appended",
        "violation: durability at 31.407 s",
        "INVALID: 97.30 %",
        "highest carried",
        "3,000 of 6,400 operations are drawn",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("INTERRUPTED"));
    check_links(&page);
    assert!(check_coordinates(&page) > 5_000);
}

#[test]
fn says_when_it_was_interrupted() {
    let report = Report { interrupted: true, ..sample::report() };
    assert!(page(&report).contains("<strong>INTERRUPTED</strong>"));
}

#[test]
fn any_part_may_be_missing() {
    let simulation = SimulationReport { seeds_requested: 10, ..SimulationReport::default() };
    let bare_steps = LoadReport {
        steps: vec![Default::default(); 3],
        seconds: vec![Default::default()],
        ..LoadReport::default()
    };
    let with_seed = |timeline: Option<Timeline>, verdict: SeedVerdict| {
        let seed = crate::model::SeedResult { timeline, verdict, ..Default::default() };
        SimulationReport { seeds: vec![seed], ..SimulationReport::default() }
    };
    let reports = [
        Report::default(),
        Report { simulation: Some(simulation), ..Report::default() },
        Report { load: Some(LoadReport::default()), ..Report::default() },
        Report { load: Some(bare_steps), ..Report::default() },
        Report { simulation: Some(with_seed(None, SeedVerdict::Violated)), ..Report::default() },
        Report {
            simulation: Some(with_seed(Some(Timeline::default()), SeedVerdict::HarnessFault)),
            ..Report::default()
        },
        Report {
            simulation: Some(with_seed(Some(Timeline::default()), SeedVerdict::Held)),
            ..Report::default()
        },
    ];
    for report in reports {
        let page = page(&report);
        check_links(&page);
        check_coordinates(&page);
        assert!(page.contains("Glossary"));
    }
}

#[test]
fn no_value_becomes_a_bad_coordinate() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e300, 1e-300] {
        let mut report = sample::report();
        report.elapsed_seconds = odd;
        let simulation = report.simulation.as_mut().unwrap();
        simulation.elapsed_seconds = odd;
        for seed in &mut simulation.seeds {
            seed.simulated_seconds = odd;
            seed.violations.iter_mut().for_each(|violation| violation.at_seconds = Some(odd));
            if let Some(timeline) = &mut seed.timeline {
                distort(timeline, odd, seed.seed == 61);
            }
        }
        let load = report.load.as_mut().unwrap();
        load.target_rps = odd;
        for (index, step) in load.steps.iter_mut().enumerate() {
            step.duration_seconds = odd;
            (step.client_cpus, step.cluster_cpus) = (odd, Some(odd));
            step.intended.mean_us = odd;
            step.intended.curve.push((odd, u64::MAX));
            if index % 2 == 0 {
                step.target_rps = odd;
            }
        }
        load.seconds.iter_mut().step_by(3).for_each(|second| second.at_seconds = odd);
        load.seconds[7].offered = u64::MAX;
        let page = page(&report);
        check_coordinates(&page);
        assert!(!page.contains("NaN"), "{odd}");
    }
}

fn distort(timeline: &mut Timeline, odd: f64, end_too: bool) {
    timeline.faults.iter_mut().step_by(2).for_each(|fault| fault.from_seconds = odd);
    timeline.faults.iter_mut().step_by(3).for_each(|fault| fault.to_seconds = odd);
    timeline.leaderships.iter_mut().step_by(2).for_each(|bar| bar.to_seconds = odd);
    timeline.operations.iter_mut().step_by(5).for_each(|dot| dot.latency_ms = odd);
    timeline.operations.iter_mut().step_by(7).for_each(|dot| dot.at_seconds = odd);
    if end_too {
        timeline.end_seconds = odd;
    }
}

#[test]
fn a_large_campaign_stays_a_page_that_opens() {
    let mut report = sample::report();
    let simulation = report.simulation.as_mut().unwrap();
    let bare = crate::model::SeedResult { timeline: None, ..simulation.seeds[17].clone() };
    simulation.seeds.extend((101..=10_000).map(|seed| crate::model::SeedResult { seed, ..bare.clone() }));
    let load = report.load.as_mut().unwrap();
    load.seconds = std::iter::repeat_n(load.seconds.clone(), 50).flatten().collect();
    let page = page(&report);
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
    check_links(&page);
}
