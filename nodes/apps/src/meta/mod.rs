//! Placement: which partition lives on which nodes. The first proposal wins and then stands.

mod command;
mod query;
mod state;

pub use command::Command;
pub use query::{Query, placement};
pub use state::{Placement, State};
