//! Reports on the standard error: a progress bar for people, lines of JSON for programs.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{stats::Stats, summary::Summary};

/// Where reports go.
#[derive(Debug)]
pub enum Report {
    /// A bar that is drawn anew several times a second.
    Bar(ProgressBar),
    /// A line now and then.
    Lines {
        /// Time between two lines.
        interval: Duration,
        /// When the next one is due.
        next: Instant,
        /// When the one before was, and how many transactions had been sent by then.
        before: (Instant, u64),
    },
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    /// Transactions a second since the line before.
    #[serde(skip_serializing_if = "Option::is_none")]
    recent_rate: Option<f64>,
    #[serde(flatten)]
    summary: &'a Summary,
}

impl Report {
    /// A bar of `length` transactions when the standard error is a terminal, else lines.
    #[must_use]
    pub fn new(length: u64, interval: Duration, now: Instant) -> Self {
        if !io::stderr().is_terminal() {
            let next = now + interval;
            let before = (now, 0);
            return Self::Lines {
                interval,
                next,
                before,
            };
        }
        let style = ProgressStyle::with_template("{bar:24} {percent:>3} % {elapsed} {msg}")
            .expect("the template is valid");
        Self::Bar(ProgressBar::new(length).with_style(style))
    }

    /// Shows what happened so far, when it is time.
    pub fn progress(&mut self, stats: &Stats, now: Instant) {
        match self {
            Self::Bar(bar) => {
                bar.set_position(stats.sent);
                bar.set_message(message(&Summary::of(stats, now)));
            }
            Self::Lines {
                interval,
                next,
                before: (then, sent),
            } if now >= *next => {
                let recent = (stats.sent - *sent) as f64 / now.duration_since(*then).as_secs_f64();
                line("progress", Some(recent.round()), &Summary::of(stats, now));
                *next = now + *interval;
                (*then, *sent) = (now, stats.sent);
            }
            Self::Lines { .. } => {}
        }
    }

    /// Shows the end.
    pub fn finish(&self, summary: &Summary) {
        match self {
            Self::Bar(bar) => {
                bar.finish_and_clear();
                // Nobody to tell is no reason to fail.
                let _ = write!(io::stderr(), "{summary}");
            }
            Self::Lines { .. } => line("summary", None, summary),
        }
    }
}

fn line(event: &'static str, recent_rate: Option<f64>, summary: &Summary) {
    let line = Line {
        event,
        recent_rate,
        summary,
    };
    let line = serde_json::to_string(&line).expect("numbers and names are JSON");
    let _ = writeln!(io::stderr(), "{line}");
}

fn message(summary: &Summary) -> String {
    let mut message = format!("{:.0}/s", summary.rate);
    if let Some(latency) = summary.latency_ms {
        message += &format!("  p50 {:.1} p99 {:.1} ms", latency.p50, latency.p99);
        message += &format!(
            "  review {} block {}",
            summary.decisions["review"], summary.decisions["block"]
        );
    }
    if summary.failed() > 0 {
        message += &format!("  failed {}", summary.failed());
    }
    if summary.labels.fraud > 0 {
        message += &format!("  at review: {}", summary.review);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{
        answer::{Answer, Decision},
        connection::Failure,
    };

    #[test]
    fn the_bar_says_what_there_is_to_say() {
        let start = Instant::now();
        let mut stats = Stats::new(start);
        assert_eq!(message(&Summary::of(&stats, start)), "0/s");
        stats.sent = 10;
        let answer = Answer {
            decision: Decision::Block,
            receipt: None,
            is_model_error: false,
        };
        stats.answered(&answer, start, start + Duration::from_millis(1));
        stats.failed(Failure::Timeout, start);
        stats.labels = [0, 1];
        assert_eq!(
            message(&Summary::of(&stats, start + Duration::from_secs(1))),
            "10/s  p50 1.0 p99 1.0 ms  review 0 block 1  failed 1  at review: precision - recall 0.000"
        );
    }
}
