//! Prometheus' text format 0.0.4.

use std::{
    fmt::{Display, Write as _},
    time::Duration,
};

use super::{
    ModelLabels,
    histogram::{self, DURATION_BOUNDS, SCORE_BOUNDS},
    shard::{RequestError, Totals},
};
use crate::decision::Decision;

/// Everything that one scrape shows.
pub struct Scrape<'a> {
    pub total: &'a Totals,
    pub ready: bool,
    pub open: usize,
    pub model: Option<&'a ModelLabels>,
    pub load_time: Option<Duration>,
    pub started: f64,
}

/// The whole exposition.
pub fn render(scrape: &Scrape<'_>) -> String {
    let mut page = Page(String::with_capacity(8192));
    predictions(&mut page, scrape.total);
    failures(&mut page, scrape.total);
    transport(&mut page, scrape);
    process(&mut page, scrape);
    page.0
}

fn predictions(page: &mut Page, total: &Totals) {
    let [approve, review, block] = total.decisions;
    page.family("fraud_decisions_total", "counter", "Answers by decision.");
    for (decision, count) in Decision::ALL.into_iter().zip(total.decisions) {
        page.labelled("fraud_decisions_total", "decision", decision.as_str(), count);
    }
    for (name, help) in [
        ("fraud_predictions_total", "Answers by is_fraud."),
        (
            "predictions_total",
            "Answers by is_fraud, under the name that dashboards of the replaced system use.",
        ),
    ] {
        page.family(name, "counter", help);
        page.labelled(name, "is_fraud", "true", block);
        page.labelled(name, "is_fraud", "false", approve + review);
    }
    let name = "fraud_prediction_duration_seconds";
    page.family(name, "histogram", "Time from the request's head to its answer.");
    page.histogram(name, &DURATION_BOUNDS, &total.duration);
    page.family(
        "fraud_score",
        "histogram",
        "Scores of the model, in the bins of its reference histogram.",
    );
    page.histogram("fraud_score", &SCORE_BOUNDS, &total.score);
}

fn failures(page: &mut Page, total: &Totals) {
    page.single(
        "fraud_requests_total",
        "counter",
        "Requests on the serving port, of every kind. The operator removes a version when this stands still.",
        total.requests,
    );
    page.family(
        "fraud_request_errors_total",
        "counter",
        "Requests without a prediction, by what was wrong.",
    );
    for (error, count) in RequestError::ALL.into_iter().zip(total.errors) {
        page.labelled("fraud_request_errors_total", "kind", error.as_str(), count);
    }
    let help = "Answers that onModelError decided, because the model failed or gave no probability.";
    page.single("fraud_model_errors_total", "counter", help, total.model_errors);
    page.single(
        "fraud_panics_total",
        "counter",
        "Panics that were caught.",
        total.panics,
    );
}

fn transport(page: &mut Page, scrape: &Scrape<'_>) {
    let total = scrape.total;
    page.single(
        "fraud_connections",
        "gauge",
        "Open connections of the serving port.",
        scrape.open,
    );
    page.single(
        "fraud_connections_accepted_total",
        "counter",
        "Connections accepted.",
        total.accepted,
    );
    page.single(
        "fraud_connections_refused_total",
        "counter",
        "Connections turned away at the limit.",
        total.refused,
    );
    let help = "Connections closed because the client was slow or idle for too long.";
    page.single(
        "fraud_connections_timed_out_total",
        "counter",
        help,
        total.timed_out,
    );
    page.single(
        "fraud_inferences_total",
        "counter",
        "Calls of the model.",
        total.batches,
    );
    page.single(
        "fraud_inference_rows_total",
        "counter",
        "Rows scored by these calls.",
        total.rows,
    );
}

fn process(page: &mut Page, scrape: &Scrape<'_>) {
    page.single(
        "fraud_ready",
        "gauge",
        "1 when a verified and warm model serves.",
        u8::from(scrape.ready),
    );
    page.family("fraud_scorer_info", "gauge", "Version of this program.");
    page.labelled("fraud_scorer_info", "version", env!("CARGO_PKG_VERSION"), 1);
    if let Some(model) = scrape.model {
        page.family("fraud_model_info", "gauge", "The model that serves.");
        let (version, algorithm) = (escape(&model.version), escape(&model.algorithm));
        let sha256 = model.sha256.get(..12).unwrap_or(&model.sha256);
        page.line(&format!(
            "fraud_model_info{{version=\"{version}\",sha256=\"{sha256}\",algorithm=\"{algorithm}\"}} 1"
        ));
    }
    if let Some(took) = scrape.load_time {
        let help = "Time from start to a verified and warm model.";
        page.single("fraud_model_load_seconds", "gauge", help, took.as_secs_f64());
    }
    page.single(
        "process_start_time_seconds",
        "gauge",
        "Start of the process, in Unix time.",
        scrape.started,
    );
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(&format!("# HELP {name} {help}"));
        self.line(&format!("# TYPE {name} {kind}"));
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.line(&format!("{name} {value}"));
    }

    fn labelled(&mut self, name: &str, label: &str, value: &str, count: u64) {
        self.line(&format!("{name}{{{label}=\"{value}\"}} {count}"));
    }

    fn histogram(&mut self, name: &str, bounds: &[f64], totals: &histogram::Totals) {
        let counts = totals.cumulative(bounds);
        for (bound, count) in bounds.iter().zip(&counts) {
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let all = counts.last().copied().unwrap_or_default();
        let _ = writeln!(self.0, "{name}_bucket{{le=\"+Inf\"}} {all}");
        let _ = writeln!(self.0, "{name}_sum {}", totals.sum());
        let _ = writeln!(self.0, "{name}_count {all}");
    }
}
