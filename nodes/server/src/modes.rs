//! The serving modes of the scaling journey, behind one API: one request after the other, a pool of threads,
//! async on one machine, a cluster.
//!
//! The last two are served by [`rt::http::serve`], the first two by [`rt::http::serve_with_threads`].

use std::str::FromStr;

/// Threads of a pool.
const POOL: usize = 16;

/// How a node serves its API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One request after the other, on one thread; one node.
    Sequential,
    /// As many requests at a time as there are threads; one node.
    Threads,
    /// Any number of connections on an async runtime; one node.
    Async,
    /// The same, in a cluster.
    #[default]
    Cluster,
}

impl Mode {
    /// Threads that serve; `None` where the runtime does.
    pub fn threads(self) -> Option<usize> {
        match self {
            Mode::Sequential => Some(1),
            Mode::Threads => Some(POOL),
            Mode::Async | Mode::Cluster => None,
        }
    }

    /// True if the node is a cluster by itself.
    pub fn is_alone(self) -> bool {
        self != Mode::Cluster
    }
}

impl FromStr for Mode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sequential" => Ok(Mode::Sequential),
            "threads" => Ok(Mode::Threads),
            "async" => Ok(Mode::Async),
            "cluster" => Ok(Mode::Cluster),
            _ => Err(format!("no mode {text:?}; allowed are sequential, threads, async, cluster")),
        }
    }
}
