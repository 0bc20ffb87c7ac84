//! What this process has used, as the operating system counts it.

use std::time::Duration;

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time, of all threads, in user and system mode.
    pub cpu: Duration,
    /// Memory that lies in RAM.
    pub resident_bytes: u64,
}

/// What this process has used so far. A simulated node is no process: it has used nothing.
pub fn usage() -> Usage {
    #[cfg(feature = "sim")]
    if crate::sim::current().is_some() {
        return Usage::default();
    }
    Usage { cpu: cpu(), resident_bytes: resident_bytes().unwrap_or_default() }
}

#[allow(unsafe_code, reason = "the libc call has no safe form; it fills a struct of plain numbers")]
fn cpu() -> Duration {
    // SAFETY: all bits zero are a valid `rusage`: it holds nothing but numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a struct of that type that lives longer than the call.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } != 0;
    if failed {
        return Duration::ZERO;
    }
    let time = |time: libc::timeval| {
        let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default());
        seconds + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or_default())
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// From `/proc`: `getrusage` knows only the most there ever was.
fn resident_bytes() -> Option<u64> {
    #[allow(clippy::disallowed_methods, reason = "this is the door the lint points to")]
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::usage;

    #[test]
    fn work_takes_time_and_memory() {
        let before = usage();
        let mut memory = vec![1u64; 4 << 20];
        while usage().cpu == before.cpu {
            memory.iter_mut().for_each(|word| *word = word.wrapping_mul(3));
        }
        let after = usage();
        assert!(after.cpu > before.cpu && after.resident_bytes >= 32 << 20, "{before:?} {after:?}");
        drop(memory);
    }
}
