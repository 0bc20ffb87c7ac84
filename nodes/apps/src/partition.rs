//! From a name to its partition: a fixed 64-bit hash, then jump consistent hash.
//!
//! Part of the data format: XXH64 with seed 0 over the name's bytes, jump hash (Lamping and Veach 2014)
//! over the number of partitions, which is fixed when a cluster is created. Partition `p` is raft group
//! `p + 1`.

use replica::GroupId;

/// The group that holds `name` among `partitions` (at least 1).
pub fn group_of(name: &str, partitions: u32) -> GroupId {
    let hash = xxhash_rust::xxh64::xxh64(name.as_bytes(), 0);
    let buckets = i64::from(partitions.max(1));
    let mut bucket = 0i64;
    let mut next = 0i64;
    let mut state = hash;
    while next < buckets {
        bucket = next;
        state = state.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let draw = (1u64 << 31) as f64 / ((state >> 33) + 1) as f64;
        next = ((bucket + 1) as f64 * draw) as i64;
    }
    bucket.unsigned_abs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_does_not_change() {
        // Golden values: data written by one version must be found by the next.
        let found: Vec<GroupId> =
            ["cpu_usage", "memory", "", "a", "müll"].iter().map(|name| group_of(name, 4)).collect();
        assert_eq!(found, GOLDEN);
    }

    #[test]
    fn growing_moves_only_to_the_new_partition() {
        for i in 0..2000 {
            let name = format!("metric-{i}");
            let (before, after) = (group_of(&name, 7), group_of(&name, 8));
            assert!(after == before || after == 8, "{name}: {before} to {after}");
        }
    }

    #[test]
    fn names_spread() {
        let mut counts = [0; 4];
        (0..4000).for_each(|i| counts[group_of(&format!("metric-{i}"), 4) as usize - 1] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    const GOLDEN: [GroupId; 5] = [1, 2, 3, 2, 3];
}
