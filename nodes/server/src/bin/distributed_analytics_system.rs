//! The binary `distributed_analytics_system`, see [`server::thin::Control`].

use std::process::ExitCode;

fn main() -> ExitCode {
    server::thin::run::<server::thin::Control>()
}
