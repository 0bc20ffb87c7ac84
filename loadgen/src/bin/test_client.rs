//! The binary `test_client`, see [`loadgen::test_client`].

use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::test_client::main()
}
