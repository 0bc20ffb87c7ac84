//! The nodes' logs in simulated time.

use crate::cli::Trace;
use crate::scenario::{Knobs, machine_names};
use anyhow::Context;
use std::fmt;
use std::io::IsTerminal;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::prelude::*;
use world::Plan;

struct SimulatedTime;

impl FormatTime for SimulatedTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        match rt::sim::whereabouts() {
            Some((machine, ns)) => write!(writer, "{:12.6} machine={machine}", ns as f64 / 1e9),
            None => Ok(()),
        }
    }
}

/// Prints from now on what `trace` asks for. `RUST_LOG` sets the level; without it, `debug`.
pub(crate) fn install(trace: &Trace, plan: &Plan) -> anyhow::Result<()> {
    let names = machine_names(Knobs::of(plan)?.workers());
    let node = match trace.node() {
        None => None,
        Some(name) => {
            let place = names.iter().position(|known| known == name);
            let place = place.with_context(|| format!("no node {name:?}; there are {}", names.join(", ")))?;
            Some(u16::try_from(place + 1)?)
        }
    };
    let window = trace.window_ns();
    let wanted = dynamic_filter_fn(move |_, _| {
        rt::sim::whereabouts()
            .is_some_and(|(machine, ns)| window.contains(&ns) && node.is_none_or(|node| node == machine))
    });
    let level = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("debug,madsim=warn,hyper=warn"));
    let lines = tracing_subscriber::fmt::layer().with_timer(SimulatedTime);
    let lines = lines.with_writer(std::io::stdout).with_ansi(std::io::stdout().is_terminal());
    tracing_subscriber::registry().with(lines.with_filter(wanted)).with(level).try_init()?;
    Ok(())
}
