//! A node of Distri, for programs that bring functions of their own.

use crate::node::{self, Node, StartError};
use crate::options::{NodeOptions, OptionsError, Role};
use apps::Profile;
pub use apps::distri::{Cancelled, Function};
use replica::NodeId;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// From a node's port of the byte protocol to its API port (3000 to 8080), and to its peer port (9090).
const TO_API: u16 = 5_080;
const TO_PEER: u16 = 6_090;

/// A node of the cloud. It ends when this is dropped.
pub struct CloudNode(Node);

impl CloudNode {
    /// Starts the node whose byte protocol is at the first of `addresses`; the others are its cloud. All
    /// nodes are given the same addresses, each with its own first. API and peer ports follow from them.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(addresses: &[String], data: PathBuf) -> Result<Self, StartError> {
        CloudNode::start_with(addresses, data, |_| {}).await
    }

    /// The same, with options changed before the start: another token, allowed keys, …
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_with(
        addresses: &[String],
        data: PathBuf,
        change: impl FnOnce(&mut NodeOptions),
    ) -> Result<Self, StartError> {
        let refused = |text: String| StartError::Options(OptionsError::Settings(text));
        let own = addresses.first().ok_or_else(|| refused("a node needs an address".into()))?;
        // Everybody counts alike, whoever stands first.
        let mut sorted = addresses.to_vec();
        sorted.sort();
        sorted.dedup();
        let mut peers: BTreeMap<NodeId, String> = BTreeMap::new();
        let mut id = 0;
        for (number, address) in (1..).zip(&sorted) {
            peers.insert(number, shifted(address, TO_PEER).map_err(refused)?);
            if address == own {
                id = number;
            }
        }
        let listen = shifted(own, TO_API).map_err(refused)?;
        let mut options = NodeOptions::new(id, Role::All, &listen, peers, data);
        options.profile = Profile::Distri;
        options.settings.insert("distri".into(), serde_json::json!({ "listen": own }));
        change(&mut options);
        node::start(options).await.map(CloudNode)
    }

    /// Serves a function; it replaces an older one of its name.
    pub fn register(&self, function: Arc<dyn Function>) {
        self.0.functions().register(function);
    }

    /// The node.
    pub fn node(&mut self) -> &mut Node {
        &mut self.0
    }
}

/// Where the byte protocol listens beside an API address: 3000 beside 8080, and so on. `None` where no such
/// port is.
pub fn beside(api: &str) -> Option<String> {
    let (host, port) = api.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let port = if port == 0 { 0 } else { port.checked_sub(TO_API).filter(|port| *port > 0)? };
    Some(format!("{host}:{port}"))
}

/// The settings of a cluster of that profile whose first node has its API at `listen`.
pub fn settings(profile: Profile, listen: &str) -> BTreeMap<String, serde_json::Value> {
    let listen = beside(listen).filter(|_| profile == Profile::Distri);
    let table = |listen| ("distri".to_owned(), serde_json::json!({ "listen": listen }));
    listen.map(table).into_iter().collect()
}

/// Opens the byte protocol on a node of this profile, where its settings do not say otherwise: beside its
/// API, and reached at the host of its peer address.
pub fn open(options: &mut NodeOptions) {
    let Some(listen) = beside(&options.listen).filter(|_| options.profile == Profile::Distri) else { return };
    let peer = options.peer_address();
    let address = peer.rsplit_once(':').zip(listen.rsplit_once(':'));
    let address = address.map(|((host, _), (_, port))| (host.to_owned(), port.to_owned()));
    let table = options.settings.entry("distri".into()).or_insert_with(|| serde_json::json!({}));
    let Some(table) = table.as_object_mut() else { return };
    if !table.contains_key("listen") {
        if let Some((host, port)) = address.filter(|(_, port)| port != "0") {
            table.entry("address").or_insert_with(|| format!("{host}:{port}").into());
        }
        table.insert("listen".into(), listen.into());
    }
}

fn shifted(address: &str, by: u16) -> Result<String, String> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let (host, port) = parts.ok_or_else(|| format!("{address:?} is no address; host:port is"))?;
    let port =
        port.checked_add(by).ok_or_else(|| format!("{address:?}: ports up to {} go", u16::MAX - by))?;
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_follow_from_each_other() {
        assert_eq!(beside("127.0.0.1:8080").as_deref(), Some("127.0.0.1:3000"));
        assert_eq!(beside("[::1]:8082").as_deref(), Some("[::1]:3002"));
        assert_eq!(beside("127.0.0.1:0").as_deref(), Some("127.0.0.1:0"));
        assert_eq!(beside("127.0.0.1:5080"), None);
        assert_eq!(shifted("127.0.0.1:3001", TO_PEER).as_deref(), Ok("127.0.0.1:9091"));
        for wrong in ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:65000"] {
            shifted(wrong, TO_API).unwrap_err();
        }
    }

    #[test]
    fn the_byte_protocol_opens_where_compose_files_publish_it() {
        let peers = BTreeMap::from([(1, "node1:9090".to_owned())]);
        let mut options = NodeOptions::new(1, Role::All, "0.0.0.0:8080", peers, "data".into());
        open(&mut options);
        assert!(options.settings.is_empty(), "other profiles have none");
        options.profile = Profile::Distri;
        open(&mut options);
        let expected = serde_json::json!({ "listen": "0.0.0.0:3000", "address": "node1:3000" });
        assert_eq!(options.settings["distri"], expected);
        options.settings.insert("distri".into(), serde_json::json!({ "listen": "0.0.0.0:1" }));
        open(&mut options);
        assert_eq!(options.settings["distri"], serde_json::json!({ "listen": "0.0.0.0:1" }), "as was said");
    }
}
