//! What is wrong with a plan, and in which line of its file.

use std::fmt;

/// A place in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Number of the fault, counted from 1; `None`: not in a fault.
    pub fault: Option<usize>,
    /// `duration_ms`, `world.disk_us_max`, or the field of the fault.
    pub path: String,
}

impl Key {
    pub(crate) fn plain(path: &str) -> Self {
        Key { fault: None, path: path.into() }
    }

    pub(crate) fn of_fault(number: usize, field: &str) -> Self {
        Key { fault: Some(number), path: field.into() }
    }

    /// Line in `text`, counted from 1; `None` if the text does not say it.
    fn line(&self, text: &str) -> Option<usize> {
        let table = toml::de::DeTable::parse(text).ok()?;
        let mut value: Option<&toml::Spanned<toml::de::DeValue<'_>>> = None;
        let mut here = table.get_ref();
        if let Some(number) = self.fault {
            let faults = here.get("fault")?.get_ref().as_array()?;
            let fault = faults.get(number.checked_sub(1)?)?;
            value = Some(fault);
            here = fault.get_ref().as_table()?;
        }
        for part in self.path.split('.') {
            let Some(found) = here.get(part) else { break };
            value = Some(found);
            match found.get_ref().as_table() {
                Some(inner) => here = inner,
                None => break,
            }
        }
        let start = value?.span().start;
        Some(text.get(..start)?.matches('\n').count() + 1)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Some(number) => write!(f, "{} of fault {number}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not TOML, or not a plan; the text names line, column and what is allowed.
    #[error("{0}")]
    Syntax(String),
    /// A number out of its range.
    #[error("{key} is {found}; allowed are {allowed}")]
    Range {
        /// Which number.
        key: Key,
        /// Its value; the size of it where the sign is free.
        found: u64,
        /// In words.
        allowed: String,
    },
    /// A fault names a machine that is not there.
    #[error("fault {number} names the machine {name:?}; there are {known}")]
    UnknownMachine {
        /// Counted from 1.
        number: usize,
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// A fault hits nobody.
    #[error("{key} names no machine")]
    NoMachine {
        /// Which list.
        key: Key,
    },
    /// A number that the scenario does not know.
    #[error("knob {name:?} is not known to this scenario; there are {known}")]
    UnknownKnob {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// A fault has a field that its kind does not know.
    #[error("{key} is not known to {kind}; allowed are {allowed}")]
    UnknownField {
        /// Which field.
        key: Key,
        /// The fault's kind.
        kind: &'static str,
        /// All fields.
        allowed: String,
    },
}

impl PlanError {
    fn key(&self) -> Option<Key> {
        match self {
            PlanError::Syntax(_) => None,
            PlanError::Range { key, .. }
            | PlanError::UnknownField { key, .. }
            | PlanError::NoMachine { key } => Some(key.clone()),
            PlanError::UnknownMachine { number, .. } => Some(Key::of_fault(*number, "kind")),
            PlanError::UnknownKnob { name, .. } => Some(Key::plain(&format!("knobs.{name}"))),
        }
    }

    /// The error as it is shown to whoever wrote `text`, which came from `file`.
    pub fn in_file(&self, file: &str, text: &str) -> String {
        match self.key().and_then(|key| key.line(text)) {
            Some(line) => format!("{file}:{line}: {self}"),
            None => format!("{file}: {self}"),
        }
    }
}
