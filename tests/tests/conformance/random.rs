//! Randomness: no two draws alike. That a simulation repeats its draws is shown in `simulation`.

use crate::arms::Place;
use rt::random;
use std::collections::BTreeSet;

both_arms! {
    draws_differ,
    every_byte_is_drawn,
    nothing_is_drawn_for_nothing,
}

async fn draws_differ(_: Place) {
    let numbers: BTreeSet<u64> = (0..100).map(|_| random::u64()).collect();
    assert_eq!(numbers.len(), 100);
    let (mut one, mut other) = ([0; 32], [0; 32]);
    random::fill(&mut one);
    random::fill(&mut other);
    assert_ne!(one, other);
}

async fn every_byte_is_drawn(_: Place) {
    // A byte is zero in one draw of 256; that one of these is so eight times has odds of one in 2^47.
    const LEN: usize = 100_000;
    let mut ever_set = vec![0u8; LEN];
    for _ in 0..8 {
        let mut bytes = vec![0u8; LEN];
        random::fill(&mut bytes);
        ever_set.iter_mut().zip(&bytes).for_each(|(ever, byte)| *ever |= byte);
    }
    assert!(ever_set.iter().all(|&byte| byte != 0));
}

async fn nothing_is_drawn_for_nothing(_: Place) {
    random::fill(&mut []);
}
