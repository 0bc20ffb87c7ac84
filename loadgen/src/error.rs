//! Why a load run could not be made. What the cluster did wrong is a result and never an error.

use std::io;

/// The run could not be made: says nothing about the cluster.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// An option lies outside what can be driven.
    #[error("{option}: {reason}")]
    Option {
        /// The option, as on the command line.
        option: &'static str,
        /// What is wrong with it, and what would do.
        reason: String,
    },
    /// A thread, a runtime or a folder that the run needs could not be made.
    #[error("cannot start {what}: {source}")]
    Start {
        /// What was to be started.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The HTTP client could not be built.
    #[error("cannot build the HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// Goose refused its configuration or ended before the schedule did.
    #[error("goose: {0}")]
    Goose(String),
    /// The users did not all come up.
    #[error("only {ready} of {users} users were ready after {seconds} s")]
    NotReady {
        /// Users that wait for work.
        ready: usize,
        /// Users that were asked for.
        users: usize,
        /// How long was waited.
        seconds: u64,
    },
    /// The pacer thread is gone.
    #[error("the pacer thread ended before its schedule did")]
    Pacer,
    /// The cluster in this process did not start.
    #[error("the embedded cluster did not start: {0}")]
    Cluster(String),
}
