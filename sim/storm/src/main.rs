//! The binary `storm`.

use std::process::ExitCode;

fn main() -> ExitCode {
    storm::cli::run(std::env::args_os())
}
