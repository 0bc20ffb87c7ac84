//! Puts driver, transport and gateway together.

use crate::driver::{Driver, DriverError, Event, Status};
use crate::gateway::{Gateway, Routes};
use crate::options::{GroupSpec, ReplicaOptions};
use crate::store::{Store, StoreError};
use crate::transport::{self, Transport};
use crate::{GroupId, NodeId};
use rt::net::TcpListener;
use rt::profile::{self, Section};
use rt::task::{self, JoinHandle, TaskGroup};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Why a node's replicas did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error("data folder {folder}: {source}")]
    Store {
        /// The folder.
        folder: String,
        /// What went wrong.
        source: StoreError,
    },
    /// The peer address cannot be listened on.
    #[error("cannot listen for peers on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// A group found on the disk does not start.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// A node's running replicas. They end when this is dropped; [`Replica::stop`] ends them gracefully.
pub struct Replica {
    events: mpsc::Sender<Event>,
    gateway: Gateway,
    driving: JoinHandle<Result<(), DriverError>>,
    /// Stops transport and gateway with this.
    _tasks: Arc<TaskGroup>,
}

/// Starts the replicas of a node: opens the store, its groups and the connections to peers.
///
/// # Errors
/// [`StartError`].
pub async fn start(options: ReplicaOptions) -> Result<Replica, StartError> {
    let address = options.peer_listen.clone();
    let listener = TcpListener::bind(&address).await;
    let listener = listener.map_err(|source| StartError::Listen { address, source })?;
    let store = open_store(&options.data, options.cluster, options.cache_bytes).await;
    let folder = || options.data.display().to_string();
    let store = store.map_err(|source| StartError::Store { folder: folder(), source })?;
    start_on(options, store, Arc::new(listener)).await
}

/// Opens a node's store, to look at what is in it.
///
/// # Errors
/// [`StoreError`].
pub async fn open_store(data: &Path, cluster: u64, cache_bytes: usize) -> Result<Store, StoreError> {
    let data = data.to_owned();
    task::blocking(move || Store::open(&data, cluster, cache_bytes)).await
}

/// Like [`start`], on an open store that belongs to this node or to nobody, and on a listener.
///
/// # Errors
/// [`StartError`].
pub async fn start_on(
    options: ReplicaOptions,
    store: Store,
    listener: Arc<TcpListener>,
) -> Result<Replica, StartError> {
    let tasks = Arc::new(TaskGroup::default());
    let (events, receiver) = mpsc::channel(options.event_queue);
    let transport = Transport::start(&options, &events);
    let routes = Routes::new(options.node, events.clone(), transport.clone());
    let opening =
        Driver::open(options.clone(), store, transport.clone(), routes.clone(), receiver, events.downgrade());
    let driver = opening.await?;
    let gateway = Gateway::new(&options, routes);
    let door = events.clone();
    let doors = Arc::new(TaskGroup::default());
    tasks.spawn(async move { transport::listen(listener, &options, door, transport, doors).await });
    let driving = task::spawn(profile::measure(Section::Raft, driver.run()));
    Ok(Replica { events, gateway, driving, _tasks: tasks })
}

impl Replica {
    /// Writes and reads, wherever a group's leader is.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Starts a replica of a group here, unless there is one.
    pub async fn create_group(&self, spec: GroupSpec) {
        self.groups().create(spec).await;
    }

    /// How the replicas are; empty when the driver has ended.
    pub async fn status(&self) -> Status {
        StatusHandle(self.events.clone()).get().await
    }

    /// Creates and removes groups without holding the replica.
    pub fn groups(&self) -> Groups {
        Groups(self.events.downgrade())
    }

    /// Asks for the status without holding the replica.
    pub fn status_handle(&self) -> StatusHandle {
        StatusHandle(self.events.clone())
    }

    /// Waits until the driver ends by itself, which it does only when it must not go on.
    pub async fn ended(&mut self) -> Result<(), DriverError> {
        // Stopped from outside: no error of ours.
        (&mut self.driving).await.unwrap_or(Ok(()))
    }

    /// Hands over leaderships, writes what is not yet written, and ends.
    ///
    /// # Errors
    /// [`DriverError`].
    pub async fn stop(mut self) -> Result<(), DriverError> {
        // The driver is gone already: `ended` tells why.
        let _ = self.events.send(Event::Stop).await;
        self.ended().await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

/// Creates and removes groups without holding the replica.
#[derive(Clone)]
pub struct Groups(mpsc::WeakSender<Event>);

impl Groups {
    async fn tell(&self, event: Event) {
        if let Some(events) = self.0.upgrade() {
            // The driver is gone: `ended` tells why.
            let _ = events.send(event).await;
        }
    }

    /// Starts a replica of a group here, unless there is one.
    pub async fn create(&self, spec: GroupSpec) {
        self.tell(Event::CreateGroup { spec }).await;
    }

    /// Deletes the replica here: the leader in `term`, whose log ended at `last_index`, said that it is no
    /// part of the group. Nothing happens if it has heard of something newer.
    pub async fn remove(&self, group: GroupId, term: u64, last_index: u64) {
        self.tell(Event::RemoveGroup { group, term, last_index }).await;
    }

    /// Says who should lead a group when all is well.
    pub async fn home(&self, group: GroupId, home: NodeId) {
        self.tell(Event::Home { group, home }).await;
    }
}

/// Asks a node's replicas how they are.
#[derive(Clone)]
pub struct StatusHandle(mpsc::Sender<Event>);

impl StatusHandle {
    /// How the replicas are; empty when the driver has ended.
    pub async fn get(&self) -> Status {
        let (reply, status) = oneshot::channel();
        let _ = self.0.send(Event::Status { reply }).await;
        status.await.unwrap_or_default()
    }
}
