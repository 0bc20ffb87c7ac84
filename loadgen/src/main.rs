//! The binary `loadgen`. Everything it does lies in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::cli::main()
}
