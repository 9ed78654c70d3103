//! `make bench`: the scorer beside its peers and its limits. tests/bench.sh prepares what is passed here.

mod bench;
mod callgrind;
mod client;
mod cores;
mod extras;
mod goals;
mod grpc;
mod h2load;
mod machine;
mod page;
mod payloads;
mod plan;
mod ports;
mod process;
mod reloads;
mod scorer;
mod soak;
mod steady;
mod subjects;
mod wrk;

use std::{fs, path::PathBuf, time::Instant};

use anyhow::Result;
use clap::Parser;

use bench::Bench;
use cores::Cores;
use extras::{Extras, Further};
use goals::Rounds;
use page::Facts;
use payloads::Payloads;
use plan::Mode;
use scorer::Scorer;
use subjects::{Places, Subjects};

/// Measures the scorer beside its peers and its limits, and prints tables.
#[derive(Debug, Parser)]
struct Arguments {
    /// How thorough.
    #[arg(long, value_enum, default_value = "full")]
    mode: Mode,
    /// How long a soak lasts.
    #[arg(long, default_value_t = 20)]
    minutes: u32,
    /// How many models follow one another.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=65_535))]
    reloads: u32,
    /// The scorer, built for release.
    #[arg(long)]
    scorer: PathBuf,
    /// ONNX Runtime's library.
    #[arg(long)]
    onnxruntime: PathBuf,
    /// Folder for logs and payloads.
    #[arg(long)]
    work: PathBuf,
    /// Simulated transactions with features, CSV.
    #[arg(long)]
    transactions: PathBuf,
    /// The page that a full run writes.
    #[arg(long)]
    page: PathBuf,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    further: Further,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (start, load) = (Instant::now(), machine::load_average());
    let plan = arguments.mode.plan();
    fs::create_dir_all(&arguments.work)?;
    let bench = Bench {
        plan,
        cores: Cores::claim()?,
        payloads: Payloads::read(&arguments.transactions)?,
        work: arguments.work.clone(),
    };
    let scorer = Scorer::new(&arguments.scorer, &arguments.onnxruntime, &arguments.work)?;
    let subjects = Subjects::new(&arguments.places, &scorer);
    if arguments.mode == Mode::Soak {
        return soak::run(&bench, &subjects.scorer, arguments.minutes);
    }
    if arguments.mode == Mode::Reload {
        return reloads::run(&bench, &scorer, &arguments.places.model, arguments.reloads);
    }
    let rounds = Rounds::measure(&bench, &subjects, &scorer, &arguments.places.model)?;
    let extras = match arguments.mode {
        Mode::Quick | Mode::Soak | Mode::Reload => Vec::new(),
        Mode::Full => {
            let extras = Extras {
                bench: &bench,
                scorer: &scorer,
                places: &arguments.places,
                rounds: &rounds,
            };
            extras.measure(&subjects, &arguments.further)?
        }
    };
    let tables = page::tables(&rounds.goals(&subjects), &rounds.servers(&subjects), &extras);
    let (on, missing) = scorer.features();
    let facts = Facts {
        machine: machine::describe(bench.cores.count),
        versions: versions(&arguments.places),
        date: jiff::Zoned::now().strftime("%Y-%m-%d").to_string(),
        load,
        rounds: plan.rounds,
        on,
        missing,
        minutes: start.elapsed().as_secs_f64() / 60.0,
    };
    println!(
        "\n{tables}\n{}; load average at the start {load:.2}",
        facts.machine
    );
    if arguments.mode == Mode::Full {
        fs::write(&arguments.page, page::page(&facts, &tables))?;
        println!("wrote {}", arguments.page.display());
    }
    Ok(())
}

fn versions(places: &Places) -> Vec<String> {
    let script = "import importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in ('fastapi', 'uvicorn', 'onnxruntime', 'scikit-learn')))";
    let python = places.python.to_string_lossy();
    let node = "process.chdir(process.argv[1]); console.log(['fastify', 'onnxruntime-node'].map(n => n + ' ' + JSON.parse(require('fs').readFileSync('node_modules/' + n + '/package.json')).version).join(', '))";
    [
        machine::version("rustc", &["--version"]),
        machine::version(&python, &["--version"]),
        machine::version(&python, &["-c", script]),
        format!("Node {}", machine::version("node", &["--version"])),
        machine::version("node", &["-e", node, &places.node.to_string_lossy()]),
        machine::version("valgrind", &["--version"]),
    ]
    .into_iter()
    .filter(|version| !version.trim_start_matches("Node").trim().is_empty())
    .collect()
}
