//! The scorer's own families: which counters are shown under which names.

use super::{
    Buckets, Exposition, Imputation, ModelFailure, ModelLabels, Source,
    histogram::{DURATION_BOUNDS, SCORE_BOUNDS},
    shard::{RequestError, Totals},
};
use crate::decision::Decision;

/// Everything that one scrape shows of the serving threads.
pub struct Scrape<'a> {
    pub total: &'a Totals,
    pub ready: bool,
    pub open: usize,
    pub model: Option<&'a ModelLabels>,
    pub load_seconds: Option<f64>,
    pub features: &'a [String],
}

/// Writes all families.
pub fn collect(out: &mut Exposition, scrape: &Scrape<'_>) {
    predictions(out, scrape.total);
    failures(out, scrape.total);
    features(out, scrape);
    transport(out, scrape);
    model(out, scrape);
}

fn predictions(out: &mut Exposition, total: &Totals) {
    let by_decision = total.decisions.map(|sources| sources.iter().sum::<u64>());
    let mut family = out.counter("fraud_predictions", "Answers by decision.");
    for (decision, exemplar) in Decision::ALL.into_iter().zip(&total.traced_decisions) {
        let labels = [("decision", decision.as_str())];
        family.sample_with(&labels, by_decision[decision as usize], exemplar.as_ref());
    }
    let help = "Answers by decision, and by who took it.";
    let mut family = out.counter("fraud_decisions", help);
    for decision in Decision::ALL {
        for source in Source::ALL {
            let count = total.decisions[decision as usize][source as usize];
            family.sample(
                &[("decision", decision.as_str()), ("source", source.as_str())],
                count,
            );
        }
    }
    let [approve, review, block] = by_decision;
    let help = "Answers by is_fraud, under the name that dashboards of the replaced system use.";
    out.counter("predictions", help)
        .sample(&[("is_fraud", "true")], block)
        .sample(&[("is_fraud", "false")], approve + review);
    let help = "Time from the request's head to its answer.";
    out.histogram("fraud_prediction_duration_seconds", help).sample(
        &[],
        &Buckets {
            bounds: &DURATION_BOUNDS,
            counts: total.duration.counts(&DURATION_BOUNDS),
            sum: total.duration.sum(),
            exemplars: &total.traced_durations,
        },
    );
    let help = "Scores of the model, in the bins of its reference histogram.";
    out.histogram("fraud_score", help).sample(
        &[],
        &Buckets {
            bounds: &SCORE_BOUNDS,
            counts: total.score.counts(&SCORE_BOUNDS),
            sum: total.score.sum(),
            exemplars: &[],
        },
    );
    let help = "Transactions that reached the model, whether it gave a score or not.";
    out.counter("fraud_exposures", help).sample(&[], total.exposures);
    let help = "Requests marked as shadow: scored and counted, their answers not used.";
    out.counter("fraud_shadow_requests", help)
        .sample(&[], total.shadowed);
}

fn failures(out: &mut Exposition, total: &Totals) {
    let help =
        "Requests on the serving port, of every kind. The operator removes a version when this stands still.";
    out.counter("fraud_requests", help).sample(&[], total.requests);
    let help = "Requests without a prediction, by what was wrong.";
    let mut family = out.counter("fraud_request_errors", help);
    for (error, count) in RequestError::ALL.into_iter().zip(total.errors) {
        family.sample(&[("kind", error.as_str())], count);
    }
    let help = "Answers that onModelError decided, by why the model gave no score.";
    let mut family = out.counter("fraud_model_errors", help);
    for (kind, count) in ModelFailure::ALL.into_iter().zip(total.model_errors) {
        family.sample(&[("kind", kind.as_str())], count);
    }
    out.counter("fraud_panics", "Panics that were caught.")
        .sample(&[], total.panics);
}

fn features(out: &mut Exposition, scrape: &Scrape<'_>) {
    let help = "Features that requests did not bring, by what stood in for them.";
    let mut family = out.counter("fraud_imputed_features", help);
    let counts = scrape.total.imputed.chunks(Imputation::ALL.len());
    for (feature, counts) in scrape.features.iter().zip(counts) {
        for (kind, count) in Imputation::ALL.into_iter().zip(counts) {
            family.sample(&[("feature", feature), ("kind", kind.as_str())], *count);
        }
    }
}

fn transport(out: &mut Exposition, scrape: &Scrape<'_>) {
    let total = scrape.total;
    let help = "Open connections of the serving port.";
    out.gauge("fraud_connections", help)
        .sample(&[], scrape.open as u64);
    for (name, help, count) in [
        (
            "fraud_connections_accepted",
            "Connections accepted.",
            total.accepted,
        ),
        (
            "fraud_connections_refused",
            "Connections turned away at the limit.",
            total.refused,
        ),
        (
            "fraud_connections_timed_out",
            "Connections closed because the client was slow or idle for too long.",
            total.timed_out,
        ),
        ("fraud_inferences", "Calls of the model.", total.batches),
        ("fraud_inference_rows", "Rows scored by these calls.", total.rows),
    ] {
        out.counter(name, help).sample(&[], count);
    }
}

fn model(out: &mut Exposition, scrape: &Scrape<'_>) {
    let help = "1 when a verified and warm model serves.";
    out.gauge("fraud_ready", help)
        .sample(&[], u64::from(scrape.ready));
    if let Some(model) = scrape.model {
        let sha256 = model.sha256.get(..12).unwrap_or(&model.sha256);
        // `model` and `version` are on every series.
        let labels = [("sha256", sha256), ("algorithm", model.algorithm.as_str())];
        out.info("fraud_model", "The model that serves.", &labels);
    }
    if let Some(seconds) = scrape.load_seconds {
        let help = "Time from start, or from the look that found the file, to a verified and warm model.";
        out.gauge("fraud_model_load_seconds", help).sample(&[], seconds);
    }
}
