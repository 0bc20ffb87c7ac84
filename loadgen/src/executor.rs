//! Goose as the executor: its users take tickets and send requests, and decide nothing else.
//!
//! One transaction serves tickets until the queue is closed, so goose's work per transaction is paid once
//! a run; every request still goes through `GooseUser::request`. Goose's own pacing, metrics resets,
//! printing and controllers stay off: what it measures stops at the headers and starts at the sending.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::goose::{GooseRequest, GooseUser, Scenario, Transaction, TransactionResult};
use goose::{GooseAttack, GooseError};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::hush::Hush;
use crate::options::Plan;
use crate::probe::Probe;
use crate::queue::{Queue, Taken};
use crate::recorder::Recorder;
use crate::request::{Failure, Requests, judge};
use crate::ticket::Ticket;
use crate::{LoadError, os};

/// How long the users may take to come up.
const READY: Duration = Duration::from_secs(30);
/// How long goose may take to end once the queue is closed, beyond the request timeout.
const END: Duration = Duration::from_secs(10);
/// Between a closed queue and goose's word to exit: goose looks twice a second.
const EXIT_POLL: Duration = Duration::from_millis(50);
/// Open files that are left for everything else than connections.
const FILES_KEPT: u64 = 256;

/// Goose's kill switch is one a process, so runs go one after the other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What users share.
struct Shared {
    queue: Arc<Queue>,
    requests: Arc<Requests>,
    recorder: Arc<Recorder>,
    clients: Vec<Client>,
    ready: AtomicUsize,
}

/// Goose, running. Dropping it stops it without waiting.
pub(crate) struct Executor {
    /// `None` only while it is being dropped.
    runtime: Option<Runtime>,
    attack: Option<JoinHandle<Result<(), GooseError>>>,
    shared: Arc<Shared>,
    users: usize,
    request_timeout: Duration,
    pub(crate) probe: Arc<Probe>,
    _alone: MutexGuard<'static, ()>,
}

impl Executor {
    /// Worker threads of the executor: half the machine, the other half is the cluster's.
    pub(crate) fn threads() -> usize {
        (os::cpus() / 2).clamp(1, 4)
    }

    /// Starts goose and waits until every user waits for tickets.
    pub(crate) fn start(
        plan: &Plan,
        queue: Arc<Queue>,
        requests: Arc<Requests>,
        recorder: Arc<Recorder>,
    ) -> Result<Self, LoadError> {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(Self::threads())
            // The prefix tells the generator's processor time from the cluster's, see `cpu`.
            .thread_name("load-worker")
            .enable_all()
            .build()
            .map_err(|source| LoadError::Start { what: "the executor's runtime", source })?;
        let clients = (0..Self::threads()).map(|_| client(plan.request_timeout)).collect::<Result<_, _>>()?;
        let shared = Arc::new(Shared { queue, requests, recorder, clients, ready: AtomicUsize::new(0) });
        let users = affordable_users(plan);
        let _until_ready = Hush::new();
        let attack = attack(plan.targets[0].as_str(), users, &shared)?;
        let attack = runtime.spawn(async move { attack.execute().await.map(drop) });
        let probe = Arc::new(Probe::default());
        let looking = Arc::clone(&probe);
        runtime.spawn(async move { looking.run().await });
        let request_timeout = plan.request_timeout;
        let attack = Some(attack);
        let runtime = Some(runtime);
        let executor = Self { runtime, attack, shared, users, request_timeout, probe, _alone: alone };
        executor.wait_until_ready()?;
        Ok(executor)
    }

    /// Requests that can be under way at once.
    pub(crate) fn users(&self) -> usize {
        self.users
    }

    /// A client like the users', for reading afterwards.
    pub(crate) fn client(&self) -> &Client {
        &self.shared.clients[0]
    }

