//! Clocks of machines: each fault shows, is counted, and ends; monotonic time never goes back.

use crate::stage::{MS, SECOND, idle, on, simulate};
use rt::sim::World;
use rt::sim::clock::ClockFault;
use rt::sim::machine::MachineId;
use rt::time::{Instant, sleep, sleep_until, timeout, wall_ms};
use std::sync::Arc;
use std::time::Duration;
use tests::random::Random;

const HOUR_MS: i64 = 3_600_000;

/// What a machine's wall clock is ahead of the world's, in milliseconds.
async fn wall_ahead_ms(world: &World, machine: MachineId) -> i64 {
    let shown = on(world, machine, async { wall_ms() }).await;
    assert_eq!(shown, world.machine_wall_ms(machine), "judges and nodes see one clock");
    shown.cast_signed() - wall_ms().cast_signed()
}

/// How long the world takes for a sleep of `length` on a machine, to the millisecond.
async fn slept(world: &World, machine: MachineId, length: Duration) -> Duration {
    let begin = Instant::now();
    on(world, machine, async move { sleep(length).await }).await;
    Duration::from_millis(u64::try_from(begin.elapsed().as_millis()).unwrap())
}

async fn instant_of(world: &World, machine: MachineId) -> Instant {
    on(world, machine, async { Instant::now() }).await
}

#[test]
fn each_machine_and_each_life_has_monotonic_time_of_its_own() {
    simulate(|world| async move {
        let (one, other) = (idle(&world, 1), idle(&world, 2));
        let (at_one, at_other) = (instant_of(&world, one).await, instant_of(&world, other).await);
        let apart = (at_one - at_other).max(at_other - at_one);
        assert!(apart > 60 * SECOND, "two machines that look as if they had booted together");
        let last_life = at_one;
        world.crash(one);
        world.start(one);
        let next_life = instant_of(&world, one).await;
        assert!((last_life - next_life).max(next_life - last_life) > 60 * SECOND);
        // Within a life the clock goes on as the world's does.
        let begin = (instant_of(&world, other).await, Instant::now());
        sleep(7 * SECOND).await;
        let passed = (instant_of(&world, other).await - begin.0, begin.1.elapsed());
        assert!(passed.0.abs_diff(passed.1) < MS, "{passed:?}");
        assert_eq!(wall_ahead_ms(&world, one).await, 0);
        assert_eq!(wall_ahead_ms(&world, other).await, 0);
    });
}

#[test]
fn an_offset_moves_the_wall_clock_while_it_is_in_force() {
    simulate(|world| async move {
        let (one, other) = (idle(&world, 1), idle(&world, 2));
        let ahead = world.disturb_clock(one, ClockFault::Offset { ms: 2 * HOUR_MS });
        assert_eq!(world.bites(ahead), 0, "nobody looked");
        assert_eq!(wall_ahead_ms(&world, one).await, 2 * HOUR_MS);
        assert_eq!(world.bites(ahead), 1);
        let behind = world.disturb_clock(one, ClockFault::Offset { ms: -3 * HOUR_MS });
        assert_eq!(wall_ahead_ms(&world, one).await, -HOUR_MS, "faults of one clock add up");
        assert_eq!(wall_ahead_ms(&world, other).await, 0, "its neighbour's clock is its own");
        assert_eq!(slept(&world, one, SECOND).await, SECOND, "monotonic time has no part in it");
        assert_eq!((world.mend(ahead), world.mend(behind)), (2, 1));
        assert_eq!(wall_ahead_ms(&world, one).await, 0);
        assert_eq!(world.bites(ahead), 2);
    });
}

#[test]
fn a_jump_stays_after_its_end_and_does_not_reach_before_1970() {
    simulate(|world| async move {
        let one = idle(&world, 1);
        let jump = world.disturb_clock(one, ClockFault::Jump { ms: -5 * HOUR_MS });
        assert_eq!(wall_ahead_ms(&world, one).await, -5 * HOUR_MS);
        assert_eq!(world.mend(jump), 1);
        assert_eq!(wall_ahead_ms(&world, one).await, -5 * HOUR_MS);
        assert_eq!(world.bites(jump), 1, "what has ended bites nobody");
        world.crash(one);
        world.start(one);
        assert_eq!(wall_ahead_ms(&world, one).await, -5 * HOUR_MS, "a restart sets no clock");
        world.disturb_clock(one, ClockFault::Jump { ms: i64::MIN });
        assert_eq!(world.machine_wall_ms(one), 0);
    });
}

#[test]
fn a_strobe_flips_between_off_and_right() {
    simulate(|world| async move {
        let one = idle(&world, 1);
        let fault = ClockFault::Strobe { ms: 500, period: 100 * MS };
        let strobe = world.disturb_clock(one, fault);
        let mut seen = Vec::new();
        for _ in 0..6 {
            seen.push(wall_ahead_ms(&world, one).await);
            sleep(100 * MS).await;
        }
        assert_eq!(seen, [500, 0, 500, 0, 500, 0]);
        assert_eq!(world.mend(strobe), 3, "it bites while it is off");
        assert_eq!(wall_ahead_ms(&world, one).await, 0);
    });
}

