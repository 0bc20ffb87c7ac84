//! Whose panic was it? One in node code is a finding; one in the harness is the harness's fault.

use std::collections::BTreeMap;
use std::sync::{Mutex, Once, PoisonError};

/// First panic of each simulation thread, by the thread's name.
static PANICS: Mutex<BTreeMap<String, Panic>> = Mutex::new(BTreeMap::new());

/// Where and how something panicked.
#[derive(Clone, Debug)]
pub struct Panic {
    /// Text and place.
    pub text: String,
    /// The harness's own code panicked.
    pub in_harness: bool,
}

/// Notes down panics of threads named `seed-…` instead of printing them.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            let Some(name) = thread.name().filter(|name| name.starts_with("seed-")) else {
                return print(info);
            };
            let file = info.location().map_or("", |place| short(place.file()));
            let line = info.location().map_or(0, |place| place.line());
            let payload = info.payload();
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text =
                text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a message");
            let panic = Panic { text: format!("{text} (at {file}:{line})"), in_harness: is_harness(file) };
            PANICS.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_insert(panic);
        }));
    });
}

/// The path from the crate's own folder on, for crates that cargo has fetched.
fn short(file: &str) -> &str {
    match file.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/')) {
        Some((_, from_crate)) => from_crate,
        None => file,
    }
}

fn is_harness(file: &str) -> bool {
    ["sim/world", "sim/storm", "sim/check", "sim/rt", "madsim"].iter().any(|part| file.contains(part))
}

/// The panic of a seed's thread, if there was one.
pub fn take(seed: u64) -> Option<Panic> {
    PANICS.lock().unwrap_or_else(PoisonError::into_inner).remove(&format!("seed-{seed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetched_crate_is_named_without_the_way_to_it() {
        assert_eq!(
            short("/home/me/.cargo/registry/src/some-index/raft-0.7.0/src/raft.rs"),
            "raft-0.7.0/src/raft.rs"
        );
        assert_eq!(short("nodes/replica/src/group.rs"), "nodes/replica/src/group.rs");
    }

    #[test]
    fn node_code_is_not_the_harness() {
        assert!(is_harness("sim/world/src/nemesis.rs") && is_harness("madsim-0.2.34/src/sim/task/mod.rs"));
        assert!(!is_harness("nodes/replica/src/group.rs") && !is_harness("raft-0.7.0/src/raft_log.rs"));
    }
}
