//! The binary `metricstream_server`, see [`server::thin::MetricStream`].

use std::process::ExitCode;

fn main() -> ExitCode {
    server::thin::run::<server::thin::MetricStream>()
}
