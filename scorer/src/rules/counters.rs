//! Hits and failed evaluations, for each rule. At most 64 rules, so at most 128 series.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{Action, MAX_RULES, Mode, Rules, Verdict, verdict::bits};

/// Counters of all rules: one shard for each serving thread, merged when somebody scrapes.
#[derive(Debug)]
pub struct RuleCounters {
    rules: Vec<(String, Action, Mode)>,
    shards: Vec<Arc<RuleShard>>,
}

/// What one serving thread counts, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct RuleShard {
    hits: [AtomicU64; MAX_RULES],
    errors: [AtomicU64; MAX_RULES],
}

impl RuleShard {
    fn new() -> Self {
        Self {
            hits: [const { AtomicU64::new(0) }; MAX_RULES],
            errors: [const { AtomicU64::new(0) }; MAX_RULES],
        }
    }

    /// Counts the rules that a transaction hit, and those that could not be evaluated for it. Costs nothing without either.
    pub fn count(&self, verdict: &Verdict) {
        for rule in bits(verdict.hits) {
            self.hits[rule].fetch_add(1, Relaxed);
        }
        for rule in bits(verdict.errors) {
            self.errors[rule].fetch_add(1, Relaxed);
        }
    }
}

impl RuleCounters {
    /// Counters at zero for `rules`, with one shard for each of `workers` threads.
    pub fn new(rules: &Rules, workers: usize) -> Self {
        let labels = |index| {
            let (action, mode) = rules.kind(index)?;
            Some((rules.name(index)?.to_owned(), action, mode))
        };
        Self {
            rules: (0..rules.len()).filter_map(labels).collect(),
            shards: (0..workers.max(1)).map(|_| Arc::new(RuleShard::new())).collect(),
        }
    }

    /// The shard of a serving thread.
    pub fn shard(&self, worker: usize) -> Arc<RuleShard> {
        Arc::clone(&self.shards[worker % self.shards.len()])
    }

    /// Adds the counters in Prometheus' text format to `page`. Every series exists from the start. `common` are labels of
    /// all series, such as `model="card-fraud",version="1"`, or nothing.
    pub fn render(&self, page: &mut String, common: &str) {
        let hits = "Transactions that met the condition of a rule.";
        self.family(page, "fraudops_scorer_rule_hits_total", hits, common, |shard| {
            &shard.hits
        });
        let errors = "Transactions for which the condition of a rule had no result; it counts as not met.";
        self.family(
            page,
            "fraudops_scorer_rule_errors_total",
            errors,
            common,
            |shard| &shard.errors,
        );
    }

    fn family(
        &self,
        page: &mut String,
        family: &str,
        help: &str,
        common: &str,
        counters: impl Fn(&RuleShard) -> &[AtomicU64; MAX_RULES],
    ) {
        if self.rules.is_empty() {
            return;
        }
        let _ = writeln!(page, "# HELP {family} {help}\n# TYPE {family} counter");
        let comma = if common.is_empty() { "" } else { "," };
        for (index, (rule, action, mode)) in self.rules.iter().enumerate() {
            let count: u64 = self
                .shards
                .iter()
                .map(|shard| counters(shard)[index].load(Relaxed))
                .sum();
            let (action, mode) = (action.as_str(), mode.as_str());
            let _ = writeln!(
                page,
                "{family}{{{common}{comma}rule=\"{rule}\",action=\"{action}\",mode=\"{mode}\"}} {count}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{compile, rule};

    #[test]
    fn every_rule_has_its_series_from_the_start_and_shards_are_merged() {
        let configs = [
            rule("vip", "true", Action::Allow, Mode::Shadow),
            rule(
                "late",
                "TX_DATETIME.getHours() > 22",
                Action::Review,
                Mode::Enforce,
            ),
        ];
        let counters = RuleCounters::new(&compile(&configs).unwrap(), 2);
        let mut page = String::new();
        counters.render(&mut page, "");
        assert_eq!(
            page,
            "# HELP fraudops_scorer_rule_hits_total Transactions that met the condition of a rule.\n\
             # TYPE fraudops_scorer_rule_hits_total counter\n\
             fraudops_scorer_rule_hits_total{rule=\"vip\",action=\"allow\",mode=\"shadow\"} 0\n\
             fraudops_scorer_rule_hits_total{rule=\"late\",action=\"review\",mode=\"enforce\"} 0\n\
             # HELP fraudops_scorer_rule_errors_total Transactions for which the condition of a rule had no result; it counts as not met.\n\
             # TYPE fraudops_scorer_rule_errors_total counter\n\
             fraudops_scorer_rule_errors_total{rule=\"vip\",action=\"allow\",mode=\"shadow\"} 0\n\
             fraudops_scorer_rule_errors_total{rule=\"late\",action=\"review\",mode=\"enforce\"} 0\n"
        );
        let hit = Verdict {
            hits: 0b01,
            errors: 0b10,
            action: None,
        };
        counters.shard(0).count(&hit);
        counters.shard(1).count(&hit);
        counters.shard(2).count(&hit); // the first one again
        page.clear();
        counters.render(&mut page, "version=\"1\"");
        for line in [
            "fraudops_scorer_rule_hits_total{version=\"1\",rule=\"vip\",action=\"allow\",mode=\"shadow\"} 3",
            "fraudops_scorer_rule_hits_total{version=\"1\",rule=\"late\",action=\"review\",mode=\"enforce\"} 0",
            "fraudops_scorer_rule_errors_total{version=\"1\",rule=\"late\",action=\"review\",mode=\"enforce\"} 3",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is missing in\n{page}");
        }
    }

    #[test]
    fn without_rules_there_is_no_series() {
        let mut page = String::new();
        RuleCounters::new(&Rules::default(), 1).render(&mut page, "");
        assert_eq!(page, "");
    }
}
