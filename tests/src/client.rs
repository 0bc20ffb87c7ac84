//! Requests one after another, as a careful user would send them: it knows what may have had an effect.

use crate::wire::{Answer, Connection, Request};
use std::io;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// No connection: certainly without effect.
    Unsent(io::Error),
    /// Sent, or partly sent: may have had its effect.
    Lost(io::Error),
}

/// Sends requests one after another on one connection; opens another when that one ends.
pub struct Client {
    address: String,
    token: Option<String>,
    connection: Option<Connection>,
}

impl Client {
    /// A client of `host:port` without a connection yet.
    pub fn new(address: &str) -> Self {
        Client { address: address.into(), token: None, connection: None }
    }

    /// The same, sending a bearer token.
    pub fn with_token(self, token: &str) -> Self {
        Client { token: Some(token.into()), ..self }
    }

    /// Sends once, whatever happens.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn try_send(&mut self, request: &Request) -> Result<Answer, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.address).map_err(Failure::Unsent)?,
        };
        let request = match &self.token {
            Some(token) => request.clone().with("Authorization", format!("Bearer {token}")),
            None => request.clone(),
        };
        connection.send(&request.to_bytes()).map_err(Failure::Lost)?;
        let answer = connection.answer().map_err(Failure::Lost)?;
        let answer = answer.ok_or_else(|| Failure::Lost(io::ErrorKind::UnexpectedEof.into()))?;
        if !answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// The answer to `request`.
    ///
    /// # Panics
    /// If there is none.
    pub fn send(&mut self, request: Request) -> Answer {
        match self.try_send(&request) {
            Ok(answer) => answer,
            Err(failure) => panic!("{} gave no answer to {request:?}: {failure:?}", self.address),
        }
    }

    /// The answer to a `GET`.
    ///
    /// # Panics
    /// If there is none.
    pub fn get(&mut self, target: &str) -> Answer {
        self.send(Request::new("GET", target))
    }

    /// The answer to a `POST` of JSON.
    ///
    /// # Panics
    /// If there is none.
    pub fn post(&mut self, target: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send(Request::post(target, body))
    }

    /// True if the node says that it is ready.
    pub fn is_ready(&mut self) -> bool {
        self.try_send(&Request::new("GET", "/readyz")).is_ok_and(|answer| answer.status == 200)
    }
}
