//! Points in columns, in the order of their arrival: what is open in memory, and what rows hold.

use serde::{Deserialize, Serialize};

/// A point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Number of its series.
    pub series: u32,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Bits of a float; for a set, the place of the member in the columns' `members`.
    pub bits: u64,
}

/// Columns of equal length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Numbers of series.
    pub series: Vec<u32>,
    /// Times.
    pub times: Vec<u64>,
    /// Bits of values.
    pub bits: Vec<u64>,
    /// Members of sets.
    pub members: Vec<String>,
}

/// As it is stored: times as differences, values as bytes.
#[derive(Serialize, Deserialize)]
struct Stored {
    series: Vec<u32>,
    times: Vec<i64>,
    #[serde(with = "serde_bytes")]
    values: Vec<u8>,
    members: Vec<String>,
}

/// What is known of a block without reading its points; stored in front of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of points.
    pub count: u64,
    /// Earliest time.
    pub first_ms: u64,
    /// Latest time.
    pub last_ms: u64,
}

impl Columns {
    /// Number of points.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// True without points.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// All points.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        let numbers = self.series.iter().zip(&self.times).zip(&self.bits);
        numbers.map(|((series, at_ms), bits)| Point { series: *series, at_ms: *at_ms, bits: *bits })
    }

    /// Appends others, whose members follow ours.
    pub fn append(&mut self, mut other: Columns, is_set: impl Fn(u32) -> bool) {
        let before = self.members.len() as u64;
        if !other.members.is_empty() && before > 0 {
            let sets = other.series.iter().map(|series| is_set(*series));
            other.bits.iter_mut().zip(sets).filter(|(_, set)| *set).for_each(|(bits, _)| *bits += before);
        }
        self.series.append(&mut other.series);
        self.times.append(&mut other.times);
        self.bits.append(&mut other.bits);
        self.members.append(&mut other.members);
    }

    /// What is known without the points.
    pub fn head(&self) -> Head {
        Head {
            count: self.len() as u64,
            first_ms: self.times.iter().copied().min().unwrap_or(0),
            last_ms: self.times.iter().copied().max().unwrap_or(0),
        }
    }

    /// As a row: the head, then the columns.
    pub fn encode(&self) -> Vec<u8> {
        let mut last = 0u64;
        let times = self.times.iter().map(|at| {
            let difference = at.wrapping_sub(last).cast_signed();
            last = *at;
            difference
        });
        let stored = Stored {
            series: self.series.clone(),
            times: times.collect(),
            values: self.bits.iter().flat_map(|bits| bits.to_le_bytes()).collect(),
            members: self.members.clone(),
        };
        super::command::encode(&(self.head(), stored))
    }

    /// Back from a row.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn decode(row: &[u8]) -> Result<Self, String> {
        let (head, stored): (Head, Stored) = postcard::from_bytes(row).map_err(|error| error.to_string())?;
        let mut last = 0u64;
        let times = stored.times.into_iter().map(|difference| {
            last = last.wrapping_add(difference.cast_unsigned());
            last
        });
        let (words, rest) = stored.values.as_chunks::<8>();
        let columns = Columns {
            times: times.collect(),
            bits: words.iter().map(|word| u64::from_le_bytes(*word)).collect(),
            series: stored.series,
            members: stored.members,
        };
        let count = columns.len();
        if !rest.is_empty() || columns.times.len() != count || columns.bits.len() != count {
            return Err("columns of different lengths".into());
        }
        if columns.head() != head {
            return Err("a head that does not fit its points".into());
        }
        Ok(columns)
    }

    /// The head of a row.
    ///
    /// # Errors
    /// A text, if there is none.
    pub fn decode_head(row: &[u8]) -> Result<Head, String> {
        postcard::take_from_bytes(row).map(|(head, _)| head).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_hold_what_was_put_in(
            points in proptest::collection::vec((0u32..9, 0u64..1 << 60, any::<u64>()), 0..200),
            members in proptest::collection::vec("[a-z]{0,4}", 0..5),
        ) {
            let columns = Columns {
                series: points.iter().map(|point| point.0).collect(),
                times: points.iter().map(|point| point.1).collect(),
                bits: points.iter().map(|point| point.2).collect(),
                members,
            };
            let row = columns.encode();
            prop_assert_eq!(Columns::decode(&row), Ok(columns.clone()));
            prop_assert_eq!(Columns::decode_head(&row), Ok(columns.head()));
            prop_assert!(Columns::decode(&row[..row.len() - 1]).is_err());
        }
    }

    #[test]
    fn members_follow_those_before() {
        let set = |members: &[&str]| Columns {
            series: vec![0, 1],
            times: vec![1, 1],
            bits: vec![0, 7],
            members: members.iter().map(|member| (*member).to_owned()).collect(),
        };
        let mut both = set(&["a"]);
        both.append(set(&["b"]), |series| series == 0);
        assert_eq!((both.bits, both.members), (vec![0, 7, 1, 7], vec!["a".to_owned(), "b".to_owned()]));
    }
}
