//! Free addresses on loopback.
//!
//! Port 0 will not do for a node that is killed and started again: the system could lend its port to an
//! outgoing connection meanwhile. These lie below the range that Linux lends from.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 10_000;
/// Linux lends ports from 32,768 on.
const COUNT: u32 = 22_000;

/// A `127.0.0.1:port` that was free a moment ago and that this process gives only once.
///
/// # Panics
/// If there is none.
pub fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        // Test programs that run at the same time begin at different places.
        let turn = std::process::id().wrapping_mul(631).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let address = format!("127.0.0.1:{}", FIRST + turn % COUNT);
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
    panic!("no port from {FIRST} on is free");
}
