//! Puts driver, transport and gateway together.

use crate::driver::{Driver, DriverError, Event, Status};
use crate::gateway::{Gateway, Routes};
use crate::options::{GroupSpec, ReplicaOptions};
use crate::store::{Store, StoreError};
use crate::transport::{self, Transport};
use rt::net::TcpListener;
use rt::profile::{self, Section};
use rt::task::{self, JoinHandle, TaskGroup};
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
    start_on(options, listener).await
}

/// Like [`start`], on a listener that is bound already.
///
/// # Errors
/// [`StartError`].
pub async fn start_on(options: ReplicaOptions, listener: TcpListener) -> Result<Replica, StartError> {
    let (data, cluster, node, cache) =
        (options.data.clone(), options.cluster, options.node, options.cache_bytes);
    let store = task::blocking(move || Store::open(&data, cluster, node, cache)).await;
    let folder = || options.data.display().to_string();
    let store = store.map_err(|source| StartError::Store { folder: folder(), source })?;

    let tasks = Arc::new(TaskGroup::default());
    let (events, receiver) = mpsc::channel(options.event_queue);
    let transport = Transport::start(&options, &events, &tasks);
    let routes = Routes::new(options.node, events.clone(), transport.clone());
    let opening =
        Driver::open(options.clone(), store, transport, routes.clone(), receiver, events.downgrade());
    let driver = opening.await?;
    let gateway = Gateway::new(&options, routes);
    let door = events.clone();
    let doors = Arc::new(TaskGroup::default());
    tasks.spawn(async move { transport::listen(listener, &options, door, doors).await });
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
        self.group_creator().create(spec).await;
    }

    /// How the replicas are; empty when the driver has ended.
    pub async fn status(&self) -> Status {
        StatusHandle(self.events.clone()).get().await
    }

    /// Creates groups without holding the replica.
    pub fn group_creator(&self) -> GroupCreator {
        GroupCreator(self.events.downgrade())
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

/// Creates groups without holding the replica.
#[derive(Clone)]
pub struct GroupCreator(mpsc::WeakSender<Event>);

impl GroupCreator {
    /// Starts a replica of a group here, unless there is one.
    pub async fn create(&self, spec: GroupSpec) {
        if let Some(events) = self.0.upgrade() {
            // The driver is gone: `ended` tells why.
            let _ = events.send(Event::CreateGroup { spec }).await;
        }
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
