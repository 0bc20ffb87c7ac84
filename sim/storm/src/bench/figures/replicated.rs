//! A figure that wrk measures, of ours and of etcd in turn.

use super::cluster::Cluster;
use super::place::Place;
use super::wrk::{Load, Round, run};
use super::{FiguresOptions, etcd, median, ours, table};

/// Seconds of the same load before each run.
const WARM_UP: u64 = 2;

/// The same work for both, each in its own words.
pub(super) struct Work {
    pub name: &'static str,
    pub connections: usize,
    /// Metrics in a request.
    pub each: f64,
    pub ours: &'static str,
    /// `None`: etcd has nothing of the kind.
    pub etcd: Option<&'static str>,
    /// Scripts that fill a new cluster before the load comes: ours and etcd.
    pub fill: Option<[&'static str; 2]>,
    /// Looks whether ours holds what was acknowledged.
    pub check: fn(&Place, &Cluster, Round) -> anyhow::Result<()>,
}

/// Medians.
pub(super) struct Medians {
    pub ours: f64,
    pub etcd: Option<f64>,
    pub spoiled: Option<String>,
}

pub(super) fn measure(place: &Place, options: &FiguresOptions, work: &Work) -> anyhow::Result<Medians> {
    println!();
    let (mut of_ours, mut of_etcd, mut errors) = (Vec::new(), Vec::new(), 0);
    for round in 1..=options.rounds {
        let cluster = ours::start(place)?;
        let fill = work.fill.map(|[ours, _]| ours);
        let found = under_load(place, options, work, &cluster, fill, work.ours)?;
        (work.check)(place, &cluster, found)?;
        drop(cluster);
        say(work, round, "ours", found);
        errors += found.errors;
        of_ours.push(found.per_second * work.each);
        if let (Some(program), Some(script)) = (&place.etcd, work.etcd) {
            let cluster = etcd::start(place, program)?;
            let fill = work.fill.map(|[_, etcd]| etcd);
            let found = under_load(place, options, work, &cluster, fill, script)?;
            say(work, round, "etcd", found);
            of_etcd.push(found.per_second * work.each);
        }
    }
    let etcd = (!of_etcd.is_empty()).then(|| median(of_etcd));
    let spoiled = (errors > 0).then(|| format!("{errors} requests to ours failed"));
    Ok(Medians { ours: median(of_ours), etcd, spoiled })
}

/// Fills, warms up, measures.
fn under_load(
    place: &Place,
    options: &FiguresOptions,
    work: &Work,
    cluster: &Cluster,
    fill: Option<&str>,
    script: &str,
) -> anyhow::Result<Round> {
    let targets = cluster.targets(&place.http)?;
    let load = |script, seconds| Load { script, targets: &targets, connections: work.connections, seconds };
    if let Some(fill) = fill {
        run(place, &load(fill, WARM_UP))?;
    }
    run(place, &load(script, WARM_UP))?;
    run(place, &load(script, options.seconds))
}

fn say(work: &Work, round: usize, who: &str, found: Round) {
    println!(
        "{:<10} round {round} {who}: {:>9}/s, p50 {:.1} ms, p99 {:.1} ms, {} errors",
        work.name,
        table::number(found.per_second * work.each),
        found.p50_ms,
        found.p99_ms,
        found.errors
    );
}
