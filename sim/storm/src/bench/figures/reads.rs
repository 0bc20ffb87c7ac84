//! Linearizable reads a second: each confirmed by a quorum.

use super::FiguresOptions;
use super::place::Place;
use super::replicated::{self, Work};
use super::table::{Bar, Row};

const BAR: f64 = 20_000.0;

pub(super) fn measure(place: &Place, options: &FiguresOptions) -> anyhow::Result<Row> {
    let work = Work {
        name: "reads",
        connections: 256,
        each: 1.0,
        ours: include_str!("scripts/reads_ours.lua"),
        etcd: Some(include_str!("scripts/reads_etcd.lua")),
        fill: Some([include_str!("scripts/writes_ours.lua"), include_str!("scripts/writes_etcd.lua")]),
        check: |_, _, _| Ok(()),
    };
    let found = replicated::measure(place, options, &work)?;
    Ok(Row {
        name: "linearizable reads",
        unit: "reads/s",
        ours: found.ours,
        bar: Bar::AtLeast(BAR),
        etcd: found.etcd,
        peer: "etcd 3.2 on 3 x 8 vCPU: 141,578/s",
        spoiled: found.spoiled,
    })
}
