//! The binary `storm` once more: Cargo builds only a package's own binaries for its tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    storm::cli::run(std::env::args_os())
}
