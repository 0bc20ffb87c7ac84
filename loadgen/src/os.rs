//! What the standard library does not offer, through `nix`'s safe calls. Elsewhere than on Unix (for
//! timer slack: on Linux) each answers that it could not.

/// Lets this thread's sleeps end within a nanosecond of their time and not, as is the default, 50 us later.
pub(crate) fn tighten_timer() {
    #[cfg(target_os = "linux")]
    // A refusal costs accuracy, which the pacer measures anyhow.
    let _accepted = nix::sys::prctl::set_timerslack(1);
}

/// Raises the limit of open files as far as it goes and returns it.
pub(crate) fn raise_open_files() -> Option<u64> {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
        if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
            return Some(hard);
        }
        Some(soft)
    }
    #[cfg(not(unix))]
    None
}

/// Ticks a second in which the system counts processor time.
pub(crate) fn clock_ticks() -> Option<f64> {
    #[cfg(unix)]
    {
        use nix::unistd::{SysconfVar, sysconf};
        let ticks = sysconf(SysconfVar::CLK_TCK).ok()??;
        Some(ticks as f64)
    }
    #[cfg(not(unix))]
    None
}

/// Processors this process may use.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
