//! The first table: goals, and what was measured of them.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;

use crate::{
    bench::{Bench, Sample, median},
    callgrind,
    scorer::{Scorer, Setup},
    steady::Latency,
    subjects::{Subject, Subjects},
};

/// A goal of the first table.
struct Goal {
    what: &'static str,
    must: f64,
    aim: f64,
    /// Whether more is better.
    upwards: bool,
    unit: Unit,
}

#[derive(Clone, Copy)]
enum Unit {
    Times,
    Share,
    Count,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Times if value >= 10.0 => format!("{value:.0}×"),
            Self::Times => format!("{value:.2}×"),
            Self::Share => format!("{:.1} %", value * 100.0),
            Self::Count => thousands(value),
        }
    }
}

/// `62,000`.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    let groups: Vec<_> = groups.into_iter().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

impl Goal {
    fn row(&self, found: Result<f64, &str>) -> Vec<String> {
        let sign = if self.upwards { "≥" } else { "≤" };
        let limit = |value| format!("{sign} {}", self.unit.show(value));
        let (figure, verdict) = match found {
            Ok(value) => (self.unit.show(value), self.verdict(value)),
            Err(reason) => (format!("left out: {reason}"), ""),
        };
        let cells = [
            self.what.to_owned(),
            limit(self.must),
            limit(self.aim),
            figure,
            verdict.to_owned(),
        ];
        cells.into()
    }

    fn verdict(&self, value: f64) -> &'static str {
        let reaches = |goal: f64| {
            if self.upwards {
                value >= goal
            } else {
                value <= goal
            }
        };
        match (reaches(self.aim), reaches(self.must)) {
            (true, _) => "aim",
            (false, true) => "must",
            (false, false) => "**missed**",
        }
    }
}

/// Everything that the first two tables are made of.
#[derive(Default)]
pub struct Rounds {
    /// Samples of each server, one for each round.
    pub samples: BTreeMap<&'static str, Vec<Sample>>,
    latencies: BTreeMap<&'static str, Vec<Latency>>,
    instructions: f64,
    without_telemetry: f64,
}

impl Rounds {
    /// Measures. In each round every server has its turn, so that what disturbs the machine disturbs all alike.
    pub fn measure(bench: &Bench, subjects: &Subjects, scorer: &Scorer, model: &Path) -> Result<Self> {
        let mut rounds = Self::default();
        for round in 1..=bench.plan.rounds {
            for subject in subjects.all().into_iter().filter(|s| s.left_out.is_none()) {
                let sample = bench.throughput(subject)?;
                eprintln!(
                    "    round {round}: {:<52} {:>9} req/s",
                    subject.title,
                    thousands(sample.throughput.per_second)
                );
                rounds.samples.entry(subject.key).or_default().push(sample);
            }
            for subject in [&subjects.scorer, &subjects.ceiling] {
                let found = bench.latency(subject)?;
                rounds.latencies.entry(subject.key).or_default().push(found);
            }
        }
        eprintln!("    instructions, counted by callgrind");
        let count = |telemetry| {
            let setup = Setup {
                telemetry,
                ..Setup::full(model)
            };
            let command = scorer.command(&setup);
            callgrind::per_request(
                &command,
                &bench.cores.one,
                &bench.work,
                &bench.payloads,
                bench.plan.counted,
            )
        };
        rounds.instructions = count(true)?;
        rounds.without_telemetry = count(false)?;
        Ok(rounds)
    }

