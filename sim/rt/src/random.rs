//! Randomness: the operating system's for real, the node's own seeded stream in a simulation.

/// Fills `bytes` with random bytes.
///
/// # Panics
/// On the real arm, if the operating system has no entropy to give: nothing sensible can go on then.
pub fn fill(bytes: &mut [u8]) {
    #[cfg(feature = "sim")]
    if let Some(world) = crate::sim::current() {
        return world.fill_random(bytes);
    }
    getrandom(bytes);
}

/// A random number.
pub fn u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

#[allow(unsafe_code, reason = "the libc call has no safe form; pointer and length come from one slice")]
fn getrandom(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: `rest` is a valid, writable slice and its own length is passed.
        let n = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(n) {
            Ok(n) => filled += n,
            Err(_) => {
                let error = std::io::Error::last_os_error();
                assert!(error.kind() == std::io::ErrorKind::Interrupted, "no entropy: {error}");
            }
        }
    }
}
