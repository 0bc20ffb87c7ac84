//! The binary `test_client` once more: Cargo builds only a package's own binaries for its tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::test_client::main()
}
