//! Who belongs to the cluster, and which partition lives on which nodes.

mod command;
pub mod members;
mod placement;
mod query;
mod regions;
pub mod routes;
mod state;

pub use command::{Command, Reply};
pub use members::{Join, Member, MemberRole, MemberState, Refused, Table};
pub use placement::Placement;
pub use query::{Query, View, view};
pub use regions::Regions;
pub use state::State;
