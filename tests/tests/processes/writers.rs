//! A stream of writes, and the account of what became of each.
//!
//! Every writer has a metric of its own and numbers its writes, so a value tells which write it was. Every
//! other write carries a key and is sent until it is acknowledged. The others are sent once.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tests::client::{Client, Failure};
use tests::wait;
use tests::wire::{Answer, Request};

/// Between two writes of a writer: leaves the processors to the cluster.
const PAUSE: Duration = Duration::from_millis(4);

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Acknowledged: stored exactly once.
    Acknowledged,
    /// Refused: not stored.
    Refused,
    /// No answer: stored once or not at all.
    Unknown,
}

/// What became of the writes of one writer, by number.
pub struct Account {
    metric: String,
    fates: Vec<Fate>,
}

/// Writers at work.
pub struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Account>>,
}

impl Writers {
    /// So many writers, all through the node at `address`.
    pub fn start(count: usize, address: &str) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..count).map(|number| {
            let writer = Writer {
                client: Client::new(address),
                metric: format!("writer-{number}"),
                stop: stop.clone(),
                acknowledged: acknowledged.clone(),
            };
            std::thread::spawn(|| writer.run())
        });
        Writers { threads: threads.collect(), stop, acknowledged }
    }

    /// Waits until so many more writes are acknowledged.
    pub fn progress(&self, more: u64) {
        let goal = self.acknowledged.load(Ordering::SeqCst) + more;
        wait::until("writes are acknowledged", || self.acknowledged.load(Ordering::SeqCst) >= goal);
    }

    /// Lets all finish what they began, and gives their accounts.
    pub fn finish(self) -> Vec<Account> {
        self.stop.store(true, Ordering::SeqCst);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

struct Writer {
    client: Client,
    metric: String,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self) -> Account {
        let mut fates = Vec::new();
        while !self.stop.load(Ordering::SeqCst) {
            let number = fates.len();
            let fate = if number % 2 == 0 { self.keyed(number) } else { self.once(number) };
            if fate == Fate::Acknowledged {
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            fates.push(fate);
            std::thread::sleep(PAUSE);
        }
        Account { metric: self.metric, fates }
    }

    fn request(&self, number: usize) -> Request {
        Request::post("/metrics", json!({ "metric_name": self.metric, "value": number }).to_string())
    }

    fn once(&mut self, number: usize) -> Fate {
        let request = self.request(number);
        fate(self.client.try_send(&request))
    }

    fn keyed(&mut self, number: usize) -> Fate {
        let request = self.request(number).with("Idempotency-Key", format!("{}/{number}", self.metric));
        let began = Instant::now();
        while began.elapsed() < wait::LONG {
            if fate(self.client.try_send(&request)) == Fate::Acknowledged {
                return Fate::Acknowledged;
            }
            std::thread::sleep(PAUSE * 5);
        }
        panic!("{}/{number} was never acknowledged", self.metric);
    }
}

fn fate(result: Result<Answer, Failure>) -> Fate {
    let answer = match result {
        Ok(answer) => answer,
        Err(Failure::Unsent(_)) => return Fate::Refused,
        Err(Failure::Lost(_)) => return Fate::Unknown,
    };
    if answer.status == 200 {
        return Fate::Acknowledged;
    }
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (answer.status, problem["outcome"].as_str()) {
        (503 | 504, Some("unknown")) => Fate::Unknown,
        (503, None) => Fate::Refused,
        _ => panic!("an answer that no write of ours should get: {} {}", answer.status, answer.text()),
    }
}

/// Reads every metric from the node behind `client` and compares it with its account.
pub fn check(client: &mut Client, accounts: &[Account]) {
    for account in accounts {
        let stored = read_all(client, &account.metric);
        account.compare(&stored).unwrap_or_else(|wrong| panic!("{}: {wrong}", account.metric));
    }
    let count = |fate| accounts.iter().flat_map(|account| &account.fates).filter(|f| **f == fate).count();
    let [acknowledged, refused, unknown] = [Fate::Acknowledged, Fate::Refused, Fate::Unknown].map(count);
    println!("{acknowledged} acknowledged, {refused} refused, {unknown} unknown");
}

impl Account {
    /// Acknowledged writes are stored exactly once and in their order, refused ones never, the others at
    /// most once, and nothing else is.
    fn compare(&self, stored: &[usize]) -> Result<(), String> {
        let mut times: BTreeMap<usize, usize> = BTreeMap::new();
        stored.iter().for_each(|number| *times.entry(*number).or_default() += 1);
        for (number, fate) in self.fates.iter().enumerate() {
            let times = times.remove(&number).unwrap_or(0);
            let fine = match fate {
                Fate::Acknowledged => times == 1,
                Fate::Refused => times == 0,
                Fate::Unknown => times <= 1,
            };
            if !fine {
                return Err(format!("write {number} is {fate:?} and stored {times} times"));
            }
        }
        if !times.is_empty() {
            return Err(format!("nobody wrote {times:?}"));
        }
        // A writer begins a write when the one before has its answer; only unknown ones may come late.
        let acknowledged = stored.iter().filter(|number| self.fates[**number] == Fate::Acknowledged);
        if acknowledged.is_sorted() { Ok(()) } else { Err("acknowledged writes changed places".into()) }
    }
}

fn read_all(client: &mut Client, metric: &str) -> Vec<usize> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let answer = client.get(&format!("/metrics/{metric}?after={after}&limit=10000"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page: Value = serde_json::from_slice(&answer.body).unwrap();
        let values = page["values"].as_array().unwrap();
        all.extend(values.iter().map(|value| value.as_f64().unwrap() as usize));
        match page.get("next_after") {
            Some(next) => after = next.as_u64().unwrap(),
            None => return all,
        }
    }
}

#[test]
fn an_account_finds_what_is_wrong() {
    use Fate::{Acknowledged, Refused, Unknown};
    let fates = vec![Acknowledged, Refused, Unknown, Acknowledged, Unknown];
    let account = Account { metric: "m".into(), fates };
    for good in [&[0, 3][..], &[0, 2, 3], &[0, 3, 2], &[4, 0, 2, 3]] {
        assert_eq!(account.compare(good), Ok(()), "{good:?}");
    }
    for bad in [&[0][..], &[0, 3, 3], &[0, 1, 3], &[0, 2, 2, 3], &[3, 0], &[0, 3, 5]] {
        assert!(account.compare(bad).is_err(), "{bad:?}");
    }
}
