//! Hits and failed evaluations, for each rule. At most 64 rules, so at most 128 series.

use std::sync::Arc;

use super::{Action, MAX_RULES, Mode, Rules, Verdict, verdict::bits};
use crate::metrics::{Collect, Count, Exposition};

/// Counters of all rules: one shard for each serving thread, merged when somebody scrapes.
#[derive(Debug)]
pub struct RuleCounters {
    rules: Vec<(String, Action, Mode)>,
    shards: Vec<Arc<RuleShard>>,
}

/// What one serving thread counts, on cache lines of its own. Only that thread writes it.
#[derive(Debug)]
#[repr(align(128))]
pub struct RuleShard {
    hits: [Count; MAX_RULES],
    errors: [Count; MAX_RULES],
}

impl RuleShard {
    fn new() -> Self {
        Self {
            hits: [const { Count::new() }; MAX_RULES],
            errors: [const { Count::new() }; MAX_RULES],
        }
    }

    /// Counts the rules that a transaction hit, and those that could not be evaluated for it. Costs nothing without either.
    pub fn count(&self, verdict: &Verdict) {
        for rule in bits(verdict.hits) {
            self.hits[rule].add(1);
        }
        for rule in bits(verdict.errors) {
            self.errors[rule].add(1);
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
}

impl Collect for RuleCounters {
    fn collect(&self, out: &mut Exposition) {
        let hits = "Transactions that met the condition of a rule.";
        self.family(out, "fraud_rule_hits", hits, |shard| &shard.hits);
        let errors = "Transactions for which the condition of a rule had no result; it counts as not met.";
        self.family(out, "fraud_rule_errors", errors, |shard| &shard.errors);
    }
}

impl RuleCounters {
    fn family(
        &self,
        out: &mut Exposition,
        family: &str,
        help: &str,
        counters: impl Fn(&RuleShard) -> &[Count; MAX_RULES],
    ) {
        let mut counter = out.counter(family, help);
        for (index, (rule, action, mode)) in self.rules.iter().enumerate() {
            let count: u64 = self.shards.iter().map(|shard| counters(shard)[index].get()).sum();
            let labels = [
                ("rule", rule.as_str()),
                ("action", action.as_str()),
                ("mode", mode.as_str()),
            ];
            counter.sample(&labels, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metrics::Format,
        rules::fixture::{compile, rule},
    };

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
        assert_eq!(page(&counters).matches(" 0\n").count(), 4);
        let hit = Verdict {
            hits: 0b01,
            errors: 0b10,
            action: None,
        };
        counters.shard(0).count(&hit);
        counters.shard(1).count(&hit);
        counters.shard(2).count(&hit); // the first one again
        let page = page(&counters);
        for line in [
            "fraud_rule_hits_total{rule=\"vip\",action=\"allow\",mode=\"shadow\"} 3",
            "fraud_rule_hits_total{rule=\"late\",action=\"review\",mode=\"enforce\"} 0",
            "fraud_rule_errors_total{rule=\"late\",action=\"review\",mode=\"enforce\"} 3",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is missing in\n{page}");
        }
    }

    fn page(counters: &RuleCounters) -> String {
        let mut out = Exposition::new(Format::Text, 0.0);
        counters.collect(&mut out);
        out.finish()
    }
}
