//! Marks in the code: trouble on purpose, laws, states to be reached; the catalogue of all of them.

use crate::stage::{MS, SECOND, idle, on, run};
use crate::trio::trio;
use rt::sim::sites::{Kind, SiteCount};
use rt::sim::{Options, World, sites};
use rt::time::sleep;
use std::collections::BTreeSet;

const TURNS: u64 = 400;

/// Comes by some sites, and says which turns made trouble.
async fn come_by() -> Vec<(u64, u8)> {
    let mut trouble = Vec::new();
    for turn in 0..TURNS {
        let fired = [
            rt::buggify!("test: site one"),
            rt::buggify!("test: site two"),
            rt::buggify!("test: site three, often", 0.5),
            rt::buggify!("test: site four, always", 1.0),
            rt::buggify!("test: site five, never", 0.0),
        ];
        trouble.extend(fired.into_iter().zip(1..).filter(|(fired, _)| *fired).map(|(_, site)| (turn, site)));
        rt::sometimes!(turn == 7, "test: the seventh turn came");
        rt::sometimes!(turn == TURNS, "test: a turn too many came");
        rt::always!(turn != 9, "test: no turn is the ninth", "turn {turn} of {TURNS}");
        rt::always!(turn < TURNS, "test: turns have an end");
        if turn > 300 {
            rt::reachable!("test: the late turns");
        }
        sleep(MS).await;
    }
    trouble
}

fn count_of(counts: &[SiteCount], name: &str) -> SiteCount {
    *counts.iter().find(|count| count.site.name() == name).expect("a site of this program")
}

fn ran(seed: u64, buggify: bool) -> (Vec<(u64, u8)>, Vec<SiteCount>, u64) {
    run(seed, Options { buggify, ..Options::default() }, |world| async move {
        let machine = idle(&world, 1);
        let trouble = on(&world, machine, come_by()).await;
        let hash = world.trace().hash();
        (trouble, world.site_counts(), hash)
    })
}

#[test]
fn trouble_is_made_by_the_seed_alone_and_only_where_it_is_asked_for() {
    let mut seen = BTreeSet::new();
    let mut often = Vec::new();
    for seed in 0..40 {
        let (trouble, counts, hash) = ran(seed, true);
        let (again, _, same_hash) = ran(seed, true);
        assert_eq!((&trouble, hash), (&again, same_hash), "seed {seed} is another one the second time");
        for (number, name) in [(1, "test: site one"), (3, "test: site three, often")] {
            let count = count_of(&counts, name);
            let fired = trouble.iter().filter(|(_, site)| *site == number).count() as u64;
            assert_eq!((count.evaluated, count.reached), (TURNS, fired));
            assert!(count.on || fired == 0, "{name} is off and fires");
        }
        let three = count_of(&counts, "test: site three, often");
        often.extend(three.on.then_some(three.reached));
        seen.extend(trouble.iter().map(|(_, site)| *site));
        assert!(ran(seed, false).0.is_empty(), "seed {seed} makes trouble that nobody asked for");
    }
    assert_eq!(seen, BTreeSet::from([1, 2, 3, 4]), "what fires in some seed");
    // One seed in four, and half of the turns then.
    assert!((4..=18).contains(&often.len()), "on in {} of 40 seeds", often.len());
    assert!(often.iter().all(|fired| (150..=250).contains(fired)), "{often:?}");
}

#[test]
fn sites_have_luck_of_their_own() {
    let on_in = |name| {
        let is_on = |seed: &u64| {
            let counts = run(*seed, Options { buggify: true, ..Options::default() }, |world| async move {
                world.site_counts()
            });
            count_of(&counts, name).on
        };
        (0..60).filter(is_on).collect::<Vec<u64>>()
    };
    assert_ne!(on_in("test: site one"), on_in("test: site two"));
}

