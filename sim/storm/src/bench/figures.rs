//! The speed of the real cluster: processes of the binary `node`, each with its own data folder and with
//! fsync, next to three nodes of etcd on the same machine.
//!
//! Ours are 1 control node and 2 workers: 4 partitions, 3 replicas of each, the leaders spread over the two
//! workers. Runs take turns, ours and etcd's, each on a fresh cluster, and medians are compared: a machine
//! that is busy is busy for both. Each is asked where it is fastest: our workers, and etcd's leader.

mod cluster;
mod distri;
mod etcd;
mod failover;
mod http;
mod ingest;
mod ours;
mod place;
mod query;
mod reads;
mod replicated;
mod table;
mod writes;
mod wrk;

use place::Place;
use std::path::PathBuf;
use table::Row;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Figure {
    /// Metrics a second in batches of 1,000.
    Ingest,
    /// Single metrics a second.
    Writes,
    /// Linearizable reads a second.
    Reads,
    /// Time of a query over a million points.
    Query,
    /// Time from `kill -9` of a leader to the next acknowledged write.
    Failover,
    /// Distri's two tests on clouds of 4 and of 6 nodes: images and documents that failed.
    Distri,
}

impl Figure {
    /// All of them, in the order of the table.
    pub const ALL: [Figure; 6] =
        [Figure::Ingest, Figure::Writes, Figure::Reads, Figure::Query, Figure::Failover, Figure::Distri];

    fn measure(self, place: &Place, options: &FiguresOptions) -> anyhow::Result<Row> {
        match self {
            Figure::Ingest => ingest::measure(place, options),
            Figure::Writes => writes::measure(place, options),
            Figure::Reads => reads::measure(place, options),
            Figure::Query => query::measure(place),
            Figure::Failover => failover::measure(place, options),
            Figure::Distri => distri::measure(place),
        }
    }
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct FiguresOptions {
    /// What to measure.
    pub figures: Vec<Figure>,
    /// Runs of each figure, and of etcd's; `failover` makes at least 10.
    pub rounds: usize,
    /// Seconds that a run lasts.
    pub seconds: u64,
    /// The binary `node`; without it, the one beside this program.
    pub node: Option<PathBuf>,
    /// Folder for the data; without it, the system's temporary one.
    pub data: Option<PathBuf>,
}

/// Measures and prints; whether every bar was reached.
///
/// # Errors
/// If a part cannot be started, or does not do its work.
pub fn measure(options: &FiguresOptions) -> anyhow::Result<bool> {
    let place = Place::new(options)?;
    place.describe()?;
    let mut rows = Vec::new();
    for figure in Figure::ALL.into_iter().filter(|figure| options.figures.contains(figure)) {
        rows.push(figure.measure(&place, options)?);
    }
    table::print(&rows);
    Ok(rows.iter().all(Row::reached))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        assert!(median(Vec::new()).is_nan());
        assert_eq!(median(vec![3.0]), 3.0);
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![1.0, 2.0, 10.0, 4.0]), 3.0);
    }
}