    /// Median of the rounds' ratios: the scorer's throughput to that of a peer.
    fn ratio<'a>(&self, peer: &'a Subject) -> Result<f64, &'a str> {
        if let Some(reason) = &peer.left_out {
            return Err(reason);
        }
        let rate = |key: &str| {
            self.samples
                .get(key)
                .into_iter()
                .flatten()
                .map(|s| s.throughput.per_second)
        };
        Ok(median(
            rate("scorer")
                .zip(rate(peer.key))
                .map(|(ours, theirs)| ours / theirs),
        ))
    }

    fn latency_ratio(&self) -> f64 {
        let p50 = |key: &str| {
            self.latencies
                .get(key)
                .into_iter()
                .flatten()
                .map(|l| l.p50.as_secs_f64())
        };
        median(
            p50("scorer")
                .zip(p50("ceiling"))
                .map(|(ours, theirs)| ours / theirs),
        )
    }

    /// The rows of the first table.
    pub fn goals(&self, subjects: &Subjects) -> Vec<Vec<String>> {
        let throughput = |peer: &Subject, what, must, aim| {
            let goal = Goal {
                what,
                must,
                aim,
                upwards: true,
                unit: Unit::Times,
            };
            goal.row(self.ratio(peer))
        };
        let cost = |what, must, aim, unit, found| {
            Goal {
                what,
                must,
                aim,
                upwards: false,
                unit,
            }
            .row(Ok(found))
        };
        let share = (self.instructions - self.without_telemetry) / self.instructions;
        let stack = "the reference system's stack (FastAPI + scikit-learn, uvicorn), req/s";
        vec![
            throughput(&subjects.reference, stack, 100.0, 250.0),
            throughput(
                &subjects.fastapi,
                "FastAPI + onnxruntime, uvicorn, req/s",
                10.0,
                14.0,
            ),
            throughput(
                &subjects.fastify,
                "Node fastify + onnxruntime-node, req/s",
                4.0,
                6.0,
            ),
            throughput(
                &subjects.ceiling,
                "axum answering a constant (the ceiling), req/s",
                0.55,
                0.70,
            ),
            cost(
                "user instructions per request (callgrind)",
                62_000.0,
                45_000.0,
                Unit::Count,
                self.instructions,
            ),
            cost("telemetry's share of them", 0.10, 0.06, Unit::Share, share),
            cost(
                "p50 at 2,000 req/s against the ceiling's",
                1.8,
                1.4,
                Unit::Times,
                self.latency_ratio(),
            ),
        ]
    }

    /// The rows behind the ratios: medians of the rounds.
    pub fn servers(&self, subjects: &Subjects) -> Vec<Vec<String>> {
        let of = |key: &str, figure: fn(&Sample) -> f64| {
            median(self.samples.get(key).into_iter().flatten().map(figure))
        };
        let measured = subjects
            .all()
            .into_iter()
            .filter(|subject| self.samples.contains_key(subject.key));
        measured
            .map(|subject| {
                let figure = |figure| of(subject.key, figure);
                let steady = self.latencies.get(subject.key);
                let steady = steady.map_or_else(String::new, |all| {
                    let micros = |part: fn(&Latency) -> f64| median(all.iter().map(part));
                    format!(
                        "{:.0} / {:.0}",
                        micros(|l| l.p50.as_secs_f64() * 1e6),
                        micros(|l| l.p99.as_secs_f64() * 1e6)
                    )
                });
                vec![
                    subject.title.to_owned(),
                    thousands(figure(|s| s.throughput.per_second)),
                    format!(
                        "{:.2} / {:.2}",
                        figure(|s| s.throughput.p50.as_secs_f64() * 1e3),
                        figure(|s| s.throughput.p99.as_secs_f64() * 1e3)
                    ),
                    format!("{:.1}", figure(|s| s.cpu_micros)),
                    format!("{:.0}", figure(|s| s.pss_mib)),
                    format!("{:.2}", figure(|s| s.ready_after.as_secs_f64())),
                    steady,
                ]
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_reached_missed_or_left_out() {
        let goal = Goal {
            what: "speed",
            must: 4.0,
            aim: 6.0,
            upwards: true,
            unit: Unit::Times,
        };
        assert_eq!(goal.row(Ok(6.0)), ["speed", "≥ 4.00×", "≥ 6.00×", "6.00×", "aim"]);
        assert_eq!(goal.row(Ok(5.0))[4], "must");
        assert_eq!(goal.row(Ok(3.9))[4], "**missed**");
        assert_eq!(goal.row(Err("no npm"))[3], "left out: no npm");
        let cost = Goal {
            what: "cost",
            must: 62_000.0,
            aim: 45_000.0,
            upwards: false,
            unit: Unit::Count,
        };
        assert_eq!(
            cost.row(Ok(52_600.4)),
            ["cost", "≤ 62,000", "≤ 45,000", "52,600", "must"]
        );
        assert_eq!(
            cost.row(Ok(f64::NAN))[4],
            "**missed**",
            "what was not measured is not reached"
        );
    }
}
