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

/// The system call fills so many bytes at most.
const CHUNK_BYTES: usize = 256;

#[allow(unsafe_code, reason = "the libc call has no safe form; pointer and length come from one slice")]
fn getrandom(bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(CHUNK_BYTES) {
        // SAFETY: `chunk` is a valid, writable slice and its own length is passed.
        let failed = unsafe { libc::getentropy(chunk.as_mut_ptr().cast(), chunk.len()) } != 0;
        assert!(!failed, "no entropy: {}", std::io::Error::last_os_error());
    }
}
