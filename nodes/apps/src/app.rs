//! What an app is: one value of [`App`] in its folder, named once in [`crate::APPS`].

use crate::cluster::Cluster;
use axum::Router;
use prometheus_client::registry::Registry;
use replica::StateMachine;
use std::pin::Pin;

/// Which groups hold an app's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Group 0: few objects that refer to each other.
    Meta,
    /// Every partition: what is spread by a key.
    Partitions,
}

/// A future that borrows.
pub type Borrowing<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Adds measurements to a registry.
pub type Measure = for<'a> fn(&'a Cluster, &'a mut Registry) -> Borrowing<'a>;

/// Work beside the requests.
pub type Service = fn(Cluster) -> Borrowing<'static>;

/// An address that an app cannot listen on.
#[derive(Debug)]
pub struct BindError {
    /// The address.
    pub address: String,
    /// What the system says.
    pub source: std::io::Error,
}

/// Opens what an app listens on beside the API.
pub type Bind = for<'a> fn(&'a Cluster) -> Pin<Box<dyn Future<Output = Result<(), BindError>> + Send + 'a>>;

/// Looks at settings.
pub type CheckSettings = fn(&Cluster) -> Result<(), String>;

/// An app.
pub struct App {
    /// Its name: of its folder, of its profile, and of its table in the configuration file.
    pub name: &'static str,
    /// Its number in logs and stores, for ever: 1 to 127, or 0 for the founder of its home, whose bytes
    /// carry no number.
    pub number: u8,
    /// Where its state lives.
    pub home: Home,
    /// Its empty state machine.
    pub machine: fn() -> Box<dyn StateMachine>,
    /// Its routes.
    pub routes: fn() -> Router<Cluster>,
    /// Adds its measurements to a scrape.
    pub measure: Option<Measure>,
    /// Opens what it listens on beside the API, before the node counts as started.
    pub bind: Option<Bind>,
    /// What it does beside answering, for as long as the node runs. It is dropped with the node.
    pub service: Option<Service>,
    /// Refuses a table of the configuration file that makes no sense; the text says what is allowed.
    pub check_settings: Option<CheckSettings>,
    /// Its part of `/openapi.json`, an OpenAPI 3.1 document as JSON text. What other apps describe too is
    /// described once: the first in [`crate::APPS`] wins.
    pub openapi: Option<&'static str>,
}

/// A number in front of bytes: founders' bytes never begin with one that large.
const NUMBERED: u8 = 0x80;

/// The bytes of app `number`, marked as its own.
pub fn mark(number: u8, bytes: Vec<u8>) -> Vec<u8> {
    if number == 0 {
        return bytes;
    }
    let mut marked = Vec::with_capacity(bytes.len() + 1);
    marked.push(NUMBERED | number);
    marked.extend(bytes);
    marked
}

/// Whose bytes they are, and the bytes without the mark.
pub fn marked(bytes: &[u8]) -> (u8, &[u8]) {
    match bytes.split_first() {
        Some((first, rest)) if *first > NUMBERED => (first & !NUMBERED, rest),
        _ => (0, bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::APPS;

    #[test]
    fn marks_come_off_again() {
        assert_eq!(marked(&mark(3, vec![1, 2])), (3, &[1, 2][..]));
        assert_eq!(marked(&mark(0, vec![1, 2])), (0, &[1, 2][..]));
        assert_eq!(marked(&[]), (0, &[][..]));
        assert_eq!(marked(&[0x80, 1]), (0, &[0x80, 1][..]), "0 is no number of a guest");
    }

    #[test]
    fn apps_are_told_apart() {
        for (place, app) in APPS.iter().enumerate() {
            for other in &APPS[..place] {
                assert_ne!(app.name, other.name);
                assert!((app.home, app.number) != (other.home, other.number), "{} {}", app.name, other.name);
            }
            assert!(app.number < NUMBERED);
        }
    }
}
