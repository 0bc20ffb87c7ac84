//! The binary `worker`, see [`server::thin::Worker`].

use std::process::ExitCode;

fn main() -> ExitCode {
    server::thin::run::<server::thin::Worker>()
}
