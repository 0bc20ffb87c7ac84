//! The binary `storm`.

use std::process::ExitCode;

/// For the figures of `storm bench`.
#[global_allocator]
static ALLOCATOR: rt::profile::CountingAllocator = rt::profile::CountingAllocator;

fn main() -> ExitCode {
    storm::cli::run(std::env::args_os())
}