#[test]
fn drift_stretches_and_shortens_sleeps_on_both_clocks() {
    simulate(|world| async move {
        let (one, other) = (idle(&world, 1), idle(&world, 2));
        for (ppm, lasts) in [(1_000_000, 500 * MS), (-500_000, 2 * SECOND), (250_000, 800 * MS)] {
            let drift = world.disturb_clock(one, ClockFault::Drift { ppm });
            let (wall, monotonic) = (wall_ahead_ms(&world, one).await, instant_of(&world, one).await);
            assert_eq!(slept(&world, one, SECOND).await, lasts, "{ppm} ppm");
            assert_eq!(slept(&world, other, SECOND).await, SECOND);
            let passed = lasts + SECOND;
            let gain_ms = i64::try_from(passed.as_millis()).unwrap() * ppm / 1_000_000;
            let gained = wall_ahead_ms(&world, one).await - wall;
            assert!((gained - gain_ms).abs() <= 1, "{ppm} ppm: {gained} ms");
            let went = instant_of(&world, one).await - monotonic;
            let expected = passed.as_millis() as i64 + gain_ms;
            assert!((went.as_millis() as i64 - expected).abs() <= 1, "{ppm} ppm: {went:?}");
            assert!(world.mend(drift) >= 4);
            assert_eq!(slept(&world, one, SECOND).await, SECOND, "the end of a drift");
            let after = wall_ahead_ms(&world, one).await;
            assert!((after - wall - gained).abs() <= 1, "what it gained stays");
        }
    });
}

#[test]
fn pending_sleeps_follow_the_clock_when_a_drift_begins_or_ends() {
    simulate(|world| async move {
        let one = idle(&world, 1);
        let begin = Instant::now();
        let sleeper = |length| world.spawn_on(one, async move { sleep(length).await });
        let (long, short) = (sleeper(100 * SECOND), sleeper(SECOND));
        short.await.unwrap();
        // From now on twice as fast: the 99 s that are left of the long one take 49.5 s.
        let fast = world.disturb_clock(one, ClockFault::Drift { ppm: 1_000_000 });
        let begun = sleeper(98 * SECOND);
        sleep(19 * SECOND).await;
        world.mend(fast);
        // It has counted 39 s; the last 61 s pass at half the speed.
        world.disturb_clock(one, ClockFault::Drift { ppm: -500_000 });
        begun.await.unwrap();
        let took = begin.elapsed();
        assert!(took.abs_diff(140 * SECOND) < MS, "set during a drift: {took:?}");
        long.await.unwrap();
        let took = begin.elapsed();
        assert!(took.abs_diff(142 * SECOND) < MS, "set before a drift: {took:?}");
        // One that the supervisor made is on the supervisor's clock, wherever it runs.
        let (begin, foreign) = (Instant::now(), sleep(SECOND));
        world.spawn_on(one, foreign).await.unwrap();
        assert!(begin.elapsed().abs_diff(SECOND) < MS);
    });
}

#[test]
fn a_paused_machine_finds_its_clock_gone_on() {
    simulate(|world| async move {
        let one = idle(&world, 1);
        let paused = world.spawn_on(one, async {
            let begin = Instant::now();
            let in_time = timeout(2 * SECOND, sleep(SECOND)).await.is_ok();
            (in_time, begin.elapsed())
        });
        sleep(500 * MS).await;
        world.pause(one);
        sleep(30 * SECOND).await;
        world.resume(one);
        let (in_time, took) = paused.await.unwrap();
        assert!(in_time, "both ended meanwhile: what is ready counts");
        assert!(took.abs_diff(30 * SECOND + 500 * MS) < 50 * MS, "{took:?}");
    });
}

/// Any fault, of any size.
fn some_fault(random: &mut Random) -> ClockFault {
    let ms = random.between(0, 2_000_000_000).cast_signed() - 1_000_000_000;
    match random.below(4) {
        0 => ClockFault::Offset { ms },
        1 => ClockFault::Jump { ms },
        2 => ClockFault::Drift { ppm: random.between(0, 12_000_000).cast_signed() - 2_000_000 },
        _ => ClockFault::Strobe { ms, period: Duration::from_micros(random.between(0, 50_000)) },
    }
}

/// Reads and sleeps for ever; says how often it did.
async fn observe(turns: Arc<std::sync::atomic::AtomicU64>) {
    let mut last = Instant::now();
    for round in 0.. {
        let deadline = last + Duration::from_micros(round * 37 % 5_000);
        sleep_until(deadline).await;
        let now = Instant::now();
        assert!(now >= last, "monotonic time went back");
        assert!(now >= deadline, "a sleep ended early");
        (last, _) = (now, wall_ms());
        turns.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn monotonic_time_never_goes_back_and_no_sleep_is_early_under_any_mix() {
    simulate(|world| async move {
        let mut random = Random::new(world.machine_wall_ms(idle(&world, 2)));
        let one = idle(&world, 1);
        let turns = Arc::<std::sync::atomic::AtomicU64>::default();
        let observer = world.spawn_on(one, observe(turns.clone()));
        let (mut in_force, mut bites) = (Vec::new(), 0);
        for _ in 0..300 {
            match random.below(4) {
                0 | 1 => in_force.push(world.disturb_clock(one, some_fault(&mut random))),
                2 if !in_force.is_empty() => {
                    bites += world.mend(in_force.swap_remove(random.below(in_force.len())));
                }
                _ if world.pause(one) => {
                    sleep(Duration::from_micros(random.between(0, 20_000))).await;
                    world.resume(one);
                }
                _ => {}
            }
            let before = turns.load(std::sync::atomic::Ordering::Relaxed);
            sleep(Duration::from_micros(random.between(60_000, 90_000))).await;
            // At a tenth of the speed the longest sleep takes 50 ms of the world.
            assert!(turns.load(std::sync::atomic::Ordering::Relaxed) > before, "a sleep never ended");
        }
        assert!(!observer.is_finished(), "the observer failed");
        assert!(bites > 1000, "{bites} bites");
    });
}
