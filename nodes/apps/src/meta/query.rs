//! What can be asked of the meta group.

use super::{Placement, Regions, Table};
use serde::{Deserialize, Serialize};

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// The first placement; the answer is an `Option<Placement>`. For nodes of format 1.
    Placement,
    /// Everything; the answer is a [`View`].
    View,
}

/// Everything that the meta group knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Where partitions began to live; `None` as long as there is no cluster.
    pub genesis: Option<Placement>,
    /// The table of members, once there is one.
    pub table: Option<Table>,
    /// The format that every member has been heard to speak; 0 before anybody asked.
    pub format: u32,
}

impl View {
    /// Where partitions should live now.
    pub fn placement(&self) -> Option<&Placement> {
        self.table.as_ref().map(|table| &table.placement).or(self.genesis.as_ref())
    }

    /// Who lives in which region.
    pub fn regions(&self) -> Option<&Regions> {
        self.table.as_ref().map(|table| &table.regions)
    }

    /// As an answer. Regions follow the rest, where there are some: older versions read no further.
    pub(super) fn encode(&self) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        let mut bytes = postcard::to_stdvec(self).unwrap_or_default();
        if let Some(regions) = self.regions().filter(|regions| !regions.is_empty()) {
            bytes.extend(postcard::to_stdvec(regions).unwrap_or_default());
        }
        bytes
    }
}

impl Query {
    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        // Serialisation of plain data into memory has no way to fail.
        postcard::to_stdvec(&self).unwrap_or_default()
    }
}

/// The view in an answer; `None` if there is none in it.
pub fn view(answer: &[u8]) -> Option<View> {
    let Ok((mut view, regions)) = postcard::take_from_bytes::<View>(answer) else {
        // A node of format 2 answers without the last field.
        let (genesis, table) = postcard::from_bytes(answer).ok()?;
        return Some(View { genesis, table, format: 0 });
    };
    if let Some(table) = view.table.as_mut().filter(|_| !regions.is_empty()) {
        table.regions = postcard::from_bytes(regions).ok()?;
    }
    Some(view)
}