    /// Runs a future on the executor's runtime.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        let runtime = self.runtime.as_ref();
        runtime.expect("the runtime is there until the executor is dropped").block_on(future)
    }

    /// Has goose ended although the queue is open?
    pub(crate) fn has_ended(&self) -> bool {
        self.attack.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Closes the queue, so that users come back, and ends goose.
    pub(crate) fn finish(&mut self) -> Result<(), LoadError> {
        self.shared.queue.close();
        goose::trigger_killswitch("the schedule is over");
        let Some(attack) = self.attack.take() else { return Ok(()) };
        let patience = self.request_timeout + END;
        match self.block_on(async { tokio::time::timeout(patience, attack).await }) {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(LoadError::Goose(error.to_string())),
            Ok(Err(panic)) => Err(LoadError::Goose(panic.to_string())),
            Err(_) => Err(LoadError::Goose(format!("did not end within {} s", patience.as_secs()))),
        }
    }

    fn wait_until_ready(&self) -> Result<(), LoadError> {
        let deadline = Instant::now() + READY;
        loop {
            let ready = self.shared.ready.load(Ordering::Acquire);
            if ready >= self.users {
                return Ok(());
            }
            if self.has_ended() || Instant::now() > deadline {
                return Err(LoadError::NotReady { ready, users: self.users, seconds: READY.as_secs() });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// As many users as were asked for, or as there can be connections: in an embedded run both ends are ours.
fn affordable_users(plan: &Plan) -> usize {
    let affordable = os::raise_open_files().map(|files| (files.saturating_sub(FILES_KEPT) / 2) as usize);
    plan.users.min(affordable.unwrap_or(usize::MAX)).max(1)
}

/// A client of ours: goose's has no knob for proxies, connection attempts or redirects, and one a user
/// would mean one pool a user.
fn client(request_timeout: Duration) -> Result<Client, LoadError> {
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(request_timeout.min(Duration::from_secs(2)))
        .timeout(request_timeout)
        .build()
        .map_err(LoadError::Client)
}

fn attack(host: &str, users: usize, shared: &Arc<Shared>) -> Result<GooseAttack, LoadError> {
    let mut configuration = GooseConfiguration::default();
    configuration.host = Some(host.to_owned());
    configuration.users = Some(users);
    configuration.increase_rate = Some("100000".to_owned());
    configuration.no_telnet = true;
    configuration.no_metrics = true;
    configuration.no_print_metrics = true;
    configuration.no_transaction_metrics = true;
    configuration.no_scenario_metrics = true;
    configuration.quiet = 1;
    // `no_reset_metrics` stays off: with it goose prints a line once all users are up.
    let (at_start, at_work) = (Arc::clone(shared), Arc::clone(shared));
    let first = Transaction::new(Arc::new(move |user| Box::pin(prepare(user, Arc::clone(&at_start)))));
    let then = Transaction::new(Arc::new(move |user| Box::pin(serve(user, Arc::clone(&at_work)))));
    let scenario =
        Scenario::new("load").register_transaction(first.set_on_start()).register_transaction(then);
    GooseAttack::initialize_with_config(configuration)
        // One client to throw away, and not one a user.
        .and_then(|attack| {
            attack.set_client_builder_without_cookies(GooseClientBuilder::new().without_cookies())
        })
        .map(|attack| attack.register_scenario(scenario))
        .map_err(|error| LoadError::Goose(error.to_string()))
}

/// Gives the user its client and reports it ready.
async fn prepare(user: &mut GooseUser, shared: Arc<Shared>) -> TransactionResult {
    let number = shared.ready.load(Ordering::Relaxed);
    user.client = shared.clients[number % shared.clients.len()].clone();
    shared.ready.fetch_add(1, Ordering::Release);
    Ok(())
}

/// Serves tickets until the queue is closed.
async fn serve(user: &mut GooseUser, shared: Arc<Shared>) -> TransactionResult {
    while let Some(Taken { ticket, waited }) = shared.queue.take().await {
        if shared.recorder.is_closed(&ticket) {
            shared.recorder.never_sent();
        } else {
            send(user, &shared, &ticket, waited).await;
        }
    }
    tokio::time::sleep(EXIT_POLL).await;
    Ok(())
}

async fn send(user: &mut GooseUser, shared: &Shared, ticket: &Ticket, waited: bool) {
    let series = shared.requests.series(ticket.seq);
    let builder = RequestBuilder::from_parts(user.client.clone(), shared.requests.request(ticket.seq));
    let request = GooseRequest::builder()
        .set_request_builder(builder)
        .name("POST /metrics")
        .expect_status_code(200)
        .build();
    let sent = Instant::now();
    shared.recorder.sent(ticket, series, sent, waited);
    let result = match user.request(request).await {
        Ok(answer) => match answer.response {
            Ok(response) => judge(response).await,
            Err(error) => Err(Failure::from_client(&error)),
        },
        Err(_) => Err(Failure::Goose),
    };
    shared.recorder.answered(ticket, series, (sent, Instant::now()), result);
}
