//! Why the store cannot go on.

use super::blocks::Damage;
use crate::GroupId;
use std::io::{self, ErrorKind};

/// Why the store cannot go on. What is on the disk after an error is unknown: the node must stop.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no: an error once, or no space. The node may be started again.
    #[error("disk: {0}")]
    Io(io::Error),
    /// redb said no.
    #[error("store: {0}")]
    Redb(Box<redb::Error>),
    /// The file belongs to another node or cluster, or has another format.
    #[error("{what} of the data folder is {found}, this node's is {expected}")]
    Foreign {
        /// `format`, `cluster` or `node`.
        what: &'static str,
        /// In the file.
        found: u64,
        /// In the options.
        expected: u64,
    },
    /// Bytes that were not written by us, or have rotted.
    #[error("damaged data in group {group}: {reason}")]
    Damaged {
        /// Group.
        group: GroupId,
        /// Which row and why.
        reason: String,
    },
    /// The file is not what was written: something in it has rotted, or is gone.
    #[error("damaged data: {reason}")]
    DamagedFile {
        /// What, and why.
        reason: String,
    },
    /// Another process uses the data folder.
    #[error("the data folder is in use by another process")]
    InUse,
}

impl StoreError {
    /// True if data is lost. The node must not vote, and must be rebuilt from its peers; anything else may
    /// be over when it is started again.
    pub fn is_damage(&self) -> bool {
        matches!(self, StoreError::Damaged { .. } | StoreError::DamagedFile { .. })
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        let told = error.get_ref().is_some_and(|inner| inner.is::<Damage>());
        // Not ours: redb's, of a header that makes no sense, or a file that ends too soon.
        if told || matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) {
            return StoreError::DamagedFile { reason: error.to_string() };
        }
        StoreError::Io(error)
    }
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => error.into(),
            redb::Error::Corrupted(reason) => StoreError::DamagedFile { reason },
            error => StoreError::Redb(Box::new(error)),
        }
    }
}

/// redb has an error type per operation; here they all mean that the node must stop.
macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}
from_redb!(CommitError, DatabaseError, StorageError, TableError, TransactionError);
