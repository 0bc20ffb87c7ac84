//! Marks in node code that only a simulation sees: trouble made on purpose, laws, and states that a
//! campaign must reach.
//!
//! Each mark is a *site*: a kind, a name and a place. Names are unique in a program, and all sites that
//! are linked into it are known before it runs (`rt::sim::sites`). Without the feature `sim` a mark is no
//! code at all; with it, outside a simulation, it does nothing.

/// True now and then, where the site is on: then do what is rare but legal in production. Be slow, give
/// up early, be refused, try again; never break a promise.
///
/// A run decides by its seed and the site's name whether the site is on (one in four is); then it is true
/// with the given probability, 0.05 if none is. Always false outside a simulation, and in one that did
/// not ask for it (`Options::buggify`). Without the feature `sim` it is the constant `false`.
///
/// ```
/// fn batch_size(full: usize) -> usize {
///     if rt::buggify!("example: a batch of one") { 1 } else { full }
/// }
/// assert_eq!(batch_size(64), 64);
/// assert!(!rt::buggify!("example: one in five", 0.2));
/// ```
#[cfg(feature = "sim")]
#[macro_export]
macro_rules! buggify {
    ($name:literal $(,)?) => {
        $crate::buggify!($name, 0.05)
    };
    ($name:literal, $probability:expr $(,)?) => {
        $crate::__site!(Buggify, $name).fires($probability)
    };
}

/// False: this program holds no simulation.
#[cfg(not(feature = "sim"))]
#[macro_export]
macro_rules! buggify {
    ($name:literal $(, $probability:expr)? $(,)?) => {
        false
    };
}

/// A state that some run of a campaign must reach: where `$condition` is true, it is reached. The
/// sentence names the state.
///
/// ```
/// let waiting = 3;
/// rt::sometimes!(waiting > 1, "example: more than one request waited");
/// ```
#[cfg(feature = "sim")]
#[macro_export]
macro_rules! sometimes {
    ($condition:expr, $sentence:literal $(,)?) => {
        // Names the site even if the condition never holds.
        $crate::__site!(Sometimes, $sentence).evaluated(|| $condition)
    };
}

/// Nothing: this program holds no simulation.
#[cfg(not(feature = "sim"))]
#[macro_export]
macro_rules! sometimes {
    ($condition:expr, $sentence:literal $(,)?) => {
        if false {
            let _ = $condition;
        }
    };
}

/// A place in the code that some run of a campaign must reach.
///
/// ```
/// rt::reachable!("example: the second way out");
/// ```
#[cfg(feature = "sim")]
#[macro_export]
macro_rules! reachable {
    ($sentence:literal $(,)?) => {
        $crate::__site!(Reachable, $sentence).evaluated(|| true)
    };
}

/// Nothing: this program holds no simulation.
#[cfg(not(feature = "sim"))]
#[macro_export]
macro_rules! reachable {
    ($sentence:literal $(,)?) => {};
}

/// A law: in a simulation a false condition is a violation, with its time and machine. The code goes on.
/// What follows the sentence is a format string and its values, for the evidence.
///
/// ```
/// let (applied, committed) = (3, 4);
/// rt::always!(applied <= committed, "example: nothing uncommitted is applied", "{applied} > {committed}");
/// ```
#[cfg(feature = "sim")]
#[macro_export]
macro_rules! always {
    ($condition:expr, $sentence:literal $(,)?) => {
        $crate::__site!(Always, $sentence).holds(|| $condition, ::core::format_args!(""))
    };
    ($condition:expr, $sentence:literal, $($detail:tt)+) => {
        $crate::__site!(Always, $sentence).holds(|| $condition, ::core::format_args!($($detail)+))
    };
}

/// Nothing: this program holds no simulation.
#[cfg(not(feature = "sim"))]
#[macro_export]
macro_rules! always {
    ($condition:expr, $sentence:literal $(, $($detail:tt)*)?) => {
        if false {
            let _ = $condition;
            $(let _ = ::core::format_args!($($detail)*);)?
        }
    };
}

/// Puts a site on the list of all sites, and gives it.
#[cfg(feature = "sim")]
#[doc(hidden)]
#[macro_export]
macro_rules! __site {
    ($kind:ident, $name:literal) => {{
        #[allow(unsafe_code, reason = "a section for the linker to gather; the list checks the type")]
        #[$crate::__linkme::distributed_slice($crate::sim::sites::SITES)]
        #[linkme(crate = $crate::__linkme)]
        static SITE: $crate::sim::sites::Site = $crate::sim::sites::Site::new(
            $crate::sim::sites::Kind::$kind,
            $name,
            ::core::file!(),
            ::core::line!(),
        );
        &SITE
    }};
}

#[cfg(test)]
mod tests {
    /// Without the feature the marks are constants: they stand where no code may run.
    #[cfg(not(feature = "sim"))]
    const _: () = {
        assert!(!crate::buggify!("unit test: in a constant", 1.0));
        crate::sometimes!(true, "unit test: in a constant");
        crate::reachable!("unit test: in a constant");
        crate::always!(false, "unit test: in a constant");
    };

    #[test]
    fn outside_a_simulation_nothing_is_evaluated() {
        let mut looked = 0;
        let mut look = |answer: bool| {
            looked += 1;
            answer
        };
        let fires = crate::buggify!("unit test: outside", 1.0);
        assert!(!fires);
        crate::sometimes!(look(true), "unit test: a state outside");
        crate::always!(look(false), "unit test: a law outside", "{}", 1);
        crate::reachable!("unit test: a place outside");
        assert_eq!(looked, 0);
    }
}
