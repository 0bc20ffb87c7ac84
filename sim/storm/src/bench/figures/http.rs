//! Requests one after the other, for what is not measured by wrk.

use anyhow::Context;
use bytes::Bytes;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);

/// A client and the runtime that it lives in.
pub(super) struct Http {
    runtime: tokio::runtime::Runtime,
    client: rt::http::Client,
}

impl Http {
    pub fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let options =
            rt::http::ClientOptions { max_idle_per_host: 512, ..rt::http::ClientOptions::default() };
        Ok(Http { runtime, client: rt::http::Client::new(options) })
    }

    pub fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }

    pub fn client(&self) -> rt::http::Client {
        self.client.clone()
    }

    /// The body of a good answer.
    pub fn get(&self, host: &str, path: &str) -> anyhow::Result<Bytes> {
        self.ask(host, ::http::Request::get(path).body(Bytes::new())?)
    }

    /// The body of a good answer.
    pub fn post(&self, host: &str, path: &str, body: impl Into<Bytes>) -> anyhow::Result<Bytes> {
        self.ask(host, post(path, body.into())?)
    }

    fn ask(&self, host: &str, request: ::http::Request<Bytes>) -> anyhow::Result<Bytes> {
        let what = format!("{} {host}{}", request.method(), request.uri());
        let answer = self.runtime.block_on(self.client.send(host, request, DEADLINE));
        let answer = answer.with_context(|| what.clone())?;
        let good = answer.status().is_success();
        anyhow::ensure!(
            good,
            "{what}: {} {}",
            answer.status(),
            String::from_utf8_lossy(answer.body()).chars().take(300).collect::<String>()
        );
        Ok(answer.into_body())
    }
}

/// A request with JSON.
pub(super) fn post(path: &str, body: Bytes) -> anyhow::Result<::http::Request<Bytes>> {
    let request = ::http::Request::post(path).header(::http::header::CONTENT_TYPE, "application/json");
    Ok(request.body(body)?)
}
