//! Processor use of this process by group of threads, told apart by the begin of their names.
//!
//! Linux only: the figures come from `/proc/self/task/*/stat`. Elsewhere there are none. A thread that
//! ended between two snapshots takes its share with it.

use std::collections::HashMap;
use std::time::Instant;

use crate::os;

/// Processor time of each thread of this process at one moment.
pub(crate) struct Snapshot {
    at: Instant,
    ticks_per_second: f64,
    threads: HashMap<String, Thread>,
}

struct Thread {
    name: String,
    ticks: u64,
}

impl Snapshot {
    /// Reads the figures, or `None` where the system has none.
    pub(crate) fn take() -> Option<Self> {
        let ticks_per_second = os::clock_ticks()?;
        let mut threads = HashMap::new();
        for entry in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
            // A thread may end between the listing and the reading.
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
            if let Some(thread) = parse(&stat) {
                threads.insert(entry.file_name().to_string_lossy().into_owned(), thread);
            }
        }
        Some(Self { at: Instant::now(), ticks_per_second, threads })
    }

    /// Processors that the threads with this prefix used since `earlier`; `None` if there is no such thread.
    pub(crate) fn processors_since(&self, earlier: &Self, prefix: &str) -> Option<f64> {
        let seconds = (self.at - earlier.at).as_secs_f64();
        let mut ticks = 0;
        let mut found = false;
        for (id, thread) in self.threads.iter().filter(|(_, thread)| thread.name.starts_with(prefix)) {
            found = true;
            ticks += thread.ticks.saturating_sub(earlier.threads.get(id).map_or(0, |thread| thread.ticks));
        }
        (found && seconds > 0.0).then(|| ticks as f64 / self.ticks_per_second / seconds)
    }
}

/// `12 (load-worker) S 1 2 ...`: the name may itself hold brackets and spaces, so the last bracket counts.
fn parse(stat: &str) -> Option<Thread> {
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    // After the name come field 3 (state) and on; user and system time are fields 14 and 15.
    let mut times = tail.split_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(Thread { name, ticks: user + system })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_is_read_whole() {
        let thread =
            parse("12 (load-a) b)) S 1 2 3 4 5 6 7 8 9 10 70 7 0 0 20 0").expect("a well formed line");
        assert_eq!(thread.name, "load-a) b)");
        assert_eq!(thread.ticks, 77);
    }

    #[test]
    fn a_damaged_line_is_left_out() {
        assert!(parse("12 (load-worker) S 1").is_none());
        assert!(parse("").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_busy_thread_is_counted_under_its_name() {
        let before = Snapshot::take().expect("Linux has the figures");
        let busy = std::thread::Builder::new().name("busy-1".to_owned());
        let (after, used) = busy
            .spawn(move || {
                let begin = Instant::now();
                while begin.elapsed().as_millis() < 120 {
                    std::hint::spin_loop();
                }
                let after = Snapshot::take().expect("Linux has the figures");
                let used = after.processors_since(&before, "busy-");
                (after, used.expect("this very thread has the name"))
            })
            .expect("a thread can be started")
            .join()
            .expect("the thread does not panic");
        assert!(used > 0.1, "{used} processors");
        assert!(after.processors_since(&after, "no-such-").is_none());
    }
}
