//! Which decisions are logged.

use super::Entry;
use crate::decision::Decision;

/// Every block and review, and a share of the approvals.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    below: u64,
    seed: u64,
}

impl Sample {
    /// Pods with the same seed choose the same transactions.
    pub fn new(approvals: f64, seed: u64) -> Self {
        Self {
            below: (approvals * 2_f64.powi(64)) as u64, // saturates at 1
            seed,
        }
    }

    /// Decided by the transaction's id, so that all pods that see it agree; without one by the request's.
    pub fn has(&self, entry: &Entry<'_>) -> bool {
        if entry.decision != Decision::Approve {
            return true;
        }
        let id = entry.transaction.map_or_else(
            || {
                let fold = |hash: u64, byte| mix(hash ^ u64::from(byte));
                entry.request.bytes().fold(0, fold)
            },
            |id| id as u64,
        );
        mix(id ^ self.seed) < self.below
    }
}

/// SplitMix64's finalizer: each bit of the input changes half of the output's.
fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        decision_log::{Role, Served},
        metrics::Source,
    };

    fn chosen(sample: Sample, decision: Decision, with_id: bool) -> Vec<i64> {
        let served = Served::new("m", "v", "d");
        let has = |id: &i64| {
            let request = format!("request-{id}");
            sample.has(&Entry {
                served: &served,
                role: Role::Answer,
                decision,
                source: Source::Model,
                scored: None,
                rules: &[],
                reasons: &[],
                imputed: &[],
                took: Duration::ZERO,
                transaction: with_id.then_some(*id),
                customer: 1,
                terminal: 1,
                trace: None,
                request: &request,
            })
        };
        (0..100_000).filter(has).collect()
    }

    #[test]
    fn every_block_and_review_is_logged_and_a_share_of_the_approvals() {
        let none = Sample::new(0.0, 5);
        assert_eq!(chosen(none, Decision::Block, true).len(), 100_000);
        assert_eq!(chosen(none, Decision::Review, true).len(), 100_000);
        assert_eq!(chosen(none, Decision::Approve, true).len(), 0);
        assert_eq!(
            chosen(Sample::new(1.0, 5), Decision::Approve, true).len(),
            100_000
        );
        for with_id in [true, false] {
            let hundredth = chosen(Sample::new(0.01, 5), Decision::Approve, with_id).len();
            assert!((900..1100).contains(&hundredth), "{hundredth}");
        }
    }

    #[test]
    fn pods_agree_and_keys_differ() {
        let choice = |seed| chosen(Sample::new(0.01, seed), Decision::Approve, true);
        assert_eq!(choice(5), choice(5));
        assert_ne!(choice(5), choice(6));
    }
}
