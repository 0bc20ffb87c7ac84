//! The process of `engine::process` alone, for its tests: `duckdb-engine FOLDER MEGABYTES`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, memory] = &arguments[..] else { return ExitCode::from(2) };
    let Ok(memory_mb) = memory.parse() else { return ExitCode::from(2) };
    match engine::process::serve(Path::new(folder), memory_mb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(1),
    }
}
