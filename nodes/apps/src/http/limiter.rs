//! A sliding-window limiter: at most so many requests of a client in *any* window, wherever it begins.
//!
//! Pure: it is told the time, on the node's monotonic clock, so no step of the wall clock moves a limit.
//! It remembers the moment of every admission of the last window, and nothing older. A client that was
//! quiet for a window is forgotten, which changes nothing for it. When the table is full of clients that
//! were not quiet, newcomers wait: nobody's memory is dropped early, so nobody exceeds its rate.
//!
//! Leaves out: limits across nodes, and across a node's restarts. Each life of a node counts for itself.

use rt::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

/// Clients known at a time.
pub const MAX_CLIENTS: usize = 10_000;
/// Admissions remembered at a time, of all clients together: 16 bytes each.
pub const MAX_REMEMBERED: usize = 1 << 20;

/// How long a refused client has to wait, at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub Duration);

/// Counts the admissions of clients named by `K`.
#[derive(Debug)]
pub struct Limiter<K> {
    limit: usize,
    window: Duration,
    max_clients: usize,
    max_remembered: usize,
    remembered: usize,
    /// Admissions of the last window, oldest first. Never empty.
    admitted: BTreeMap<K, VecDeque<Instant>>,
    /// Clients by their last admission.
    by_last: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Clone> Limiter<K> {
    /// At most `limit` admissions of a client within `window`.
    pub fn new(limit: NonZeroU32, window: Duration) -> Self {
        Limiter {
            limit: limit.get() as usize,
            window,
            max_clients: MAX_CLIENTS,
            max_remembered: MAX_REMEMBERED,
            remembered: 0,
            admitted: BTreeMap::new(),
            by_last: BTreeSet::new(),
        }
    }

    /// Admits a request of `client`, or refuses it. A refusal costs the client nothing.
    ///
    /// # Errors
    /// [`RetryAfter`] if the client had its share, or if there is no room to remember it.
    pub fn admit(&mut self, client: &K, now: Instant) -> Result<(), RetryAfter> {
        self.forget_quiet(now);
        if let Some(admitted) = self.admitted.get_mut(client) {
            while admitted.len() > 1 && admitted.front().is_some_and(|at| now - *at >= self.window) {
                admitted.pop_front();
                self.remembered -= 1;
            }
            if admitted.len() >= self.limit
                && let Some(oldest) = admitted.front()
            {
                return Err(RetryAfter((*oldest + self.window) - now));
            }
        } else if self.admitted.len() >= self.max_clients {
            return Err(self.when_there_is_room(now));
        }
        if self.remembered >= self.max_remembered {
            return Err(self.when_there_is_room(now));
        }
        self.remember(client, now);
        Ok(())
    }

    /// Clients that are remembered.
    pub fn clients(&self) -> usize {
        self.admitted.len()
    }

    fn remember(&mut self, client: &K, now: Instant) {
        let admitted = self.admitted.entry(client.clone()).or_default();
        if let Some(last) = admitted.back() {
            self.by_last.remove(&(*last, client.clone()));
        }
        admitted.push_back(now);
        self.remembered += 1;
        self.by_last.insert((now, client.clone()));
    }

    fn forget_quiet(&mut self, now: Instant) {
        while let Some((last, _)) = self.by_last.first()
            && now - *last >= self.window
            && let Some((_, client)) = self.by_last.pop_first()
        {
            let forgotten = self.admitted.remove(&client).map_or(0, |admitted| admitted.len());
            self.remembered -= forgotten;
        }
    }

    /// When the client that has been quiet for longest will be forgotten.
    fn when_there_is_room(&self, now: Instant) -> RetryAfter {
        let last = self.by_last.first().map_or(now, |(last, _)| *last);
        RetryAfter((last + self.window) - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    fn limiter(limit: u32) -> Limiter<u32> {
        Limiter::new(NonZeroU32::new(limit).unwrap(), SECOND)
    }

    #[test]
    fn a_share_comes_back_when_its_admission_is_a_window_old() {
        let (mut limiter, begin) = (limiter(2), Instant::now());
        assert_eq!(limiter.admit(&1, begin), Ok(()));
        assert_eq!(limiter.admit(&1, begin + 900 * MS), Ok(()));
        assert_eq!(limiter.admit(&1, begin + 950 * MS), Err(RetryAfter(50 * MS)));
        assert_eq!(limiter.admit(&2, begin + 950 * MS), Ok(()), "another client has its own share");
        assert_eq!(limiter.admit(&1, begin + 999 * MS), Err(RetryAfter(MS)));
        assert_eq!(limiter.admit(&1, begin + 1000 * MS), Ok(()));
        // A counter that begins anew each second would let four through within a tenth of one.
        assert_eq!(limiter.admit(&1, begin + 1001 * MS), Err(RetryAfter(899 * MS)));
    }

    #[test]
    fn no_window_holds_more_than_the_limit_and_who_waits_as_told_gets_in() {
        let (mut limiter, begin) = (limiter(7), Instant::now());
        let (mut at, mut state, mut admitted) = (begin, 1u64, Vec::new());
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            at = at + Duration::from_micros((state >> 33) % 90_000);
            match limiter.admit(&1, at) {
                Ok(()) => admitted.push(at),
                Err(RetryAfter(wait)) => {
                    assert!(wait > Duration::ZERO && wait <= SECOND);
                    at = at + wait;
                    assert_eq!(limiter.admit(&1, at), Ok(()), "it waited as it was told");
                    admitted.push(at);
                }
            }
        }
        assert!(admitted.windows(8).all(|eight| eight[7] - eight[0] >= SECOND));
    }

    #[test]
    fn a_full_table_keeps_newcomers_out_and_forgets_only_the_quiet() {
        let (mut limiter, begin) = (limiter(1), Instant::now());
        limiter.max_clients = 3;
        for client in 0..3u32 {
            assert_eq!(limiter.admit(&client, begin + 100 * MS * client), Ok(()));
        }
        assert_eq!(limiter.admit(&9, begin + 300 * MS), Err(RetryAfter(700 * MS)));
        assert_eq!(limiter.admit(&0, begin + 300 * MS), Err(RetryAfter(700 * MS)), "not forgotten");
        assert_eq!(limiter.admit(&9, begin + SECOND), Ok(()), "client 0 was quiet for a window");
        assert_eq!(limiter.admit(&0, begin + SECOND), Err(RetryAfter(100 * MS)), "now it is the newcomer");
        assert_eq!(limiter.clients(), 3);
        assert_eq!(limiter.admit(&5, begin + 60 * SECOND), Ok(()));
        assert_eq!((limiter.clients(), limiter.remembered), (1, 1));
    }

    #[test]
    fn what_is_remembered_is_bounded_over_all_clients() {
        let (mut limiter, begin) = (limiter(100), Instant::now());
        limiter.max_remembered = 150;
        let admitted = (0..400u32).filter(|n| limiter.admit(&(n % 2), begin).is_ok()).count();
        assert_eq!((admitted, limiter.remembered), (150, 150));
        assert_eq!(limiter.admit(&0, begin + SECOND), Ok(()));
        assert_eq!(limiter.remembered, 1);
    }

    #[test]
    fn a_clock_that_seems_to_go_back_admits_nothing_more() {
        let (mut limiter, begin) = (limiter(1), Instant::now());
        assert_eq!(limiter.admit(&1, begin + SECOND), Ok(()));
        assert!(limiter.admit(&1, begin).is_err());
    }
}
