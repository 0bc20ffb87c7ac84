//! Nodes put together: roles, configuration, and whole clusters in one process.
//!
//! | module | what it holds |
//! |---|---|
//! | [`options`] | what a node is started with, and what is refused |
//! | [`topology`] | which nodes hold what |
//! | [`node`] | one node: `start(options)`, called by the binary and by the simulator alike |
//! | [`embedded`] | a whole cluster in this process |
//! | [`config`] | the configuration file |
//! | [`cli`] | the command line of `node` |

pub mod cli;
pub mod config;
pub mod embedded;
pub mod node;
pub mod options;
mod placing;
pub mod topology;

pub use embedded::{Cluster, EmbeddedOptions};
pub use node::{Node, StartError, start};
pub use options::{NodeOptions, OptionsError, Profile, Role};
