//! One line per step, with its seconds.

use std::time::Instant;

use anyhow::{Context, Result};

/// Runs a step and prints a line with the time it took to standard error; the step's name is the error's context.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let result = work();
    let seconds = started.elapsed().as_secs_f64();
    let mark = if result.is_ok() { "ok    " } else { "FAILED" };
    eprintln!("{mark} {seconds:6.1} s  {name}");
    result.with_context(|| name.to_owned())
}

/// Announces a step that takes minutes, so that nobody believes it hangs.
pub(crate) fn announce(text: &str) {
    eprintln!("...             {text}");
}
