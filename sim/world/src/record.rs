//! Client operations as they happen. What has no answer at the end counts as unknown.

use check::history::{Answer, Call, Operation, Outcome};
use rt::sim::World;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Takes down operations, of append-only series unless calls and answers of another system are given.
/// Clones share the book.
///
/// ```
/// use check::history::Outcome;
/// use check::linearizability::{RegisterAnswer, RegisterCall};
/// use rt::sim::{Options, Simulation};
/// use world::Recorder;
///
/// let history = Simulation::run(7, Options::default(), |world| async move {
///     let recorder: Recorder<RegisterCall, RegisterAnswer> = Recorder::new(world);
///     let first = recorder.call(0, RegisterCall::write("x", 1));
///     recorder.answer(first, Outcome::Ok(RegisterAnswer::Written));
///     recorder.call(1, RegisterCall::write("x", 2));
///     recorder.history()
/// });
/// let history = history.unwrap();
/// assert_eq!(history[0].outcome, Outcome::Ok(RegisterAnswer::Written));
/// // Nobody knows whether it took effect.
/// assert!(matches!(history[1].outcome, Outcome::Unknown(_)));
/// ```
pub struct Recorder<C = Call, A = Answer> {
    world: Arc<World>,
    book: Arc<Mutex<Vec<Operation<C, A>>>>,
}

impl<C, A> Clone for Recorder<C, A> {
    fn clone(&self) -> Self {
        Recorder { world: self.world.clone(), book: self.book.clone() }
    }
}

impl<C: Clone, A: Clone> Recorder<C, A> {
    /// An empty book.
    pub fn new(world: Arc<World>) -> Self {
        Recorder { world, book: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Operation<C, A>>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client calls. Gives the number of the call.
    pub fn call(&self, client: u32, call: C) -> u64 {
        let mut book = self.lock();
        let id = book.len() as u64;
        let begin_ns = self.world.now_ns();
        let outcome = Outcome::Unknown("the run ended before the answer".into());
        book.push(Operation { client, id, begin_ns, end_ns: None, call, outcome });
        id
    }

    /// The answer to a call came, or certainly will not.
    pub fn answer(&self, id: u64, outcome: Outcome<A>) {
        let now = self.world.now_ns();
        let mut book = self.lock();
        if let Some(operation) = usize::try_from(id).ok().and_then(|place| book.get_mut(place)) {
            operation.end_ns = Some(now);
            operation.outcome = outcome;
        }
    }

    /// Everything so far, in order of the calls.
    pub fn history(&self) -> Vec<Operation<C, A>> {
        self.lock().clone()
    }
}
