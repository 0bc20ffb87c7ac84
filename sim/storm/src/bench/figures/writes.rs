//! Single metrics a second: one replicated, synced write a request.

use super::FiguresOptions;
use super::place::Place;
use super::replicated::{self, Work};
use super::table::{Bar, Row};

const BAR: f64 = 10_000.0;

pub(super) fn measure(place: &Place, options: &FiguresOptions) -> anyhow::Result<Row> {
    let work = Work {
        name: "writes",
        connections: 256,
        each: 1.0,
        ours: include_str!("scripts/writes_ours.lua"),
        etcd: Some(include_str!("scripts/writes_etcd.lua")),
        fill: None,
        check: |_, _, _| Ok(()),
    };
    let found = replicated::measure(place, options, &work)?;
    Ok(Row {
        name: "single-metric writes",
        unit: "writes/s",
        ours: found.ours,
        bar: Bar::AtLeast(BAR),
        etcd: found.etcd,
        peer: "etcd 3.2 on 3 x 8 vCPU: 44,341/s (leader only), 50,104/s (all members); \
               TiKV on 16 vCPU: 8,805/s",
        spoiled: found.spoiled,
    })
}
