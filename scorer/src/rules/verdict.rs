//! What the rules of one transaction say together: pure.

use super::Action;
use crate::decision::Decision;

/// What the rules say of one transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The enforced hit that decides, and the index of its rule: allow before block before review, then the order of the
    /// list.
    pub action: Option<(Action, u8)>,
    /// Every hit, shadow too: bit n is rule n.
    pub hits: u64,
    /// Every failed evaluation: bit n is rule n. Such a rule is not hit.
    pub errors: u64,
}

impl Verdict {
    /// This verdict together with that of other rules on the same transaction: before and after the model.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let first = match (self.action, other.action) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            action: first,
            hits: self.hits | other.hits,
            errors: self.errors | other.errors,
        }
    }

    /// The decision, where `band` is what the model's score alone would mean, or what `onModelError` says without one.
    pub fn decide(&self, band: Decision) -> Decision {
        match self.action {
            Some((Action::Allow, _)) => Decision::Approve,
            Some((Action::Block, _)) => Decision::Block,
            Some((Action::Review, _)) if band == Decision::Approve => Decision::Review,
            Some((Action::Review, _)) | None => band,
        }
    }

    /// Indices of the rules that were hit, in the order of the list.
    pub fn hit_rules(&self) -> impl Iterator<Item = usize> + use<> {
        bits(self.hits)
    }
}

/// Positions of the bits that are set.
pub fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (bit < u64::BITS).then_some(bit as usize)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decided_by(action: Action) -> Verdict {
        Verdict {
            action: Some((action, 0)),
            ..Verdict::default()
        }
    }

    #[test]
    fn rules_and_bands_combine_as_the_table_says() {
        use Decision::{Approve, Block, Review};
        for (action, decisions) in [
            (None, [Approve, Review, Block]),
            (Some(Action::Allow), [Approve, Approve, Approve]),
            (Some(Action::Block), [Block, Block, Block]),
            (Some(Action::Review), [Review, Review, Block]),
        ] {
            let verdict = action.map_or_else(Verdict::default, decided_by);
            assert_eq!(
                Decision::ALL.map(|band| verdict.decide(band)),
                decisions,
                "{action:?}"
            );
        }
    }

    #[test]
    fn the_bits_of_a_word_are_listed() {
        assert_eq!(bits(0).count(), 0);
        assert_eq!(bits(u64::MAX).collect::<Vec<_>>(), (0..64).collect::<Vec<_>>());
        assert_eq!(bits(1 << 63 | 0b101).collect::<Vec<_>>(), [0, 2, 63]);
    }

    fn verdict() -> impl Strategy<Value = Verdict> {
        let action = prop_oneof![Just(Action::Allow), Just(Action::Block), Just(Action::Review)];
        let action = proptest::option::of((action, 0_u8..64));
        (action, any::<u64>(), any::<u64>()).prop_map(|(action, hits, errors)| Verdict {
            action,
            hits,
            errors,
        })
    }

    proptest! {
        #[test]
        fn the_order_of_verdicts_is_of_no_account(a in verdict(), b in verdict(), c in verdict()) {
            prop_assert_eq!(a.and(b), b.and(a));
            prop_assert_eq!(a.and(b).and(c), a.and(b.and(c)));
            prop_assert_eq!(a.and(Verdict::default()), a);
        }

        #[test]
        fn a_review_hit_never_makes_a_decision_milder(index in 0_u8..64, band in 0_usize..3) {
            let band = Decision::ALL[band];
            let verdict = Verdict { action: Some((Action::Review, index)), ..Verdict::default() };
            prop_assert!(verdict.decide(band) as u8 >= band as u8);
        }
    }
}
