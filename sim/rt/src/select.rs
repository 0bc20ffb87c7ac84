//! `rt::select!`: the only `select!` of node code.

/// Waits on several futures and runs the branch of the first that is ready, looking at them in the
/// order in which they are written. It is `tokio::select!` with `biased;` always on: the unbiased form
/// draws from a process-global random counter and would make a simulation unrepeatable.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let answer = rt::select! {
///     value = async { 7 } => value,
///     _ = std::future::pending::<()>() => 0,
/// };
/// assert_eq!(answer, 7);
/// # });
/// ```
#[macro_export]
macro_rules! select {
    ($($branches:tt)*) => {
        $crate::__tokio::select! { biased; $($branches)* }
    };
}
