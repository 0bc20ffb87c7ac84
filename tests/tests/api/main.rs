//! The API of the real cluster, over real sockets: what is documented, what is refused, and what nothing
//! that anybody sends can break.
//!
//! | module | what it holds the nodes to |
//! |---|---|
//! | `discovery` | who can be asked, and who tells |
//! | `documented` | the answers of RaftMetrics' description, byte for byte where it gives bytes |
//! | `analytics` | Distributed Analytics: its messages in three forms, exact averages, refusals |
//! | `distri` | Distri over HTTP and over its byte protocol, and what it refuses |
//! | `metricstream` | MetricStream: its quick start, batches, limits, queries, windows |
//! | `numbers` | every number comes back as it was sent, sums are exact |
//! | `auth` | who needs the token, and where the public one is refused |
//! | `idempotency` | one key, one effect |
//! | `raft3d` | the answers of Raft3D's description, byte for byte, and what it refuses |
//! | `reading` | consistency, paging, applied index |
//! | `exposition` | the Prometheus text, and who gets it |
//! | `bad_input` | bodies, queries and paths that make no sense |
//! | `every_route` | bad input to every documented operation of every system |
//! | `openapi` | the description of the API says what there is |
//! | `protocol` | HTTP that makes no sense |
//! | `garbage` | random bytes, at the API and between peers |
//! | `restart` | everything is there again after a restart |

#![allow(clippy::disallowed_methods, reason = "tests look at real nodes from the outside")]

mod analytics;
mod auth;
mod bad_input;
mod discovery;
mod distri;
mod documented;
mod every_route;
mod exposition;
mod exposition_syntax;
mod garbage;
mod idempotency;
mod metricstream;
mod numbers;
mod openapi;
mod protocol;
mod raft3d;
mod reading;
mod restart;
mod site;
