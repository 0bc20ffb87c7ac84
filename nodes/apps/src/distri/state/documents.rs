//! Collections and their documents.

use super::{COLLECTION, Document, MAX_ANSWER_BYTES, State, document, document_key, named};
use crate::distri::command::{self, Refused, Reply};
use crate::distri::command::{FIRST_COLLECTIONS, MAX_COLLECTIONS, MAX_DOCUMENTS, MAX_TOTAL_BYTES};
use crate::distri::query::Found;
use crate::distri::selector::Selector;
use std::collections::BTreeMap;
use std::ops::Bound;

impl State {
    pub(super) fn create(&mut self, name: String) -> Result<Reply, Refused> {
        if !command::is_name(&name) {
            return Err(Refused::Invalid);
        }
        if self.collections.contains_key(&name) {
            return Err(Refused::Known);
        }
        if self.collections.len() >= MAX_COLLECTIONS {
            return Err(Refused::Full);
        }
        self.changed.insert(named(COLLECTION, &name));
        self.collections.insert(name, BTreeMap::new());
        Ok(Reply::Done)
    }

    pub(super) fn drop_collection(&mut self, name: &str) -> Result<Reply, Refused> {
        if FIRST_COLLECTIONS.contains(&name) {
            return Err(Refused::Fixed);
        }
        let documents = self.collections.remove(name).ok_or(Refused::NoCollection)?;
        self.changed.insert(named(COLLECTION, name));
        for (id, document) in &documents {
            self.forget(name, id, document);
        }
        Ok(Reply::Deleted(documents.len() as u64))
    }

    /// Takes a document that was removed out of the sums.
    pub(super) fn forget(&mut self, collection: &str, id: &str, document: &Document) {
        self.documents -= 1;
        self.bytes -= document.body.len();
        self.changed.insert(document_key(collection, id));
    }

    pub(super) fn put(&mut self, name: &str, id: String, body: String, new: bool) -> Result<Reply, Refused> {
        let document = document(body)?;
        if !command::is_id(&id) {
            return Err(Refused::Invalid);
        }
        let collection = self.collections.get_mut(name).ok_or(Refused::NoCollection)?;
        let old = collection.get(&id).map(|document| document.body.len());
        match old {
            Some(_) if new => return Err(Refused::Known),
            None if !new => return Err(Refused::NoDocument),
            _ => (),
        }
        let bytes = self.bytes - old.unwrap_or(0) + document.body.len();
        let documents = self.documents + usize::from(new);
        if documents > MAX_DOCUMENTS || bytes > MAX_TOTAL_BYTES {
            return Err(Refused::Full);
        }
        (self.documents, self.bytes) = (documents, bytes);
        self.changed.insert(document_key(name, &id));
        collection.insert(id, document);
        Ok(Reply::Done)
    }

    pub(super) fn delete(&mut self, name: &str, selector: &str) -> Result<Reply, Refused> {
        let selector = Selector::parse(selector.as_bytes()).map_err(|_| Refused::Invalid)?;
        let collection = self.collections.get_mut(name).ok_or(Refused::NoCollection)?;
        let matching = collection.iter().filter(|(id, document)| selector.matches(id, &document.fields));
        let ids: Vec<String> = matching.map(|(id, _)| id.clone()).collect();
        let gone: Vec<(String, Document)> = ids.iter().filter_map(|id| collection.remove_entry(id)).collect();
        for (id, document) in &gone {
            self.forget(name, id, document);
        }
        Ok(Reply::Deleted(gone.len() as u64))
    }

    /// Documents of a collection that are wanted, no more than fit.
    pub(super) fn found(
        &self,
        collection: &str,
        after: Option<String>,
        limit: u64,
        wanted: impl Fn(&str, &Document) -> bool,
    ) -> Found {
        let Some(collection) = self.collections.get(collection) else { return Found::default() };
        let mut found = Found { collection: true, ..Found::default() };
        let mut bytes = 0;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (id, document) in collection.range((from, Bound::Unbounded)) {
            if !wanted(id, document) {
                continue;
            }
            bytes += document.body.len();
            if found.documents.len() as u64 >= limit || bytes > MAX_ANSWER_BYTES {
                found.more = true;
                break;
            }
            found.documents.push((id.clone(), document.body.clone()));
        }
        found
    }

    pub(super) fn one(&self, collection: &str, id: &str) -> Found {
        let Some(collection) = self.collections.get(collection) else { return Found::default() };
        let document = collection.get_key_value(id).map(|(id, document)| (id.clone(), document.body.clone()));
        Found { collection: true, documents: document.into_iter().collect(), more: false }
    }
}
