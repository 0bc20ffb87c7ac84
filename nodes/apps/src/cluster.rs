//! The cluster as routes see it: where a name lives, and how to write and read there.

use crate::APPS;
use crate::app::{App, mark};
use crate::http::error::ApiError;
use crate::http::metrics::NodeMetrics;
use crate::http::rate_limit::RateLimit;
use crate::meta::{Placement, View};
use crate::metricstream::queue::Brokers;
use crate::partition;
use crate::profile::{Auth, Profile};
use replica::driver::Status;
use replica::frame::Consistency;
use replica::gateway::{ReadAnswer, Written};
use replica::start::StatusHandle;
use replica::{Envelope, Gateway, GroupId, NodeId};
use rt::time::{self, Instant};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// The format since which a group holds more apps than its founder.
pub const GUESTS: u32 = 3;
/// The format since which partitions keep how far they have taken in other systems' messages.
pub const QUEUES: u32 = 4;
/// How long a request waits to hear that everybody speaks that format.
const FORMAT_PATIENCE: Duration = Duration::from_secs(1);
const FORMAT_PAUSE: Duration = Duration::from_millis(20);

/// What a listener's routes work with. Clones share it.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    options: RwLock<Arc<ClusterOptions>>,
    now: Arc<RwLock<Now>>,
    metrics: NodeMetrics,
    /// What apps keep on this node, by type.
    own: Arc<Mutex<Own>>,
}

/// Values by their types.
type Own = BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// What can change while a listener runs.
#[derive(Default)]
struct Now {
    link: Option<Link>,
    view: Option<Arc<View>>,
    trouble: Option<String>,
}

/// The replicas behind a listener. A node whose data were lost becomes another member, with others.
#[derive(Clone)]
pub struct Link {
    /// This node.
    pub node: NodeId,
    /// The way to all groups.
    pub gateway: Gateway,
    /// How the replicas here are.
    pub status: StatusHandle,
}

/// Properties of a [`Cluster`] that come from outside.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The node's name, as `GET /health` says it.
    pub name: String,
    /// The listener's profile.
    pub profile: Profile,
    /// Who is asked for the token.
    pub auth: Auth,
    /// True if requests need the token although the profile is open on loopback.
    pub require_token: bool,
    /// True if the development token is allowed off loopback: then nobody is asked for it there either.
    pub open: bool,
    /// The token.
    pub token: String,
    /// How long a request may take inside the cluster.
    pub deadline: Duration,
    /// Largest request body.
    pub max_body_bytes: usize,
    /// Folder of the node's files.
    pub data: PathBuf,
    /// The apps' own settings: tables of the configuration file by the apps' names.
    pub settings: BTreeMap<String, serde_json::Value>,
    /// What one client may ask of this listener; `None` is no limit.
    pub rate_limit: Option<RateLimit>,
    /// Where MetricStream's message brokers come from; `None`: those of the build.
    pub brokers: Option<Brokers>,
}

impl Cluster {
    /// A cluster that nothing is known of yet.
    pub fn new(options: ClusterOptions) -> Self {
        let (now, own) = (Arc::default(), Arc::default());
        let options = RwLock::new(Arc::new(options));
        Cluster(Arc::new(Inner { options, now, metrics: NodeMetrics::default(), own }))
    }

    /// The same cluster for another listener, with habits of its own.
    #[must_use]
    pub fn for_listener(&self, profile: Profile, require_token: bool) -> Self {
        let options = ClusterOptions { profile, require_token, ..ClusterOptions::clone(&self.options()) };
        let options = RwLock::new(Arc::new(options));
        let (now, own) = (self.0.now.clone(), self.0.own.clone());
        Cluster(Arc::new(Inner { options, now, metrics: self.0.metrics.clone(), own }))
    }

