//! The specification of a register: read, write, compare and set. Each key is a register of its own, and
//! holds nothing in the beginning.

use super::Specification;
use std::fmt::Debug;
use std::marker::PhantomData;

/// Registers of values of type `V`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Register<V = u64>(PhantomData<V>);

impl<V> Register<V> {
    /// The specification. The type of the values follows from the history.
    pub const fn new() -> Self {
        Register(PhantomData)
    }
}

/// What a client asks of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterCall<V = u64> {
    /// Read it.
    Read {
        /// Name of the register.
        key: String,
    },
    /// Put a value into it, whatever it holds.
    Write {
        /// Name of the register.
        key: String,
        /// The value.
        value: V,
    },
    /// Put a value into it if it holds what is expected.
    CompareAndSet {
        /// Name of the register.
        key: String,
        /// What it must hold; `None`: nothing.
        expected: Option<V>,
        /// The value.
        value: V,
    },
}

impl<V> RegisterCall<V> {
    /// [`RegisterCall::Read`].
    pub fn read(key: &str) -> Self {
        RegisterCall::Read { key: key.to_owned() }
    }

    /// [`RegisterCall::Write`].
    pub fn write(key: &str, value: V) -> Self {
        RegisterCall::Write { key: key.to_owned(), value }
    }

    /// [`RegisterCall::CompareAndSet`].
    pub fn compare_and_set(key: &str, expected: Option<V>, value: V) -> Self {
        RegisterCall::CompareAndSet { key: key.to_owned(), expected, value }
    }
}

/// What a register answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterAnswer<V = u64> {
    /// To a read: what it holds.
    Value(Option<V>),
    /// To a write: done.
    Written,
    /// To a compare and set: whether it held what was expected, and so was set.
    Swapped(bool),
}

impl<V: Clone + Ord + Debug> Specification for Register<V> {
    type Call = RegisterCall<V>;
    type Answer = RegisterAnswer<V>;
    type State = Option<V>;

    fn object<'a>(&self, call: &'a RegisterCall<V>) -> &'a str {
        match call {
            RegisterCall::Read { key }
            | RegisterCall::Write { key, .. }
            | RegisterCall::CompareAndSet { key, .. } => key,
        }
    }

    fn initial(&self) -> Option<V> {
        None
    }

    fn step(
        &self,
        state: &Option<V>,
        call: &RegisterCall<V>,
        answer: Option<&RegisterAnswer<V>>,
    ) -> Option<Option<V>> {
        use RegisterAnswer::{Swapped, Value, Written};
        let (after, fits) = match call {
            RegisterCall::Read { .. } => {
                (None, answer.is_none_or(|answer| matches!(answer, Value(seen) if seen == state)))
            }
            RegisterCall::Write { value, .. } => (Some(value), matches!(answer, None | Some(Written))),
            RegisterCall::CompareAndSet { expected, value, .. } => {
                let swaps = expected == state;
                let fits = answer.is_none_or(|answer| matches!(answer, Swapped(said) if *said == swaps));
                (swaps.then_some(value), fits)
            }
        };
        fits.then(|| after.cloned().or_else(|| state.clone()))
    }

    fn only_observes(&self, call: &RegisterCall<V>, answer: Option<&RegisterAnswer<V>>) -> bool {
        matches!(call, RegisterCall::Read { .. }) || answer == Some(&RegisterAnswer::Swapped(false))
    }

    fn state_in_words(&self, state: &Option<V>) -> String {
        state.as_ref().map_or("nothing".into(), |value| format!("{value:?}"))
    }

    fn call_in_words(&self, call: &RegisterCall<V>, answer: Option<&RegisterAnswer<V>>) -> String {
        let call = match call {
            RegisterCall::Read { .. } => "read".to_owned(),
            RegisterCall::Write { value, .. } => format!("write {value:?}"),
            RegisterCall::CompareAndSet { expected, value: new, .. } => {
                format!("set {new:?} if it holds {}", self.state_in_words(expected))
            }
        };
        match answer {
            None | Some(RegisterAnswer::Written) => call,
            Some(RegisterAnswer::Value(seen)) => format!("{call} saw {}", self.state_in_words(seen)),
            Some(RegisterAnswer::Swapped(true)) => format!("{call}: it did"),
            Some(RegisterAnswer::Swapped(false)) => format!("{call}: it did not"),
        }
    }
}
