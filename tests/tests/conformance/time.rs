//! Clocks, sleeping and deadlines. Bounds are lower ones: a busy machine may always be late.

use crate::arms::Place;
use rt::time::{Elapsed, Instant, interval, sleep, sleep_until, timeout, timeout_at, wall_ms};
use std::future::pending;
use std::time::Duration;
use tokio::sync::oneshot;

both_arms! {
    a_sleep_lasts_at_least_as_long,
    a_sleep_into_the_past_ends_at_once,
    a_sleep_can_be_moved_to_later,
    a_sleep_can_be_moved_to_earlier,
    an_ended_sleep_can_be_used_again,
    a_timeout_ends_what_takes_too_long,
    a_timeout_lets_pass_what_is_ready,
    the_monotonic_clock_never_goes_back,
    differences_of_instants_never_go_below_zero,
    the_wall_clock_tells_a_date,
    an_interval_begins_after_one_period,
    an_interval_skips_missed_ticks,
    an_interval_survives_a_dropped_tick,
}

const MS: Duration = Duration::from_millis(1);

async fn a_sleep_lasts_at_least_as_long(_: Place) {
    for length in [Duration::ZERO, Duration::from_micros(300), 3 * MS, 40 * MS] {
        let begin = Instant::now();
        sleep(length).await;
        assert!(begin.elapsed() >= length, "{length:?}");
    }
    let deadline = Instant::now() + 10 * MS;
    sleep_until(deadline).await;
    assert!(Instant::now() >= deadline);
}

async fn a_sleep_into_the_past_ends_at_once(_: Place) {
    let past = Instant::now();
    sleep(5 * MS).await;
    sleep_until(past).await;
    sleep(Duration::ZERO).await;
}

async fn a_sleep_can_be_moved_to_later(_: Place) {
    let begin = Instant::now();
    let mut alarm = sleep(5 * MS);
    // Polled, so that its first deadline is known to the timers; a busy machine may even see it pass.
    let _ = timeout(MS, &mut alarm).await;
    alarm.reset(begin + 60 * MS);
    alarm.await;
    assert!(begin.elapsed() >= 60 * MS);
}

async fn a_sleep_can_be_moved_to_earlier(_: Place) {
    let mut alarm = sleep(Duration::from_secs(3600));
    assert_eq!(timeout(MS, &mut alarm).await, Err(Elapsed));
    alarm.reset(Instant::now() + MS);
    // The outer limit only keeps a failure short.
    assert_eq!(timeout(Duration::from_secs(20), alarm).await, Ok(()));
}

async fn an_ended_sleep_can_be_used_again(_: Place) {
    let mut alarm = sleep(MS);
    (&mut alarm).await;
    let again = Instant::now() + 10 * MS;
    alarm.reset(again);
    alarm.await;
    assert!(Instant::now() >= again);
}

async fn a_timeout_ends_what_takes_too_long(_: Place) {
    let (held, dropped) = oneshot::channel::<()>();
    let begin = Instant::now();
    let slow = async move {
        let _held = held;
        pending::<()>().await;
    };
    assert_eq!(timeout(15 * MS, slow).await, Err(Elapsed));
    assert!(begin.elapsed() >= 15 * MS);
    assert!(dropped.await.is_err(), "the future is dropped, not left behind");
    assert_eq!(timeout_at(begin, pending::<()>()).await, Err(Elapsed));
}

async fn a_timeout_lets_pass_what_is_ready(_: Place) {
    assert_eq!(timeout(Duration::from_secs(20), async { 5 }).await, Ok(5));
    // Ready counts even when the time is over as well.
    assert_eq!(timeout(Duration::ZERO, async { 6 }).await, Ok(6));
    let past = Instant::now();
    sleep(2 * MS).await;
    assert_eq!(timeout_at(past, async { 7 }).await, Ok(7));
}

async fn the_monotonic_clock_never_goes_back(_: Place) {
    let mut last = Instant::now();
    for round in 0..2000 {
        if round % 100 == 0 {
            sleep(MS / 10).await;
        }
        let now = Instant::now();
        assert!(now >= last);
        last = now;
    }
}

async fn differences_of_instants_never_go_below_zero(_: Place) {
    let now = Instant::now();
    let later = now + 10 * MS;
    assert_eq!(later - now, 10 * MS);
    assert_eq!(now - later, Duration::ZERO);
    assert_eq!(now.saturating_duration_since(later), Duration::ZERO);
    assert_eq!((now + Duration::from_secs(3600)).elapsed(), Duration::ZERO);
}

async fn the_wall_clock_tells_a_date(_: Place) {
    const YEAR_2020_MS: u64 = 1_577_836_800_000;
    const YEAR_2200_MS: u64 = 7_258_118_400_000;
    assert!((YEAR_2020_MS..YEAR_2200_MS).contains(&wall_ms()));
}

async fn an_interval_begins_after_one_period(_: Place) {
    let begin = Instant::now();
    let mut ticks = interval(10 * MS);
    for number in 1..=4 {
        ticks.tick().await;
        assert!(begin.elapsed() >= number * 10 * MS, "tick {number}");
    }
}

async fn an_interval_skips_missed_ticks(_: Place) {
    let mut ticks = interval(10 * MS);
    sleep(75 * MS).await;
    let late = Instant::now();
    // Overdue: it comes at once. The six that were missed do not.
    ticks.tick().await;
    ticks.tick().await;
    assert!(late.elapsed() >= 10 * MS);
    ticks.tick().await;
    assert!(late.elapsed() >= 20 * MS);
}

async fn an_interval_survives_a_dropped_tick(_: Place) {
    let begin = Instant::now();
    let mut ticks = interval(30 * MS);
    let mut given_up = 0;
    while timeout(2 * MS, ticks.tick()).await.is_err() {
        given_up += 1;
        assert!(given_up < 1000, "a tick comes although its waits were dropped");
    }
    assert!(begin.elapsed() >= 30 * MS);
}
