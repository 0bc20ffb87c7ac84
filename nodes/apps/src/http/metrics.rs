//! What a node measures about itself.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use rt::time::Instant;

use crate::cluster::Cluster;

/// Labels of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route's pattern: no label grows with what users send.
    pub route: String,
    /// HTTP method.
    pub method: String,
    /// HTTP status.
    pub status: u16,
}

/// A node's own measurements.
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    requests: Family<RequestLabels, Counter>,
    request_seconds: Histogram,
}

impl Default for NodeMetrics {
    fn default() -> Self {
        // 100 µs to 6.5 s.
        let buckets = exponential_buckets(0.0001, 2.0, 17);
        NodeMetrics { requests: Family::default(), request_seconds: Histogram::new(buckets) }
    }
}

impl NodeMetrics {
    /// Puts them into a registry, to be encoded.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("seedstorm_http_requests", "HTTP requests answered", self.requests.clone());
        let help = "Time from headers read to answer ready";
        registry.register("seedstorm_http_request_seconds", help, self.request_seconds.clone());
    }

    fn observe(&self, labels: RequestLabels, seconds: f64) {
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.observe(seconds);
    }
}

/// Measures a request.
pub async fn measure(State(cluster): State<Cluster>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = match request.method().as_str() {
        known @ ("GET" | "POST" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" | "PATCH") => known.to_owned(),
        // A label must not grow with what users send.
        _ => "other".to_owned(),
    };
    let response = next.run(request).await;
    let labels = RequestLabels { route, method, status: response.status().as_u16() };
    cluster.metrics().observe(labels, began.elapsed().as_secs_f64());
    response
}
