//! `fraudops-simulator`: card transactions with fraud, generated from a seed.

mod args;

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use fraudops_simulator::{Features, Simulation, output::OutputError, table::Table};
use indicatif::{ProgressBar, ProgressStyle};

use args::{Arguments, Command, Generate};

fn main() -> ExitCode {
    let Command::Generate(arguments) = Arguments::parse().command;
    match generate(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if matches!(error.downcast_ref(), Some(OutputError::ReaderGone)) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn generate(arguments: &Generate) -> anyhow::Result<()> {
    let simulation = Simulation::new(arguments.settings())?;
    arguments.out.check()?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.threads)
        .build()
        .with_context(|| format!("--threads {}", arguments.threads))?;
    let progress = spinner();

    progress.set_message("drawing transactions");
    let rows = pool.install(|| simulation.run());
    progress.set_message("computing features");
    let features = arguments
        .features
        .then(|| pool.install(|| Features::compute(&rows, simulation.settings())));
    progress.set_message("writing rows");
    progress.set_length(rows.len() as u64);
    arguments
        .out
        .write(Table::new(&rows, features.as_ref()), |written| {
            progress.inc(written as u64)
        })?;

    progress.finish_and_clear();
    let [_, amount, terminal, card] = rows.rows_by_scenario();
    let frauds = amount + terminal + card;
    let share = 100.0 * frauds as f64 / rows.len().max(1) as f64;
    eprintln!(
        "{} rows, {frauds} of them fraud ({share:.2} %): {amount} amount, {terminal} terminal, {card} card; {:.1} s",
        rows.len(),
        progress.elapsed().as_secs_f64(),
    );
    Ok(())
}

/// Drawn on the standard error, and only on a terminal.
fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {human_pos}/{human_len} {elapsed}")
        .expect("the template is valid");
    let progress = ProgressBar::new_spinner().with_style(style);
    progress.enable_steady_tick(Duration::from_millis(100));
    progress
}
