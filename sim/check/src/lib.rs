//! The judges: pure functions from what was seen to what was wrong.
//!
//! No clock, no randomness, no I/O: the same input gives the same violations in the same order. Two kinds
//! of input: [`history`] (what clients did and saw) and [`observation`] (what replicas did inside).
//!
//! | law | source | module |
//! |---|---|---|
//! | election safety | Raft paper, figure 3 | [`raft::election_safety`] |
//! | log matching | Raft paper, figure 3 and section 5.3 | [`raft::log_matching`] |
//! | leader completeness | Raft paper, figure 3 and section 5.4 | [`raft::leader_completeness`] |
//! | state-machine safety | Raft paper, figure 3 and section 5.4.3 | [`raft::state_machine_safety`] |
//! | monotonic | Raft paper, figure 2 ("persistent state") | [`raft::monotonic`] |
//! | replica equality | state-machine replication; TigerBeetle's state checker | [`raft::replica_equality`] |
//! | durability | Jepsen, `set-full` | [`client::durability`] |
//! | exactly once | Raft paper, section 8; Jepsen, `set-full` (duplicates) | [`client::exactly_once`] |
//! | conservation | Jepsen, `bank` and `counter` | [`client::conservation`] |
//! | real-time reads | Herlihy and Wing, linearizability | [`client::real_time_reads`] |
//! | append order | Jepsen Elle, list-append (prefixes) | [`client::append_order`] |
//! | linearizability | Herlihy and Wing 1990; Lowe 2017; Knossos, porcupine | [`mod@linearizability`] |
//! | limits | the sliding-window contract of the rate limiter | [`limits`] |
//! | liveness | TigerBeetle's VOPR | [`liveness`] |
//!
//! For append-only lists with unique values, append order and real-time reads together are
//! linearizability; no search is needed. For everything else (registers, and what a specification can be
//! written for) [`mod@linearizability`] searches. All of it is only as good as the material: a judge sees what was
//! written down. [`raft::ledger`] and [`client::index`] arrange the material once for all judges.

pub mod client;
pub mod exact_sum;
pub mod final_state;
pub mod history;
pub mod limits;
pub mod linearizability;
pub mod liveness;
pub mod observation;
pub mod raft;
pub mod violation;

pub use client::judge_history;
pub use exact_sum::{ExactSum, exact_sum};
pub use final_state::{FinalState, SeriesFinal};
pub use limits::{Admission, Rate, judge_limits};
pub use liveness::{LivenessFacts, LivenessProbe, judge_liveness};
pub use raft::RaftJudges;
pub use violation::{Judge, MAX_VIOLATIONS_PER_JUDGE, Violation};
