//! A sliding-window limiter: at most so many requests of a client in *any* window, wherever it begins.
//!
//! Pure: it is told the time, on the node's monotonic clock, so no step of the wall clock moves a limit.
//! It remembers the moment of every admission of the last window, in a ring for each client, and nothing
//! older. A client that was quiet for a window is forgotten, which changes nothing for it. When the table is
//! full of clients that were not quiet, newcomers wait: nobody's memory is dropped early, so nobody exceeds
//! its rate.
//!
//! A request of a client that is known costs no allocation once its ring is as long as it gets; places and
//! rings of forgotten clients are used again.
//!
//! Leaves out: limits across nodes, and across a node's restarts. Each life of a node counts for itself.

use rt::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

/// Clients known at a time.
pub const MAX_CLIENTS: usize = 10_000;
/// Admissions remembered at a time, of all clients together: 16 bytes each.
pub const MAX_REMEMBERED: usize = 1 << 20;
/// A forgotten client's ring is kept for the next one up to this length.
const KEPT_RING: usize = 64;

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
    places: BTreeMap<K, usize>,
    clients: Vec<Client<K>>,
    free: Vec<usize>,
    /// Ends of the list of clients by their last admission.
    quietest: Option<usize>,
    newest: Option<usize>,
}

/// A client, linked to those that were admitted just before and after it.
#[derive(Debug)]
struct Client<K> {
    key: K,
    /// Admissions of the last window, oldest first. Never empty while the client is known.
    admitted: VecDeque<Instant>,
    before: Option<usize>,
    after: Option<usize>,
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
            places: BTreeMap::new(),
            clients: Vec::new(),
            free: Vec::new(),
            quietest: None,
            newest: None,
        }
    }

    /// Admits a request of `client`, or refuses it. A refusal costs the client nothing.
    ///
    /// # Errors
    /// [`RetryAfter`] if the client had its share, or if there is no room to remember it.
    pub fn admit(&mut self, client: &K, now: Instant) -> Result<(), RetryAfter> {
        self.forget_quiet(now);
        let known = self.places.get(client).copied();
        if let Some(place) = known {
            let admitted = &mut self.clients[place].admitted;
            while admitted.len() > 1 && admitted.front().is_some_and(|at| now - *at >= self.window) {
                admitted.pop_front();
                self.remembered -= 1;
            }
            if admitted.len() >= self.limit
                && let Some(oldest) = admitted.front()
            {
                return Err(RetryAfter((*oldest + self.window) - now));
            }
        } else if self.places.len() >= self.max_clients {
            return Err(self.when_there_is_room(now));
        }
        if self.remembered >= self.max_remembered {
            return Err(self.when_there_is_room(now));
        }
        let place = match known {
            Some(place) => {
                self.unlink(place);
                place
            }
            None => self.take_in(client),
        };
        self.clients[place].admitted.push_back(now);
        self.remembered += 1;
        self.link_newest(place);
        Ok(())
    }

    /// Clients that are remembered.
    pub fn clients(&self) -> usize {
        self.places.len()
    }

    fn take_in(&mut self, client: &K) -> usize {
        let place = if let Some(place) = self.free.pop() {
            self.clients[place].key = client.clone();
            place
        } else {
            let new = Client { key: client.clone(), admitted: VecDeque::new(), before: None, after: None };
            self.clients.push(new);
            self.clients.len() - 1
        };
        self.places.insert(client.clone(), place);
        place
    }

    fn link_newest(&mut self, place: usize) {
        let before = self.newest.replace(place);
        self.clients[place].before = before;
        self.clients[place].after = None;
        match before {
            Some(before) => self.clients[before].after = Some(place),
            None => self.quietest = Some(place),
        }
    }

    fn unlink(&mut self, place: usize) {
        let (before, after) = (self.clients[place].before, self.clients[place].after);
        match before {
            Some(before) => self.clients[before].after = after,
            None => self.quietest = after,
        }
        match after {
            Some(after) => self.clients[after].before = before,
            None => self.newest = before,
        }
    }

    fn last(&self, place: usize) -> Option<Instant> {
        self.clients[place].admitted.back().copied()
    }

    fn forget_quiet(&mut self, now: Instant) {
        while let Some(place) = self.quietest
            && self.last(place).is_none_or(|last| now - last >= self.window)
        {
            self.unlink(place);
            let client = &mut self.clients[place];
            self.remembered -= client.admitted.len();
            client.admitted.clear();
            client.admitted.shrink_to(KEPT_RING);
            self.places.remove(&client.key);
            self.free.push(place);
        }
    }

    /// When the client that has been quiet for longest will be forgotten.
    fn when_there_is_room(&self, now: Instant) -> RetryAfter {
        let last = self.quietest.and_then(|place| self.last(place)).unwrap_or(now);
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
