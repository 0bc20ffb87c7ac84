//! The messages of the Distributed Analytics System, in the three forms that it speaks: bincode 1 (fixed
//! little-endian integers, lengths of 64 bits), Protobuf (`nodes/client/proto/analytics.proto`) and JSON.
//!
//! The crate `bincode` is no longer maintained; its layout of these few messages is written by hand, and
//! golden bytes hold it.

use serde::{Deserialize, Serialize};

/// Body of `POST /insert`.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
#[serde(deny_unknown_fields)]
pub struct Insert {
    /// What picks the partition: 1 to 256 bytes of UTF-8.
    #[prost(string, tag = "1")]
    pub partition_key: String,
    /// A finite number.
    #[prost(double, tag = "2")]
    pub value: f64,
}

/// Answer to `POST /insert`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, prost::Message)]
pub struct Inserted {
    /// True if it is stored.
    #[prost(bool, tag = "1")]
    pub success: bool,
    /// What happened, for people.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// Which rows `GET /analytics` is about; the default is all.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, prost::Message)]
#[serde(deny_unknown_fields)]
pub struct AnalyticsQuery {
    /// What partition keys begin with.
    #[prost(string, optional, tag = "1")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_prefix: Option<String>,
    /// Not older than this, in milliseconds since the Unix epoch.
    #[prost(uint64, optional, tag = "2")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Older than this, in milliseconds since the Unix epoch.
    #[prost(uint64, optional, tag = "3")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
}

/// Answer to `GET /analytics`.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
pub struct Analytics {
    /// Average of the rows that were heard of; 0 if there are none.
    #[prost(double, tag = "1")]
    pub average: f64,
    /// True if some partition had no fresh answer in time.
    #[prost(bool, tag = "2")]
    pub is_partial: bool,
    /// Workers of the cluster.
    #[prost(uint32, tag = "3")]
    pub total_nodes: u32,
    /// Workers that answered in time.
    #[prost(uint32, tag = "4")]
    pub responding_nodes: u32,
}

/// A message in the layout of bincode 1.
pub trait Bincode: Sized {
    /// Adds its bytes.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes it off the front.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;

    /// Its bytes.
    fn to_bincode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// The message that `bytes` are, and nothing more.
    fn from_bincode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let message = Self::read(&mut reader)?;
        reader.0.is_empty().then_some(message)
    }
}

/// Bytes still to be read.
pub struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}

impl Bincode for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.take()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }
}

macro_rules! little_endian {
    ($($kind:ty),*) => {$(
        impl Bincode for $kind {
            fn write(&self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }

            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                reader.take().map(<$kind>::from_le_bytes)
            }
        }
    )*};
}
little_endian!(u32, u64, f64);

impl Bincode for String {
    fn write(&self, out: &mut Vec<u8>) {
        (self.len() as u64).write(out);
        out.extend(self.as_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let length = usize::try_from(u64::read(reader)?).ok()?;
        let (text, rest) = reader.0.split_at_checked(length)?;
        reader.0 = rest;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }
}

impl<T: Bincode> Bincode for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if bool::read(reader)? { T::read(reader).map(Some) } else { Some(None) }
    }
}

macro_rules! fields_in_order {
    ($message:ident: $($field:ident),*) => {
        impl Bincode for $message {
            fn write(&self, out: &mut Vec<u8>) {
                $(self.$field.write(out);)*
            }

            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                Some($message { $($field: Bincode::read(reader)?,)* })
            }
        }
    };
}
fields_in_order!(Insert: partition_key, value);
fields_in_order!(Inserted: success, message);
fields_in_order!(AnalyticsQuery: key_prefix, from_ms, to_ms);
fields_in_order!(Analytics: average, is_partial, total_nodes, responding_nodes);

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes as bincode 1.3.3 writes them.
    #[test]
    fn bytes_do_not_change() {
        let insert = Insert { partition_key: "sensor-1".into(), value: 21.5 };
        let bytes = b"\x08\0\0\0\0\0\0\0sensor-1\0\0\0\0\0\x80\x35\x40";
        assert_eq!(insert.to_bincode(), bytes);
        assert_eq!(Insert::from_bincode(bytes), Some(insert));

        let answer = Analytics { average: 21.5, is_partial: true, total_nodes: 3, responding_nodes: 2 };
        let bytes = b"\0\0\0\0\0\x80\x35\x40\x01\x03\0\0\0\x02\0\0\0";
        assert_eq!(answer.to_bincode(), bytes);
        assert_eq!(Analytics::from_bincode(bytes), Some(answer));

        let done = Inserted { success: true, message: "ok".into() };
        assert_eq!(done.to_bincode(), b"\x01\x02\0\0\0\0\0\0\0ok");
        let query = AnalyticsQuery { key_prefix: Some("a".into()), from_ms: None, to_ms: Some(2) };
        assert_eq!(query.to_bincode(), b"\x01\x01\0\0\0\0\0\0\0a\0\x01\x02\0\0\0\0\0\0\0");
    }

    #[test]
    fn pieces_and_more_are_no_message() {
        let bytes = Insert { partition_key: "sensor-1".into(), value: 21.5 }.to_bincode();
        for end in 0..bytes.len() {
            assert_eq!(Insert::from_bincode(&bytes[..end]), None, "{end} bytes");
        }
        assert_eq!(Insert::from_bincode(&[&bytes[..], b"x"].concat()), None);
        assert_eq!(Insert::from_bincode(&[0xff; 24]), None, "a length beyond all bytes");
        assert_eq!(bool::from_bincode(&[2]), None);
        assert_eq!(String::from_bincode(b"\x01\0\0\0\0\0\0\0\xff"), None, "no UTF-8");
    }
}
