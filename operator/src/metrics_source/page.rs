//! A scorer's `/metrics`: the few families that a rollout is judged by, out of Prometheus' text format 0.0.4.
//!
//! What is read is read strictly, because a version is promoted by it: a line that is not understood is an error, not a zero.
//! Every other family is passed over.

use std::collections::BTreeMap;

use thiserror::Error;

use super::Reading;
use crate::rollout::Counts;

/// Names of the scorer's families begin with this.
const PREFIX: &str = "fraud_";
/// Start of the process, in seconds of Unix time.
const START: &str = "process_start_time_seconds";
/// The bound, in seconds, above which an answer is slow.
const SLOW: f64 = 0.025;
/// Kinds of request errors that are answered with a 5xx.
const SERVER_ERRORS: [&str; 2] = ["not_ready", "overloaded"];
/// Kinds of request errors by which the model's schema refuses a request.
const REFUSALS: [&str; 3] = ["invalid_json", "invalid_request", "card_number"];

/// Why a page can't be taken for a scorer's.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// A line of a family that is needed can't be read.
    #[error("line {0} of /metrics can't be read")]
    Line(usize),
    /// A family is not there.
    #[error("/metrics has no {0}")]
    Missing(&'static str),
}

/// Reads a page.
///
/// # Errors
/// When a family that is needed is missing or can't be read.
pub fn read(page: &str) -> Result<Reading, Malformed> {
    let mut sums = Sums::default();
    for (number, line) in page.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            sums.take(line).ok_or(Malformed::Line(number + 1))?;
        }
    }
    if !sums.has(PREFIX, "prediction_duration_seconds_count") {
        return Err(Malformed::Missing("fraud_prediction_duration_seconds"));
    }
    sums.reading(PREFIX)
}

/// The values of the families that are needed, added up over all labels but one.
#[derive(Default)]
struct Sums {
    started: Option<f64>,
    /// By name and by value of the label that matters (`kind`, `le`).
    values: BTreeMap<(String, String), u64>,
}

impl Sums {
    /// Takes a line; None when it is one of ours and can't be read.
    fn take(&mut self, line: &str) -> Option<()> {
        let end = line.find(['{', ' ', '\t']).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        if name == START {
            let (_, value) = labels(rest, "")?;
            let start = number(value)?;
            self.started = Some(self.started.map_or(start, |other| other.max(start)));
            return Some(());
        }
        let label = name.strip_prefix(PREFIX).and_then(wanted);
        let Some(label) = label else { return Some(()) };
        let (key, value) = labels(rest, label)?;
        let value = number(value)?;
        // 2^53: beyond it a float does not tell one count from the next.
        if value.fract() != 0.0 || value > 9_007_199_254_740_992.0 {
            return None;
        }
        let sum = self.values.entry((name.into(), key.into())).or_default();
        *sum = sum.saturating_add(value as u64);
        Some(())
    }

    fn has(&self, prefix: &str, family: &str) -> bool {
        self.values
            .keys()
            .any(|(name, _)| name.strip_prefix(prefix) == Some(family))
    }

    fn sum(&self, prefix: &str, family: &str, keep: impl Fn(&str) -> bool) -> u64 {
        let ours = self
            .values
            .iter()
            .filter(|((name, key), _)| name.strip_prefix(prefix) == Some(family) && keep(key));
        ours.fold(0, |sum, (_, value)| sum.saturating_add(*value))
    }

    fn reading(&self, prefix: &str) -> Result<Reading, Malformed> {
        let is_slow_bound = |le: &str| le.parse() == Ok(SLOW);
        let buckets = "prediction_duration_seconds_bucket";
        for (family, needed) in [
            ("model_errors_total", "fraud_model_errors_total"),
            ("panics_total", "fraud_panics_total"),
            ("request_errors_total", "fraud_request_errors_total"),
        ] {
            if !self.has(prefix, family) {
                return Err(Malformed::Missing(needed));
            }
        }
        let bounded = self
            .values
            .keys()
            .any(|(name, le)| name.strip_prefix(prefix) == Some(buckets) && is_slow_bound(le));
        if !bounded {
            return Err(Malformed::Missing("bucket of 25 ms"));
        }
        let all = |family| self.sum(prefix, family, |_| true);
        let answers = all("prediction_duration_seconds_count");
        let failed = self.sum(prefix, "request_errors_total", |kind| {
            SERVER_ERRORS.contains(&kind)
        });
        let refused = self.sum(prefix, "request_errors_total", |kind| REFUSALS.contains(&kind));
        let broken = failed.saturating_add(all("panics_total"));
        // Answers that a rule gave without the model say nothing about it.
        let asked = if self.has(prefix, "exposures_total") {
            all("exposures_total")
        } else {
            answers
        };
        let started = self.started.ok_or(Malformed::Missing(START))?;
        Ok(Reading {
            started: (started * 1000.0).round() as i64,
            counts: Counts {
                requests: asked.saturating_add(broken).saturating_add(refused),
                errors: broken.saturating_add(all("model_errors_total")),
                refused,
                answers,
                slow: answers.saturating_sub(self.sum(prefix, buckets, is_slow_bound)),
            },
        })
    }
}

