//! Client operations as they happen. What has no answer at the end counts as unknown.

use check::history::{Call, Operation, Outcome};
use rt::sim::World;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Takes down operations. Clones share the book.
#[derive(Clone)]
pub struct Recorder {
    world: Arc<World>,
    book: Arc<Mutex<Vec<Operation>>>,
}

impl Recorder {
    /// An empty book.
    pub fn new(world: Arc<World>) -> Self {
        Recorder { world, book: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Operation>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client calls. Gives the number of the call.
    pub fn call(&self, client: u32, call: Call) -> u64 {
        let mut book = self.lock();
        let id = book.len() as u64;
        let begin_ns = self.world.now_ns();
        let outcome = Outcome::Unknown("the run ended before the answer".into());
        book.push(Operation { client, id, begin_ns, end_ns: None, call, outcome });
        id
    }

    /// The answer to a call came, or certainly will not.
    pub fn answer(&self, id: u64, outcome: Outcome) {
        let now = self.world.now_ns();
        let mut book = self.lock();
        if let Some(operation) = usize::try_from(id).ok().and_then(|place| book.get_mut(place)) {
            operation.end_ns = Some(now);
            operation.outcome = outcome;
        }
    }

    /// Everything so far, in order of the calls.
    pub fn history(&self) -> Vec<Operation> {
        self.lock().clone()
    }
}