#[test]
fn states_are_counted_and_broken_laws_are_told_with_time_and_machine() {
    let (counts, broken) = run(3, Options::default(), |world| async move {
        idle(&world, 1);
        let machine = idle(&world, 2);
        on(&world, machine, come_by()).await;
        (world.site_counts(), world.broken_laws())
    });
    let reached = |name| {
        let count = count_of(&counts, name);
        (count.evaluated, count.reached)
    };
    assert_eq!(reached("test: the seventh turn came"), (TURNS, 1));
    assert_eq!(reached("test: a turn too many came"), (TURNS, 0));
    assert_eq!(reached("test: the late turns"), (99, 99));
    assert_eq!(reached("test: no turn is the ninth"), (TURNS, 1));
    assert_eq!(reached("test: turns have an end"), (TURNS, 0));
    let [broken] = &broken[..] else { panic!("{broken:?}") };
    assert_eq!((broken.machine, broken.at_ns / 1_000_000), (2, 9));
    let text = broken.to_string();
    assert!(text.contains("no turn is the ninth") && text.ends_with(": turn 9 of 400"), "{text}");
    assert!(broken.site.reached() >= 1, "the process counts along");
}

#[test]
fn every_site_has_a_name_of_its_own_and_is_known_before_it_is_reached() {
    let all = sites();
    for pair in all.windows(2) {
        let (one, other) = (pair[0], pair[1]);
        let same = one.kind() == other.kind() && one.name() == other.name();
        assert!(!same, "{:?} and {:?}: two sites named {:?}", one.place(), other.place(), one.name());
    }
    let unreached = all.iter().find(|site| site.name() == "test: never come by");
    assert_eq!(unreached.expect("it is linked into this program").kind(), Kind::Reachable);
    assert!(all.iter().all(|site| !site.name().is_empty() && site.place().1 > 0));
    let of_nodes = all.iter().filter(|site| site.place().0.contains("nodes/")).count();
    assert!(of_nodes >= 20, "{of_nodes} sites in the nodes");
}

/// A site that no test reaches.
#[allow(dead_code, reason = "it stands here to be found by the linker")]
pub fn never_called(_: &World) {
    rt::reachable!("test: never come by");
}

#[test]
fn marks_in_the_nodes_make_trouble_and_break_no_promise() {
    let (mut fired, mut reached) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..12 {
        let options = Options { buggify: true, ..Options::default() };
        let (counts, broken, (done, failed)) = run(seed, options, |world| async move {
            let trio = trio(&world, |options| {
                options.tuning.compact_after_entries = 40;
                options.tuning.trailing_entries = 3;
            })
            .await;
            let mut sums = (0, 0);
            for node in &trio.nodes {
                let (done, failed) = trio.write(&world, 5 * SECOND).await;
                sums = (sums.0 + done, sums.1 + failed);
                world.power_loss(*node);
                let (done, failed) = trio.write(&world, 5 * SECOND).await;
                sums = (sums.0 + done, sums.1 + failed);
                world.start(*node);
            }
            world.stop_buggify();
            let (done, failed) = trio.write(&world, 5 * SECOND).await;
            assert!(failed == 0 && done > 20, "after all trouble {done} writes were done, {failed} not");
            (world.site_counts(), world.broken_laws(), sums)
        });
        assert!(broken.is_empty(), "seed {seed}: {broken:?}");
        assert!(done > 10 * failed, "seed {seed}: {done} writes were done, {failed} not");
        for count in counts.iter().filter(|count| count.reached > 0) {
            let seen = if count.site.kind() == Kind::Buggify { &mut fired } else { &mut reached };
            seen.insert(count.site.name());
        }
    }
    assert!(fired.len() >= 8, "of {fired:?}");
    for state in [
        "driver: a log was compacted",
        "driver: leadership was handed over to the group's home",
        "driver: a snapshot was installed over a log with entries",
        "gateway: a refusal named the leader",
        "gateway: a request was forwarded to another node",
        "group: a retry was answered from the dedup table",
    ] {
        assert!(reached.contains(state), "{state}: never; only {reached:?}");
    }
}
