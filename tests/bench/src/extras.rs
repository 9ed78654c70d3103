//! The second table: what else one asks of a scorer.

mod feedback;
mod protocols;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Result, ensure};
use clap::Args;

use crate::{
    bench::{Bench, CONNECTIONS, Sample, Shape, median},
    goals::{Rounds, thousands},
    scorer::{Scorer, Setup},
    subjects::{Places, Subjects, ours, reference},
};

const NOT_OFFERED: &str = "not offered by this build";

/// Further programs and models.
#[derive(Args, Clone, Debug)]
pub struct Further {
    /// LightGBM, 500 trees of 63 leaves.
    #[arg(long)]
    lightgbm: PathBuf,
    /// MLP with two hidden layers of 64.
    #[arg(long)]
    mlp: PathBuf,
    /// The simulator.
    #[arg(long)]
    simulator: PathBuf,
}

/// What the rows are made with.
pub struct Extras<'a> {
    /// Plan, cores, payloads.
    pub bench: &'a Bench,
    /// Our program.
    pub scorer: &'a Scorer,
    /// Models and peers.
    pub places: &'a Places,
    /// What the first table measured.
    pub rounds: &'a Rounds,
}

type Row = Vec<String>;

fn row(what: &str, figure: impl Into<String>, goal: &str) -> Row {
    vec![what.to_owned(), figure.into(), goal.to_owned()]
}

fn per_second(value: f64, of: &str) -> String {
    format!("{} {of}/s", thousands(value))
}

