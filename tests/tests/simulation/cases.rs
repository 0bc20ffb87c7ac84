//! Seeds that failed once: every plan in `tests/cases` must hold, for good.
//!
//! To keep a failure, copy the `case.toml` that it left behind to `tests/cases/<what-was-wrong>.toml`.

use reports::model::SeedVerdict;
use std::fs;
use std::path::Path;
use storm::run::{Keep, run};
use world::Plan;

#[test]
fn kept_cases_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let entries = fs::read_dir(folder).unwrap();
    let mut cases: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    cases.sort();
    assert!(!cases.is_empty(), "tests/cases holds no case: nothing was replayed");
    for case in cases {
        let name = case.display();
        let text = fs::read_to_string(&case).unwrap();
        let plan = Plan::from_toml(&text).unwrap_or_else(|error| panic!("{name} is no plan: {error}"));
        let replay = format!("cargo storm replay {name}");
        let result =
            run(plan, Keep::default(), replay).unwrap_or_else(|error| panic!("{name}: {error}")).result;
        assert_eq!(
            result.verdict,
            SeedVerdict::Held,
            "{name}: {:#?} {:?}\nreplay: {}",
            result.violations,
            result.harness_fault,
            result.replay
        );
    }
}