    fn now(&self) -> RwLockReadGuard<'_, Now> {
        self.0.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Now> {
        self.0.now.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts replicas behind the listener, or takes them away.
    pub fn link(&self, link: Option<Link>) {
        self.change().link = link;
    }

    /// This node; 0 as long as it does not know who it is.
    pub fn node(&self) -> NodeId {
        self.now().link.as_ref().map_or(0, |link| link.node)
    }

    /// Makes known what the meta group knows: a newer table for an older one.
    pub fn place(&self, view: View) {
        let version = |view: &View| view.table.as_ref().map_or(0, |table| table.version);
        let mut now = self.change();
        if now.view.as_ref().is_some_and(|known| version(known) > version(&view)) {
            return;
        }
        if let Some(link) = &now.link {
            for spec in view.placement().into_iter().flat_map(|placement| &placement.partitions) {
                link.gateway.place_group(spec);
            }
            if let Some(table) = &view.table {
                link.gateway.place_group(&table.meta);
                link.gateway.learn(table.directory());
                link.gateway.neighbours(table.regions.neighbours(link.node));
            }
        }
        now.view = Some(Arc::new(view));
    }

    /// What the meta group knows, once that is known here.
    pub fn view(&self) -> Option<Arc<View>> {
        self.now().view.clone()
    }

    /// Where partitions should live, once that is known.
    pub fn placement(&self) -> Option<Placement> {
        self.view()?.placement().cloned()
    }

    /// Says why this node cannot work, or that it can again.
    pub fn trouble(&self, reason: Option<String>) {
        self.change().trouble = reason;
    }

    /// Why this node cannot work, if it knows that it cannot.
    pub fn reason(&self) -> Option<String> {
        self.now().trouble.clone()
    }

    fn gateway(&self) -> Result<Gateway, ApiError> {
        self.now().link.as_ref().map(|link| link.gateway.clone()).ok_or(ApiError::NotReady)
    }

    /// The listener's options as they are now.
    pub fn options(&self) -> Arc<ClusterOptions> {
        self.0.options.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes from `new` what can change while the listener runs: who is let in, and limits. Requests under
    /// way go on as they began.
    pub fn reload(&self, new: &ClusterOptions, require_token: bool) {
        let options = ClusterOptions {
            require_token,
            open: new.open,
            token: new.token.clone(),
            auth: new.auth,
            deadline: new.deadline,
            max_body_bytes: new.max_body_bytes,
            rate_limit: new.rate_limit,
            settings: new.settings.clone(),
            ..ClusterOptions::clone(&self.options())
        };
        *self.0.options.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(options);
    }

    /// This node's own measurements.
    pub fn metrics(&self) -> &NodeMetrics {
        &self.0.metrics
    }

    /// An app's own value of that type on this node: made when it is first asked for, shared by its routes,
    /// its measurements and its service, and gone with the node.
    pub fn own<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let mut own = self.0.own.lock().unwrap_or_else(PoisonError::into_inner);
        let value = own.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default())).clone();
        // A type's id leads to a value of that type.
        value.downcast().unwrap_or_default()
    }

    /// How this node's replicas are; empty while there are none.
    pub async fn status(&self) -> Status {
        let status = self.now().link.as_ref().map(|link| link.status.clone());
        match status {
            Some(status) => status.get().await,
            None => Status::default(),
        }
    }

    /// The group that `name` lives in.
    ///
    /// # Errors
    /// If the placement is not known yet.
    pub fn group_of(&self, name: &str) -> Result<GroupId, ApiError> {
        Ok(partition::group_of(name, self.spread()?))
    }

    /// Over how many partitions names are spread.
    ///
    /// # Errors
    /// If the placement is not known yet.
    pub fn spread(&self) -> Result<u32, ApiError> {
        let view = self.view().ok_or(ApiError::NotReady)?;
        let genesis = view.genesis.as_ref().ok_or(ApiError::NotReady)?;
        Ok(u32::try_from(genesis.partitions.len()).unwrap_or(u32::MAX))
    }

    /// The number of the worker that `group` began to be at home at, counted from 1: the same for ever,
    /// whoever leads and whatever moves, so that an answer never changes. 1 where a control node founded the
    /// cluster alone, before there were workers.
    pub fn home_worker(&self, group: GroupId) -> u64 {
        let view = self.view();
        let genesis = view.as_ref().and_then(|view| view.genesis.as_ref());
        let place = genesis.and_then(|genesis| {
            let home = genesis.partitions.iter().find(|spec| spec.group == group)?.home;
            genesis.workers.iter().position(|worker| *worker == home)
        });
        place.map_or(1, |place| place as u64 + 1)
    }

    /// Puts a command into a group's log and waits for its answer.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn write(&self, group: GroupId, envelope: Envelope) -> Result<Written, ApiError> {
        let deadline = Instant::now() + self.options().deadline;
        Ok(self.gateway()?.write(group, envelope, deadline).await?)
    }

    /// Asks a group's state machine.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn read(
        &self,
        group: GroupId,
        query: Vec<u8>,
        consistency: Consistency,
    ) -> Result<ReadAnswer, ApiError> {
        let deadline = Instant::now() + self.options().deadline;
        Ok(self.gateway()?.read(group, query, consistency, deadline).await?)
    }

    /// All partitions' groups, once they are known.
    pub fn partitions(&self) -> Vec<GroupId> {
        let placement = self.placement();
        placement.into_iter().flat_map(|placement| placement.partitions).map(|spec| spec.group).collect()
    }

    /// The settings of the app of that name; without any, the defaults.
    ///
    /// # Errors
    /// A text that says which setting makes no sense.
    pub fn settings<T: DeserializeOwned + Default>(&self, app: &str) -> Result<T, String> {
        match self.options().settings.get(app) {
            Some(table) => serde_json::from_value(table.clone()).map_err(|error| format!("{app}: {error}")),
            None => Ok(T::default()),
        }
    }

    /// Refuses settings of apps that make no sense, or that no app has.
    ///
    /// # Errors
    /// A text that says what is allowed.
    pub fn check_settings(&self) -> Result<(), String> {
        let settable = |app: &&&App| app.check_settings.is_some();
        for name in self.options().settings.keys() {
            if !APPS.iter().filter(settable).any(|app| app.name == name) {
                let names: Vec<_> = APPS.iter().filter(settable).map(|app| app.name).collect();
                return Err(format!("apps.{name}: no such app has settings; there are {names:?}"));
            }
        }
        APPS.iter().filter_map(|app| app.check_settings).try_for_each(|check| check(self))
    }

    /// Refuses what nodes that speak less than `format` would not understand, as long as some may belong to
    /// the cluster. A node that has just started hears within a moment that there are none.
    ///
    /// # Errors
    /// [`ApiError::NotReady`].
    pub async fn check_format(&self, format: u32) -> Result<(), ApiError> {
        let deadline = Instant::now() + FORMAT_PATIENCE;
        while self.view().is_none_or(|view| view.format < format) {
            if Instant::now() >= deadline {
                return Err(ApiError::NotReady);
            }
            time::sleep(FORMAT_PAUSE).await;
        }
        Ok(())
    }

    /// Puts an app's command into a group's log; gives the app's reply.
    ///
    /// # Errors
    /// [`ApiError`]; also as long as nodes of an older version may belong to the cluster, that would not
    /// understand it.
    pub async fn command<R: DeserializeOwned>(
        &self,
        app: &App,
        group: GroupId,
        key: Option<String>,
        command: &impl Serialize,
    ) -> Result<R, ApiError> {
        if app.number != 0 {
            self.check_format(GUESTS).await?;
        }
        // Serialisation of plain data into memory has no way to fail.
        let payload = mark(app.number, postcard::to_stdvec(command).unwrap_or_default());
        let written = self.write(group, Envelope { key, payload }).await?;
        postcard::from_bytes(&written.answer).map_err(|_| ApiError::Internal)
    }

    /// Asks an app's state machine; gives its answer and the index that it comes from.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn query<R: DeserializeOwned>(
        &self,
        app: &App,
        group: GroupId,
        query: &impl Serialize,
        consistency: Consistency,
    ) -> Result<(R, u64), ApiError> {
        // Serialisation of plain data into memory has no way to fail.
        let query = mark(app.number, postcard::to_stdvec(query).unwrap_or_default());
        let read = self.read(group, query, consistency).await?;
        let answer = postcard::from_bytes(&read.answer).map_err(|_| ApiError::Internal)?;
        Ok((answer, read.applied))
    }
}
