//! Nodes put together: roles, configuration, and whole clusters in one process.
//!
//! | module | what it holds |
//! |---|---|
//! | [`options`] | what a node is started with, and what is refused |
//! | [`topology`] | which nodes hold what |
//! | [`node`] | one node: `start(options)`, called by the binary and by the simulator alike |
//! | `life` | who a node is, and how it becomes another one when its data are lost |
//! | `placing` | what the cluster decided, carried out here |
//! | `reconcile` | what the meta leader asks of all groups |
//! | [`embedded`] | a whole cluster in this process |
//! | [`config`] | the configuration file |
//! | [`distri`] | a node of Distri, for programs that bring functions of their own |
//! | [`cli`] | the command line of `node` |
//! | `welcome` | the first lines to type |
//! | [`thin`] | the command lines that quick starts name, told in words of `node` |

pub mod cli;
pub mod config;
pub mod distri;
pub mod embedded;
mod life;
pub mod modes;
pub mod node;
pub mod options;
mod placing;
mod reconcile;
pub mod thin;
pub mod topology;
mod welcome;

pub use apps::Profile;
pub use distri::CloudNode;
pub use embedded::{Cluster, EmbeddedOptions};
pub use life::LifeError;
pub use modes::Mode;
pub use node::{Node, StartError, start};
pub use options::{NodeOptions, OptionsError, Role};