impl Extras<'_> {
    /// All rows, in the order in which they are measured.
    pub fn measure(&self, subjects: &Subjects, further: &Further) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut add = |row: Row| {
            eprintln!("    {:<52} {}", row[0], row[1]);
            rows.push(row);
        };
        let ours = |figure: fn(&Sample) -> f64| median(self.rounds.samples["scorer"].iter().map(figure));
        let ready = ours(|s| s.ready_after.as_secs_f64());
        add(row(
            "from start to the first prediction",
            format!("{ready:.2} s"),
            "≤ 0.5 s",
        ));
        add(row(
            "resident memory, one model",
            format!("{:.0} MiB", ours(|s| s.rss_mib)),
            "≤ 60 MiB",
        ));
        for found in self.two_models()? {
            add(found);
        }
        add(self.sixteen_connections(subjects)?);
        add(self.two_cores()?);
        add(self.model("LightGBM, 500 trees of 63 leaves", &further.lightgbm)?);
        add(self.model("MLP, two hidden layers of 64", &further.mlp)?);
        for found in self.protocols()? {
            add(found);
        }
        add(self.feedback()?);
        add(self.reference_without_telemetry()?);
        add(self.simulator(&further.simulator)?);
        Ok(rows)
    }

    /// Medians of the rounds of two servers that take turns.
    fn against(
        &self,
        one: impl Fn() -> Result<Sample>,
        other: impl Fn() -> Result<Sample>,
    ) -> Result<(Sample, f64)> {
        let mut rounds = Vec::new();
        for _ in 0..self.bench.plan.rounds {
            rounds.push((one()?, other()?));
        }
        let ratio = median(
            rounds
                .iter()
                .map(|(a, b)| a.throughput.per_second / b.throughput.per_second),
        );
        rounds.sort_by(|(a, _), (b, _)| a.throughput.per_second.total_cmp(&b.throughput.per_second));
        let (middle, _) = rounds.swap_remove(rounds.len() / 2);
        Ok((middle, ratio))
    }

    fn serve(&self, setup: &Setup, cores: &str, shape: &Shape<'_>) -> Result<Sample> {
        let subject = ours(self.scorer, setup);
        self.bench
            .load(self.bench.start(&subject.command, cores, &subject)?, shape)
    }

    fn usual(&self, setup: &Setup, connections: u32) -> Result<Sample> {
        let bodies = self.bench.usual()?;
        let shape = Shape {
            path: "/predict",
            bodies: &bodies,
            connections,
            tls: false,
        };
        self.serve(setup, &self.bench.cores.one, &shape)
    }

    fn plain(&self) -> Setup {
        Setup::full(&self.places.model)
    }

    fn two_models(&self) -> Result<Vec<Row>> {
        let (speed, memory) = (
            "two models in one process, req/s against one",
            "resident memory, two models",
        );
        if !self.scorer.offers("--companion") {
            return Ok(vec![
                row(speed, NOT_OFFERED, ""),
                row(memory, NOT_OFFERED, "≤ 75 MiB"),
            ]);
        }
        let two = Setup {
            companion: Some(self.places.model.clone()),
            ..self.plain()
        };
        let (sample, ratio) = self.against(
            || self.usual(&two, CONNECTIONS),
            || self.usual(&self.plain(), CONNECTIONS),
        )?;
        Ok(vec![
            row(speed, format!("{ratio:.2}×"), ""),
            row(memory, format!("{:.0} MiB", sample.rss_mib), "≤ 75 MiB"),
        ])
    }

    fn sixteen_connections(&self, subjects: &Subjects) -> Result<Row> {
        let bodies = self.bench.usual()?;
        let shape = Shape {
            path: "/predict",
            bodies: &bodies,
            connections: 16,
            tls: false,
        };
        let ceiling = || {
            let process = self.bench.start(
                &subjects.ceiling.command,
                &self.bench.cores.one,
                &subjects.ceiling,
            )?;
            self.bench.load(process, &shape)
        };
        let (_, ratio) = self.against(|| self.usual(&self.plain(), 16), ceiling)?;
        Ok(row(
            "the ceiling at 16 connections, req/s",
            format!("{ratio:.2}×"),
            "",
        ))
    }

    fn two_cores(&self) -> Result<Row> {
        let bodies = self.bench.usual()?;
        let shape = Shape {
            path: "/predict",
            bodies: &bodies,
            connections: CONNECTIONS,
            tls: false,
        };
        let two = Setup {
            workers: 2,
            ..self.plain()
        };
        let cores = &self.bench.cores;
        let (sample, ratio) = self.against(
            || self.serve(&two, &cores.two, &shape),
            || self.usual(&self.plain(), CONNECTIONS),
        )?;
        let shared = if cores.shared {
            "; the load generator shares the second core"
        } else {
            ""
        };
        let figure = format!(
            "{ratio:.2}×, {:.1} µs of CPU per request{shared}",
            sample.cpu_micros
        );
        Ok(row("two cores against one, req/s", figure, ""))
    }

    fn model(&self, what: &str, model: &Path) -> Result<Row> {
        let other = Setup {
            model: model.to_path_buf(),
            ..self.plain()
        };
        let (sample, ratio) = self.against(
            || self.usual(&other, CONNECTIONS),
            || self.usual(&self.plain(), CONNECTIONS),
        )?;
        let rate = per_second(sample.throughput.per_second, "req");
        let figure = format!(
            "{rate}, {ratio:.2}× of XGBoost, {:.1} µs of CPU",
            sample.cpu_micros
        );
        Ok(row(what, figure, ""))
    }

    fn reference_without_telemetry(&self) -> Result<Row> {
        let what = "the reference system's stack without telemetry, req/s";
        let peer = reference(self.places, false);
        if let Some(reason) = &peer.left_out {
            return Ok(row(what, format!("left out: {reason}"), ""));
        }
        let ours = || self.usual(&self.plain(), CONNECTIONS);
        let (_, ratio) = self.against(ours, || self.bench.throughput(&peer))?;
        Ok(row(what, format!("{ratio:.0}×"), ""))
    }

    fn simulator(&self, program: &Path) -> Result<Row> {
        let file = self.bench.work.join("simulated.parquet");
        let start = Instant::now();
        let output = Command::new("taskset")
            .args(["--cpu-list", &self.bench.cores.one])
            .arg(program)
            .args(["generate", "--features", "--threads", "1", "--out"])
            .arg(&file)
            .output()?;
        let took = start.elapsed();
        ensure!(
            output.status.success(),
            "simulator: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::remove_file(&file)?;
        let figure = format!("{:.2} s", took.as_secs_f64());
        Ok(row(
            "simulator, 1.75 million transactions with features, one core",
            figure,
            "",
        ))
    }
}
