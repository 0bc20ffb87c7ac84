//! How much memory a process holds, as the kernel counts it.

use std::fs;

/// Bytes in a mebibyte.
pub const MIB: u64 = 1 << 20;

/// Resident memory of process `pid`, 0 if it is gone.
pub fn resident_bytes(pid: u32) -> u64 {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/status")) else { return 0 };
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")).and_then(|kib| kib.trim().parse().ok());
    kib.map_or(0, |kib: u64| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_holds_something_and_no_process_nothing() {
        assert!(resident_bytes(std::process::id()) > MIB);
        assert_eq!(resident_bytes(u32::MAX), 0);
    }
}
