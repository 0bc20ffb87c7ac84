//! The runtime façade: the only door from node code to the outside world.
//!
//! Node code calls this crate and nothing else for tasks, time, sockets, HTTP, disks and randomness.
//! Every item works on two arms. The *real* arm is tokio and the standard library. The *simulated* arm
//! (feature `sim`) is a deterministic world on madsim's executor. With the feature on, each call picks
//! its arm by context: inside a [`sim::Simulation`] it is simulated, outside it is real, so both can
//! live in one process. With the feature off no simulation code exists.
//!
//! The map, in reading order:
//!
//! | module | what it opens |
//! |---|---|
//! | [`task`] | tasks and blocking work |
//! | [`time`] | monotonic and wall clocks, sleeping, deadlines |
//! | [`net`] | TCP, UDP |
//! | [`http`] | serving an axum `Router`, a pooled client |
//! | [`disk`] | files, directories and what makes them durable |
//! | [`random`] | randomness |
//! | [`process`] | what this process has used |
//! | [`mod@sites`] | marks in code: bugs on purpose, laws, states that must be reached |
//! | [`profile`] | where a simulation's wall time goes |
//! | [`sim`] | the simulated arm's controls, for `world` only |
//!
//! What is not simulated is not exported: a missing thing fails to compile and never panics at run time.

#[cfg(all(feature = "sim", not(madsim)))]
compile_error!(
    "feature `sim` needs `--cfg madsim`, which .cargo/config.toml sets. An exported RUSTFLAGS or \
     CARGO_ENCODED_RUSTFLAGS replaces it: unset it, or add `--cfg madsim` to it."
);

pub mod disk;
pub mod http;
pub mod net;
pub mod process;
pub mod profile;
pub mod random;
mod select;
#[cfg(feature = "sim")]
pub mod sim;
pub mod sites;
pub mod task;
pub mod time;

#[cfg(feature = "sim")]
#[doc(hidden)]
pub use linkme as __linkme;
#[doc(hidden)]
pub use tokio as __tokio;
