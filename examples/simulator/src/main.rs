//! `fraudops-simulator`: card transactions with fraud, generated from a seed.

mod args;

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use fraudops_simulator::{
    Features, Simulation, Transactions,
    feed::{Feed, Period},
    labels::Labels,
    output::OutputError,
    stream::{self, StreamError},
    table::Table,
};
use indicatif::{ProgressBar, ProgressStyle};

use args::{Arguments, Command, Generate, Stream, World};

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Generate(arguments) => generate(&arguments),
        Command::Stream(arguments) => send(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if has_reader_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whoever reads a pipe may have enough of it.
fn has_reader_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(OutputError::ReaderGone))
        || matches!(error.downcast_ref(), Some(StreamError::ReaderGone))
}

fn generate(arguments: &Generate) -> anyhow::Result<()> {
    let file = arguments.world.file()?;
    anyhow::ensure!(
        file.broken.is_none(),
        "--scenario: break is for `stream`: a table has the inputs as they are"
    );
    let simulation = Simulation::new(arguments.world.settings(&file))?;
    arguments.out.check()?;
    let pool = threads(&arguments.world)?;
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
    eprintln!("{}; {:.1} s", counted(&rows), progress.elapsed().as_secs_f64());
    Ok(())
}

fn send(arguments: &Stream) -> anyhow::Result<()> {
    let file = arguments.world.file()?;
    let simulation = Simulation::new(arguments.world.settings(&file))?;
    let settings = simulation.settings();
    let period = Period::new(arguments.from_day, arguments.until_day, settings.days)?;
    let labels = Labels::new(arguments.labels(), settings.seed)?;
    let sink = arguments.sink()?;
    let pool = threads(&arguments.world)?;
    let progress = spinner();

    progress.set_message("drawing transactions");
    let rows = pool.install(|| simulation.run());
    drop(pool);
    progress.set_message("filling the windows");
    let feed = Feed::new(rows, settings, labels, period);
    progress.finish_and_clear();
    stream::run(stream::Stream {
        feed,
        payload: arguments.payload(&file),
        pace: arguments.pace(),
        limit: arguments.limit,
        duration: arguments.duration,
        sink,
        interval: arguments.interval,
        metrics: arguments.metrics_listen,
    })?;
    Ok(())
}

fn threads(world: &World) -> anyhow::Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(world.threads)
        .build()
        .with_context(|| format!("--threads {}", world.threads))
}

fn counted(rows: &Transactions) -> String {
    let all = rows.len();
    let [_, amount, terminal, card, tested] = rows.rows_by_scenario();
    let frauds = amount + terminal + card + tested;
    let share = 100.0 * frauds as f64 / all.max(1) as f64;
    let tested = if tested > 0 {
        format!(", {tested} tested cards")
    } else {
        String::new()
    };
    format!(
        "{all} rows, {frauds} of them fraud ({share:.2} %): {amount} amount, {terminal} terminal, {card} card{tested}"
    )
}

/// Drawn on the standard error, and only on a terminal.
fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {human_pos}/{human_len} {elapsed}")
        .expect("the template is valid");
    let progress = ProgressBar::new_spinner().with_style(style);
    progress.enable_steady_tick(Duration::from_millis(100));
    progress
}
