//! The binary `node` once more: Cargo builds only a package's own binaries for its tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::cli::run(std::env::args_os())
}