/// The label that matters of a family that is needed (none: the empty text).
fn wanted(family: &str) -> Option<&'static str> {
    match family {
        "exposures_total" | "model_errors_total" | "panics_total" | "prediction_duration_seconds_count" => {
            Some("")
        }
        "request_errors_total" => Some("kind"),
        "prediction_duration_seconds_bucket" => Some("le"),
        _ => None,
    }
}

/// The value of the label `name` (the empty text when it is not there), and what comes after the labels.
fn labels<'a>(rest: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let Some(mut rest) = rest.strip_prefix('{') else {
        return Some(("", rest));
    };
    let mut found = "";
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('}') {
            return Some((found, after));
        }
        let (label, after) = rest.split_once('=')?;
        let after = after.trim_start().strip_prefix('"')?;
        let end = closing_quote(after)?;
        if label.trim() == name {
            found = after.get(..end)?;
        }
        rest = after.get(end + 1..)?.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

/// Where the text ends that began after a quote. A backslash takes the next character with it.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// A counter's value; what follows it (a timestamp, an exemplar) is passed over.
fn number(rest: &str) -> Option<f64> {
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: &str = r#"# HELP fraud_predictions_total Answers by decision.
# TYPE fraud_predictions_total counter
fraud_predictions_total{model="a",version="1",decision="approve"} 90
fraud_exposures_total{model="a",version="1"} 97
fraud_request_errors_total{model="a",version="1",kind="invalid_json"} 2
fraud_request_errors_total{model="a",version="1",kind="invalid_request"} 3
fraud_request_errors_total{model="a",version="1",kind="too_large"} 100
fraud_request_errors_total{model="a",version="1",kind="not_ready"} 1
fraud_model_errors_total{model="a",version="1",kind="engine"} 4
fraud_model_errors_total{model="a",version="1",kind="deadline"} 5
fraud_panics_total{model="a",version="1"} 1
fraud_prediction_duration_seconds_bucket{model="a",version="1",le="0.01"} 80
fraud_prediction_duration_seconds_bucket{model="a",version="1",le="0.025"} 91 # {trace_id="x"} 0.02 1.0
fraud_prediction_duration_seconds_bucket{model="a",version="1",le="+Inf"} 100
fraud_prediction_duration_seconds_sum{model="a",version="1"} 0.8
fraud_prediction_duration_seconds_count{model="a",version="1"} 100
process_start_time_seconds 1800000000.25
"#;

    #[test]
    fn the_families_of_a_rollout_are_read() {
        let counts = Counts {
            requests: 97 + 2 + 5,
            errors: 2 + 9,
            refused: 5,
            answers: 100,
            slow: 9,
        };
        assert_eq!(
            read(PAGE),
            Ok(Reading {
                started: 1_800_000_000_250,
                counts
            })
        );
    }

    #[test]
    fn what_is_missing_or_broken_is_an_error_and_never_a_zero() {
        for family in [
            "model_errors_total",
            "panics_total",
            "request_errors_total",
            "prediction_duration_seconds",
            START,
        ] {
            let without: String = PAGE
                .lines()
                .filter(|line| !line.contains(family))
                .map(|line| format!("{line}\n"))
                .collect();
            assert!(matches!(read(&without), Err(Malformed::Missing(_))), "{family}");
        }
        let without = PAGE.replace("le=\"0.025\"", "le=\"0.05\"");
        assert_eq!(read(&without), Err(Malformed::Missing("bucket of 25 ms")));
        for (from, to) in [
            (
                "_panics_total{model=\"a\",version=\"1\"} 1",
                "_panics_total{model=\"a\",version=\"1\"} NaN",
            ),
            (
                "_panics_total{model=\"a\",version=\"1\"} 1",
                "_panics_total{model=\"a\",version=\"1\"} -1",
            ),
            (
                "_panics_total{model=\"a\",version=\"1\"} 1",
                "_panics_total{model=\"a\",version=\"1\"} 1.5",
            ),
            (
                "_panics_total{model=\"a\",version=\"1\"} 1",
                "_panics_total{model=\"a\",version=\"1\"}",
            ),
            (
                "_panics_total{model=\"a\",version=\"1\"} 1",
                "_panics_total{model=\"a\",version=\"1 1",
            ),
            ("1800000000.25", "+Inf"),
        ] {
            assert!(
                matches!(read(&PAGE.replace(from, to)), Err(Malformed::Line(_))),
                "{to}"
            );
        }
        assert!(read("").is_err());
    }

    #[test]
    fn a_label_may_hold_anything() {
        let odd = PAGE.replace("model=\"a\"", r#"model="a\"} 7 {\\""#);
        assert_eq!(read(&odd), read(PAGE));
    }

    proptest! {
        #[test]
        fn no_page_makes_it_panic(text in "\\PC*", at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let _ = read(&text);
            let mut page = PAGE.as_bytes().to_vec();
            let at = at.index(page.len());
            page[at] = byte;
            if let Ok(reading) = read(&String::from_utf8_lossy(&page)) {
                prop_assert!(reading.counts.slow <= reading.counts.answers);
            }
            let _ = read(&String::from_utf8_lossy(&page[..at]));
        }
    }
}
