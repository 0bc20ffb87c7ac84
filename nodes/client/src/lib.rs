//! What users and load generators need: wire types, errors, and a client.
//!
//! | module | what it holds |
//! |---|---|
//! | [`raftmetrics`] | the JSON of RaftMetrics |
//! | [`raft3d`] | the JSON of Raft3D, and its calls |
//! | [`metricstream`] | the JSON of MetricStream |
//! | [`analytics`] | the messages of Distributed Analytics: bincode, Protobuf, JSON |
//! | [`distri`] | Distri's byte protocol, and its client |
//! | [`discovery`] | who can be asked |
//! | [`problem`] | the one shape of every error |
//! | [`session`] | the client |

pub mod analytics;
pub mod discovery;
pub mod distri;
pub mod metricstream;
pub mod problem;
pub mod raft3d;
pub mod raftmetrics;
pub mod session;

pub use discovery::discover;
pub use problem::Problem;
pub use session::{CallError, Client, ClientOptions, Read};

/// The token of development clusters. A node refuses it on an address that is not loopback.
pub const DEV_TOKEN: &str = "local-dev-token-123";

/// Header that makes a write's retries harmless.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Header with the log index that an answer has seen.
pub const APPLIED_INDEX: &str = "x-applied-index";
