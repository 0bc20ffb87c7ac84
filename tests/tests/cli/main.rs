//! The command lines of `node`, `loadgen` and `storm`, as processes.
//!
//! | module | what it holds |
//! |---|---|
//! | `campaign` | seeds that misbehave, campaigns by time (feature `sim`) |
//! | `deploy` | compose files and Dockerfile, without an engine |
//! | `help` | every program explains itself, and refuses what it does not know |
//! | `register` | the example of `world`: simulated, with a bug put in, and for real |
//! | `storm` | plans, replays, sweeps and the main job in small (feature `sim`) |
//! | `test_client` | MetricStream's validator, against servers that keep their word and ones that do not |

#![allow(clippy::disallowed_methods, reason = "tests look at real nodes from the outside")]

#[cfg(feature = "sim")]
mod campaign;
mod deploy;
mod help;
mod register;
#[cfg(feature = "sim")]
mod storm;
mod test_client;

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
const REGISTER: &str = env!("CARGO_BIN_EXE_register-under-test");
const LOADGEN: &str = env!("CARGO_BIN_EXE_loadgen-under-test");
const TEST_CLIENT: &str = env!("CARGO_BIN_EXE_test-client-under-test");
#[cfg(feature = "sim")]
const STORM: &str = env!("CARGO_BIN_EXE_storm-under-test");
