//! Who is a full member now, as the cluster itself says over its API: for the atlas, which lets the next
//! machine be damaged only when the last one's successor is in its place.

use crate::aftermath::Aftermath;
use rt::time;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// What the last look found.
#[derive(Clone, Default)]
pub(crate) struct Membership(Arc<Mutex<BTreeMap<String, u64>>>);

impl Membership {
    /// The node on a machine, if the last look found every group complete and nothing under way.
    pub(crate) fn of(&self, machine: &str) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(machine).copied()
    }

    /// Looks again and again, until the machine that it runs on ends.
    pub(crate) async fn look(self, from: Aftermath) {
        let http = rt::http::Client::new(rt::http::ClientOptions::default());
        loop {
            let found = settled(&http, &from).await.unwrap_or_default();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
            time::sleep(PAUSE).await;
        }
    }
}

/// Node ids by machine; `None` unless all machines answer, they are the members and all of them are active,
/// and each group's leader sees the voters that the members' table wants.
///
/// A machine between two identities answers too: it is nobody then, and in no table.
async fn settled(http: &rt::http::Client, from: &Aftermath) -> Option<BTreeMap<String, u64>> {
    let mut nodes = BTreeMap::new();
    let mut led: BTreeMap<u64, Value> = BTreeMap::new();
    for (name, endpoint) in &from.endpoints {
        let stats = from.json(http, endpoint, "/replicas").await?;
        nodes.insert(name.clone(), stats["node"].as_u64()?);
        for group in stats["groups"].as_array()?.iter().filter(|group| group["leads"] == true) {
            led.insert(group["group"].as_u64()?, group.clone());
        }
    }
    // Asked last: whoever was somebody before is in it.
    let table = from.json(http, from.endpoints.values().next()?, "/cluster/members").await?;
    let members = table["members"].as_array()?;
    let active = members.iter().filter(|member| member["state"] == "active");
    let active: BTreeSet<u64> = active.filter_map(|member| member["id"].as_u64()).collect();
    let here: BTreeSet<u64> = nodes.values().copied().collect();
    let all_active = active.len() == members.len() && active == here;
    let mut groups = table["groups"].as_array()?.iter();
    let complete = groups.all(|wanted| {
        let leader = wanted["group"].as_u64().and_then(|group| led.get(&group));
        leader.is_some_and(|group| {
            ids(&group["voters"]) == ids(&wanted["voters"]) && ids(&group["voters_outgoing"]).is_empty()
        })
    });
    (all_active && complete).then_some(nodes)
}

fn ids(list: &Value) -> BTreeSet<u64> {
    list.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
}
