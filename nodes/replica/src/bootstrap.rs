//! How a node without data finds out who it is.
//!
//! A node that comes up with an empty data folder under a configured id is one of two things: a node of a
//! cluster that is just being formed, or one that has lost its disk. The first may use its id. The second
//! must not, because votes were given and entries acknowledged under it: as the same member it would
//! break both promises. It can only become a new member, with an id that was never used.
//!
//! **The rule.** An empty folder draws a token, keeps it, and claims its id with all other configured
//! nodes. Each of them keeps, durably and for ever, the first token that claimed an id, and refuses all
//! others. The id is the claimer's once a majority *of the others* has agreed; until then it takes no part
//! in anything. One refusal is final: then the node joins as a new member in place of its old id.
//!
//! **Why that is enough.** Let an id be taken by token X. A majority of the others keeps X. If that
//! machine is wiped, its new token Y must convince a majority of the others as well; two majorities of the
//! same nodes share one, and that one refuses Y. The claimer's own word does not count, as it is the one
//! that has forgotten. Those who remember may be replaced in time; but as soon as a cluster is known
//! (`Directory::is_known`), everybody, newcomers included, also refuses ids that the replicated table of
//! members calls started, and each node enters itself there as soon as it runs. So the local claims only
//! have to hold for the moments in which a cluster forms.
//!
//! **A late beginner** still comes up: nobody keeps another token for its id, and the table of members
//! does not call it started.
//!
//! **Limits.** A node that reaches no majority of the others waits, so a cluster of three forms only once
//! all three have been up together. If, before the table of members exists, so many machines are wiped at
//! once that no majority of the others keeps a claim, nobody remembers it: that is beyond what a
//! replicated log survives too.

use crate::NodeId;
use crate::frame::{self, Frame, FrameReader, Introduction, Request, Response};
use rt::net::TcpStream;
use rt::task;
use rt::time;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// The newest format of logs, records and commands that this version speaks. Since 2, members can change;
/// since 3, a group holds several state machines side by side; since 4, members live in regions, and partitions
/// keep how far they have taken in other systems' messages.
pub const FORMAT: u32 = 4;

/// The format since which members can change.
pub const MEMBERS: u32 = 2;

/// The format since which members live in regions.
pub const REGIONS: u32 = 4;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What came of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The id is ours.
    Ours,
    /// It is another data folder's, most likely the one that was here before. The nodes of the cluster, as
    /// far as somebody knows it.
    Taken(BTreeMap<NodeId, String>),
    /// Too few answered: ask again.
    Open,
}

/// Asks whoever lives at `address`, over a connection of its own.
///
/// # Errors
/// If nobody answers in time. A request may have arrived all the same.
pub async fn ask(address: &str, cluster: u64, request: Request) -> io::Result<Response> {
    let asking = async {
        let stream = TcpStream::connect(address).await?;
        let (reader, mut writer) = tokio::io::split(stream);
        let hello = Frame::Hello { protocol: frame::PROTOCOL, cluster, from: 0, to: 0 };
        let mut bytes = frame::encode(&hello);
        bytes.extend(frame::encode(&Frame::Request { id: 0, request }));
        writer.write_all(&bytes).await?;
        let mut frames = FrameReader::new(reader);
        loop {
            match frames.next().await? {
                Some(Frame::Response { response, .. }) => return Ok(response),
                Some(Frame::Alive) => {}
                Some(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "not an answer")),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    };
    time::timeout(PATIENCE, asking).await.unwrap_or_else(|time::Elapsed| Err(io::ErrorKind::TimedOut.into()))
}

/// Asks all `addresses` at once what they know, and whether `node` may be `token`'s. In the order of
/// their ids; `None` for those who did not answer.
pub async fn introduce(
    addresses: &BTreeMap<NodeId, String>,
    cluster: u64,
    node: NodeId,
    token: u64,
) -> Vec<Option<Introduction>> {
    let asked: Vec<_> = addresses
        .values()
        .map(|address| {
            let address = address.clone();
            task::spawn(async move { ask(&address, cluster, Request::Introduce { node, token }).await })
        })
        .collect();
    let mut answers = Vec::new();
    for asked in asked {
        answers.push(match asked.await {
            Ok(Ok(Response::Introduced(introduction))) => Some(introduction),
            _ => None,
        });
    }
    answers
}

/// One round of claiming `node` for `token` with the other configured nodes.
pub async fn claim(others: &BTreeMap<NodeId, String>, cluster: u64, node: NodeId, token: u64) -> Claim {
    judge(others.len(), &introduce(others, cluster, node, token).await)
}

fn judge(others: usize, answers: &[Option<Introduction>]) -> Claim {
    let answered = || answers.iter().flatten();
    if answered().any(|answer| answer.taken) {
        return Claim::Taken(answered().flat_map(|answer| answer.nodes.iter().cloned()).collect());
    }
    if answered().count() > others / 2 || others == 0 { Claim::Ours } else { Claim::Open }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(taken: bool) -> Option<Introduction> {
        let nodes = if taken { vec![(1, "a:1".to_owned())] } else { Vec::new() };
        Some(Introduction { format: FORMAT, taken, version: 0, nodes })
    }

    #[test]
    fn a_majority_of_the_others_must_agree_and_one_refusal_is_final() {
        assert_eq!(judge(0, &[]), Claim::Ours);
        assert_eq!(judge(1, &[None]), Claim::Open);
        assert_eq!(judge(2, &[said(false), None]), Claim::Open);
        assert_eq!(judge(2, &[said(false), said(false)]), Claim::Ours);
        assert_eq!(judge(3, &[said(false), None, said(false)]), Claim::Ours);
        let nodes = [(1, "a:1".to_owned())].into();
        assert_eq!(judge(3, &[said(false), said(true), said(false)]), Claim::Taken(nodes));
        assert!(matches!(judge(3, &[None, said(true), None]), Claim::Taken(_)));
    }
}
