//! Writes the invented report as a page to the path given, to look at: `cargo run -p reports --example
//! sample_page -- /tmp/sample.html`. With a second argument (`json`, `junit`, `markdown`, `terminal`) it
//! prints that form as well.
#![allow(clippy::disallowed_methods, reason = "an example writes its own file")]

use std::io::Write;
use std::process::ExitCode;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("usage: sample_page PATH [json|junit|markdown|terminal]");
        return Ok(ExitCode::from(2));
    };
    let report = reports::sample::report();
    std::fs::write(&path, reports::html::page(&report))?;
    let form = match arguments.next().as_deref() {
        Some("json") => reports::json::to_bytes(&report)?,
        Some("junit") => reports::junit::to_bytes(&report)?,
        Some("markdown") => reports::markdown::summary(&report).into_bytes(),
        Some("terminal") => {
            let options = reports::terminal::Options { colour: true, page: Some(path), next: None };
            reports::terminal::screen(&report, &options).into_bytes()
        }
        _ => Vec::new(),
    };
    std::io::stdout().write_all(&form)?;
    Ok(ExitCode::SUCCESS)
}
