//! NATS JetStream as the broker.
//!
//! A stream is read by its messages' numbers, many requests at once, and no consumer is made. Every request
//! goes to the stream's leader. The connection is made when it is first needed, and made again by the library.

use super::{Answer, Broker, BrokerError, Last, Message, Page, Published};
use async_nats::header;
use async_nats::jetstream::context::{Context, GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, RawMessageErrorKind, Stream};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{ConnectOptions, HeaderMap};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use std::fmt::Display;
use std::time::Duration;
use tokio::sync::OnceCell;

const PARTITION: &str = "Seedstorm-Partition";
const FIRST: &str = "Seedstorm-First";
const COUNT: &str = "Seedstorm-Count";

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Messages that are asked for at once.
const AT_ONCE: usize = 64;

/// A NATS server, or a cluster of them.
pub(super) struct Nats {
    url: String,
    context: OnceCell<Context>,
}

fn lost(error: impl Display) -> BrokerError {
    BrokerError(error.to_string())
}

impl Nats {
    pub(super) fn new(url: &str) -> Self {
        Nats { url: url.to_owned(), context: OnceCell::new() }
    }

    async fn context(&self) -> Result<&Context, BrokerError> {
        let connect = || async {
            let options = ConnectOptions::new().name("seedstorm").request_timeout(Some(PATIENCE));
            let options = options.connection_timeout(PATIENCE);
            let client = options.connect(self.url.as_str()).await.map_err(lost)?;
            let mut context = jetstream::new(client);
            context.set_timeout(PATIENCE);
            Ok(context)
        };
        self.context.get_or_try_init(connect).await
    }

    async fn stream(&self, name: &str) -> Result<Stream<()>, BrokerError> {
        self.context().await?.get_stream_no_info(name).await.map_err(lost)
    }

    async fn page(
        &self,
        name: &str,
        after: u64,
        most: usize,
        most_bytes: usize,
    ) -> Result<Page, BrokerError> {
        let stream = self.stream(name).await?;
        let state = stream.get_info().await.map_err(lost)?.state;
        let (first, last) = (state.first_sequence, state.last_sequence);
        let mut page = Page { covered: after, first, last, ..Page::default() };
        let from = after.saturating_add(1).max(first);
        if from > last {
            page.covered = page.covered.max(last);
            return Ok(page);
        }
        let upto = last.min(from.saturating_add(most as u64 - 1));
        let mut asked = stream::iter(from..=upto).map(|seq| message(&stream, seq)).buffered(AT_ONCE);
        let mut bytes = 0;
        while let Some((seq, body)) = asked.try_next().await? {
            page.covered = seq;
            if let Some(body) = body {
                bytes += body.len();
                page.messages.push((seq, body));
            }
            if bytes >= most_bytes {
                break;
            }
        }
        Ok(page)
    }
}

/// A message; `None` if it was deleted.
async fn message(stream: &Stream<()>, seq: u64) -> Result<(u64, Option<Bytes>), BrokerError> {
    match stream.get_raw_message(seq).await {
        Ok(message) => Ok((seq, Some(message.payload))),
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok((seq, None)),
            RawMessageErrorKind::JetStream(error) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => {
                Ok((seq, None))
            }
            _ => Err(lost(error)),
        },
    }
}

fn headers_of(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_MESSAGE_ID, message.id.as_str());
    headers.insert(header::NATS_EXPECTED_STREAM, message.stream.as_str());
    headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, message.after.to_string().as_str());
    for (name, value) in [(PARTITION, message.partition), (FIRST, message.first), (COUNT, message.count)] {
        headers.insert(name, value.to_string().as_str());
    }
    headers
}

impl Broker for Nats {
    fn read<'a>(&'a self, stream: &'a str, after: u64, most: usize, most_bytes: usize) -> Answer<'a, Page> {
        Box::pin(self.page(stream, after, most, most_bytes))
    }

    fn last<'a>(&'a self, stream: &'a str, subject: &'a str) -> Answer<'a, Option<Last>> {
        Box::pin(async move {
            let message = match self.stream(stream).await?.get_last_raw_message_by_subject(subject).await {
                Ok(message) => message,
                Err(error) => match error.kind() {
                    LastRawMessageErrorKind::NoMessageFound => return Ok(None),
                    LastRawMessageErrorKind::JetStream(error)
                        if error.error_code() == ErrorCode::NO_MESSAGE_FOUND =>
                    {
                        return Ok(None);
                    }
                    _ => return Err(lost(error)),
                },
            };
            let number = |name: &str| message.headers.get(name)?.as_str().parse::<u64>().ok();
            let next = number(FIRST).zip(number(COUNT)).and_then(|(first, count)| first.checked_add(count));
            Ok(Some(Last { seq: message.sequence, next }))
        })
    }

    fn publish<'a>(&'a self, message: &'a Message) -> Answer<'a, Published> {
        Box::pin(async move {
            let (subject, headers) = (message.subject.clone(), headers_of(message));
            let sent = self.context().await?.publish_with_headers(subject, headers, message.body.clone());
            match sent.await.map_err(lost)?.await {
                // Another message had its first point: this one was not taken.
                Ok(told) if told.duplicate => Ok(Published::WrongLast),
                Ok(told) => Ok(Published::At(told.sequence)),
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(Published::WrongLast),
                Err(error) => Err(lost(error)),
            }
        })
    }

    fn prepare<'a>(&'a self, stream: &'a str, subject: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let context = self.context().await?;
            match context.get_stream(stream).await {
                Ok(_) => Ok(()),
                Err(error) => match error.kind() {
                    GetStreamErrorKind::JetStream(error)
                        if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                    {
                        let config = Config {
                            name: stream.into(),
                            subjects: vec![subject.into()],
                            ..Config::default()
                        };
                        context.create_stream(config).await.map_err(lost)?;
                        tracing::info!(stream, subject, "the stream was not there; it is now");
                        Ok(())
                    }
                    _ => Err(lost(error)),
                },
            }
        })
    }
}
