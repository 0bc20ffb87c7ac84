//! `storm bench --figures`.

use crate::bench::figures::{Figure, FiguresOptions, measure};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

pub(super) const EXAMPLES: &str = "\
Examples:
  cargo storm bench                                   speed, repeatability, load, memory
  cargo storm bench --no-real --determinism 0         the simulation's speed only
  cargo build --release --features sim --bin node     needed once for the figures, and wrk on PATH
  cargo storm bench --figures                         all figures of the real cluster, beside etcd
  cargo storm bench --figures writes,reads --rounds 5 --seconds 10
  cargo storm bench --figures failover --rounds 20    20 kills
  cargo storm bench --figures ingest --data /var/tmp  data on another disk

Runs of ours and of etcd take turns; the table shows medians. Without etcd on PATH it goes on
without.

Exit codes: 0 all was reached; 1 a seed did not repeat; 2 wrong usage, or something could not be
started; 3 a figure was missed.";

#[derive(Args)]
pub(super) struct Figures {
    /// Measures only these figures of a real cluster of processes; all of them without a list.
    #[arg(long, value_delimiter = ',', num_args = 0.., conflicts_with_all = ["seeds", "determinism", "no_real"])]
    figures: Option<Vec<Figure>>,
    /// Runs of each figure, in turn with etcd's; failover makes at least 10.
    #[arg(long, requires = "figures", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Seconds that a run of ingest, writes or reads lasts.
    #[arg(long, requires = "figures", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: u16,
    /// The binary `node`. Without it: the one beside this program.
    #[arg(long, requires = "figures")]
    node: Option<PathBuf>,
    /// Folder for the data, which go at the end. Without it: the system's temporary one.
    #[arg(long, requires = "figures")]
    data: Option<PathBuf>,
}

impl Figures {
    pub(super) fn asked(&self) -> bool {
        self.figures.is_some()
    }

    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let figures = self.figures.filter(|figures| !figures.is_empty());
        let options = FiguresOptions {
            figures: figures.unwrap_or_else(|| Figure::ALL.to_vec()),
            rounds: usize::from(self.rounds),
            seconds: u64::from(self.seconds),
            node: self.node,
            data: self.data,
        };
        Ok(ExitCode::from(if measure(&options)? { 0 } else { 3 }))
    }
}
