//! Tests of the recorder: shards become one, and what comes too late does not count.

use std::time::Duration;

use reports::model::LatencySummary;

use super::*;
use crate::latency::summary;

fn ticket(step: usize, measured: bool, due: Instant) -> Ticket {
    Ticket { seq: 0, step, due, measured, late_from_pacer: false }
}

#[test]
fn shards_of_several_threads_become_one() {
    let recorder = Recorder::new(3, 2);
    let due = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..6_u64 {
            let recorder = &recorder;
            scope.spawn(move || {
                for k in 0..1_000 {
                    let ticket = ticket(0, true, due);
                    let sent = due + Duration::from_millis(1);
                    recorder.sent(&ticket, (k % 2) as usize, sent, true);
                    let result = if thread == 0 { Err(Failure::Status(503)) } else { Ok(()) };
                    let end = sent + Duration::from_micros(100 * (k + 1));
                    recorder.answered(&ticket, (k % 2) as usize, (sent, end), result);
                }
            });
        }
    });
    assert_eq!(recorder.finished(), 6_000);
    let second = recorder.take_second();
    assert_eq!((second.sent, second.ok, second.failed), (6_000, 5_000, 1_000));
    assert_eq!(recorder.take_second().sent, 0);
    let step = recorder.close_step();
    assert_eq!((step.sent, step.sent_on_time, step.ok), (6_000, 6_000, 5_000));
    assert_eq!(step.failures, BTreeMap::from([(Failure::Status(503), 1_000)]));
    let service = summary(&step.service);
    assert_eq!(service.count, 5_000);
    assert!(service.p50_us.abs_diff(50_000) < 100, "{}", service.p50_us);
    assert!(service.max_us.abs_diff(100_000) < 100, "{}", service.max_us);
    assert!(summary(&step.intended).p50_us.abs_diff(51_000) < 100);
    assert_eq!(service.curve.last().map(|point| point.0), Some(100.0));
    assert_eq!(recorder.series[1].sent.load(Ordering::Relaxed), 3_000);
    assert_eq!(recorder.series[1].acknowledged.load(Ordering::Relaxed), 2_500);
    assert_eq!(recorder.series[1].without_effect.load(Ordering::Relaxed), 0);
}

#[test]
fn the_settle_window_and_closed_steps_stay_out_of_a_step() {
    let recorder = Recorder::new(1, 1);
    let now = Instant::now();
    recorder.sent(&ticket(0, false, now), 0, now, true);
    recorder.answered(&ticket(0, false, now), 0, (now, now), Ok(()));
    recorder.sent(&ticket(0, true, now), 0, now, true);
    let first = recorder.close_step();
    assert_eq!((first.sent, first.ok), (1, 0));
    assert!(recorder.is_closed(&ticket(0, true, now)));
    assert!(!recorder.is_closed(&ticket(1, true, now)));
    recorder.answered(&ticket(0, true, now), 0, (now, now), Ok(()));
    assert_eq!(recorder.take_second().ok, 2);
    assert_eq!(recorder.close_step().ok, 0);
}

#[test]
fn lateness_is_the_clusters_only_when_nobody_was_free() {
    let recorder = Recorder::new(1, 1);
    let due = Instant::now();
    let late = due + Duration::from_millis(11);
    recorder.sent(&ticket(0, true, due), 0, late, false);
    recorder.sent(&ticket(0, true, due), 0, late, true);
    recorder.sent(&Ticket { late_from_pacer: true, ..ticket(0, true, due) }, 0, late, false);
    recorder.sent(&ticket(0, true, due), 0, due + Duration::from_millis(9), false);
    let step = recorder.close_step();
    assert_eq!((step.sent, step.sent_on_time, step.late_all_busy), (4, 1, 1));
}

#[test]
fn an_empty_histogram_has_an_empty_summary() {
    assert_eq!(summary(&latencies()), LatencySummary::default());
    let mut beyond = latencies();
    record(&mut beyond, Duration::from_secs(3_600));
    assert_eq!(summary(&beyond).count, 1);
}
