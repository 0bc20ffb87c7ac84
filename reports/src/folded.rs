//! Long campaigns: results come in one by one, and most of those that held are only summed up.

use crate::model::{Folded, SeedResult, SeedVerdict, SimulationReport};

impl SimulationReport {
    /// Takes in a result. All that did not hold stay whole, and so do the first `kept` that did.
    pub fn add(&mut self, result: SeedResult, kept: usize) {
        if result.verdict != SeedVerdict::Held || self.seeds.len() < kept || result.timeline.is_some() {
            self.seeds.push(result);
        } else {
            self.folded.get_or_insert_default().add(&result);
        }
    }

    /// Seeds that ran.
    pub fn ran(&self) -> u64 {
        self.seeds.len() as u64 + self.folded.as_ref().map_or(0, |folded| folded.seeds)
    }
}

impl Folded {
    fn add(&mut self, result: &SeedResult) {
        self.seeds += 1;
        self.simulated_seconds += result.simulated_seconds;
        self.events += result.events;
        self.elections += result.elections;
        self.operations.ok += result.operations.ok;
        self.operations.rejected += result.operations.rejected;
        self.operations.unknown += result.operations.unknown;
        for fault in &result.faults {
            let total = self.faults.entry(fault.kind.clone()).or_default();
            total.armed += fault.armed;
            total.fired += fault.fired;
            total.bit += fault.bit;
            total.seeds += u64::from(fault.fired > 0);
        }
        for (state, times) in &result.reached {
            let total = self.reached.entry(state.clone()).or_default();
            *total = (total.0 + times, total.1 + u64::from(*times > 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FaultCount;
    use crate::totals::Campaign;

    fn result(seed: u64, verdict: SeedVerdict) -> SeedResult {
        let faults = vec![FaultCount { kind: "crash".into(), armed: 3, fired: 2, bit: 1 }];
        let reached = [("a log was cut".to_owned(), seed)].into();
        let simulated_seconds = 2.0;
        SeedResult {
            seed,
            verdict,
            faults,
            reached,
            simulated_seconds,
            elections: 4,
            ..SeedResult::default()
        }
    }

    #[test]
    fn folded_seeds_count_as_those_that_are_kept() {
        let sum = |kept| {
            let mut report = SimulationReport { seeds_requested: 10, ..SimulationReport::default() };
            for seed in 0..10 {
                let verdict = if seed == 8 { SeedVerdict::Violated } else { SeedVerdict::Held };
                report.add(result(seed, verdict), kept);
            }
            assert_eq!(report.ran(), 10);
            assert!(report.seeds.iter().any(|seed| seed.seed == 8), "what did not hold stays whole");
            Campaign::of(&report)
        };
        let (all, few) = (sum(100), sum(3));
        assert_eq!(few.held_count(), 9);
        assert_eq!(all.held_count(), 9);
        assert_eq!(all.violated, few.violated);
        assert_eq!((all.simulated_seconds, all.elections), (few.simulated_seconds, few.elections));
        assert_eq!(all.faults, few.faults);
        assert_eq!(all.states, few.states);
    }
}
