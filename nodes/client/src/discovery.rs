//! Service discovery: who can be asked, as a node tells after it has asked all of them. The form is the one
//! that Prometheus reads (`http_sd_config`).

use rt::http::Client;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest wait for one node's answer: it asks others meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// What labels of a target begin with.
pub const LABEL: &str = "__meta_seedstorm_";

/// Addresses with what is known of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// API addresses (`host:port`).
    pub targets: Vec<String>,
    /// What is known of them, by names that begin with [`LABEL`].
    pub labels: BTreeMap<String, String>,
}

impl TargetGroup {
    /// What is known under that name, without [`LABEL`].
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(&format!("{LABEL}{name}")).map(String::as_str)
    }
}

/// The healthy API addresses of the cluster that one of `addresses` belongs to: of the first that answers.
/// `None` if none does.
pub async fn discover(http: &Client, addresses: &[String], token: &str) -> Option<Vec<String>> {
    for address in addresses {
        let request = http::Request::get("/discovery").header("authorization", format!("Bearer {token}"));
        let Ok(request) = request.body(bytes::Bytes::new()) else { continue };
        let answer = http.send(address, request, PATIENCE).await.ok().filter(|a| a.status().is_success());
        let groups = answer.and_then(|answer| serde_json::from_slice::<Vec<TargetGroup>>(answer.body()).ok());
        if let Some(groups) = groups {
            return Some(groups.into_iter().flat_map(|group| group.targets).collect());
        }
    }
    None
}
