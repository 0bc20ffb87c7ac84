//! Series by their definitions, names and tags.

use super::command::{Definition, Kind};
use super::query::Select;
use std::collections::{BTreeMap, HashMap};

/// All series of a partition, numbered in the order in which they came.
#[derive(Default)]
pub struct Index {
    definitions: Vec<Definition>,
    /// By the bytes of the definition. Only looked up, never walked through: its order is random.
    numbers: HashMap<Vec<u8>, u32>,
    /// Numbers in rising order.
    by_name: BTreeMap<String, Vec<u32>>,
    by_tag: BTreeMap<(String, String), Vec<u32>>,
}

impl Index {
    /// Number of series.
    pub fn len(&self) -> usize {
        self.definitions.len()
    }

    /// True without series.
    pub fn is_empty(&self) -> bool {
        self.definitions.is_empty()
    }

    /// The series with these bytes as its definition.
    pub fn number(&self, bytes: &[u8]) -> Option<u32> {
        self.numbers.get(bytes).copied()
    }

    /// What a series is.
    pub fn definition(&self, number: u32) -> Option<&Definition> {
        self.definitions.get(number as usize)
    }

    /// True if the series is a set.
    pub fn is_set(&self, number: u32) -> bool {
        self.definition(number).is_some_and(|definition| definition.kind == Kind::Set)
    }

    /// Takes a new series in; gives its number.
    pub fn insert(&mut self, bytes: &[u8], definition: Definition) -> u32 {
        // The limit of series is far below what 32 bits can number.
        let number = self.definitions.len() as u32;
        self.numbers.insert(bytes.to_vec(), number);
        self.by_name.entry(definition.name.clone()).or_default().push(number);
        for tag in &definition.tags {
            self.by_tag.entry(tag.clone()).or_default().push(number);
        }
        self.definitions.push(definition);
        number
    }

    /// Numbers of the series that are selected, in rising order.
    pub fn select(&self, select: &Select) -> Vec<u32> {
        let none = Vec::new();
        let mut lists: Vec<&Vec<u32>> = Vec::new();
        if let Some(name) = &select.name {
            lists.push(self.by_name.get(name).unwrap_or(&none));
        }
        lists.extend(select.tags.iter().map(|tag| self.by_tag.get(tag).unwrap_or(&none)));
        lists.sort_by_key(|list| list.len());
        let Some((shortest, others)) = lists.split_first() else {
            return (0..self.definitions.len() as u32).collect();
        };
        let in_all = |number: &&u32| others.iter().all(|list| list.binary_search(number).is_ok());
        shortest.iter().filter(in_all).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_tags_meet() {
        let mut index = Index::default();
        for (name, tags) in [("a", "x1"), ("a", "x2"), ("b", "x1"), ("a", "")] {
            let tags = tags.chars().collect::<Vec<_>>();
            let tags = tags.chunks(2).map(|tag| (tag[0].to_string(), tag[1].to_string())).collect();
            let definition = Definition { kind: Kind::Gauge, name: name.into(), tags };
            index.insert(&super::super::command::encode(&definition), definition);
        }
        let select = |name: Option<&str>, tags: &[(&str, &str)]| {
            let tags = tags.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            index.select(&Select { name: name.map(Into::into), tags, ..Select::default() })
        };
        assert_eq!(select(Some("a"), &[]), [0, 1, 3]);
        assert_eq!(select(Some("a"), &[("x", "1")]), [0]);
        assert_eq!(select(None, &[("x", "1")]), [0, 2]);
        assert_eq!(select(None, &[]), [0, 1, 2, 3]);
        assert!(select(Some("a"), &[("y", "1")]).is_empty());
        assert!(select(Some("c"), &[]).is_empty());
    }
}
