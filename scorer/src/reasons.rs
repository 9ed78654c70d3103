//! Why a payment scores high: what its score would be with one group of features set to what is usual.
//!
//! For each group one row is scored in which the group's features have their medians of the training data. The difference
//! of the log-odds is what the group adds; the largest ones, by name, are the reasons. Pure: the caller scores the rows.

use smallvec::SmallVec;

use crate::model::Profile;

/// Reasons that an answer names at most.
pub const MAX_REASONS: usize = 4;

/// Probabilities are kept this far from 0 and 1, so that log-odds stay finite.
const EDGE: f64 = 1e-7;

/// What speaks for fraud.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reason<'a> {
    /// Name of the group of features.
    pub name: &'a str,
    /// What the group adds to the log-odds of fraud; positive.
    pub log_odds: f32,
}

/// The groups of a model's features, and what is usual for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Reasons {
    medians: Vec<Option<f32>>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq)]
struct Group {
    name: String,
    columns: Vec<usize>,
}

impl Reasons {
    /// Groups the features by what the metadata says, else by their names. A feature without a median belongs to no group.
    pub fn new(profiles: &[Profile]) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (column, profile) in profiles.iter().enumerate() {
            if profile.median.is_none() {
                continue;
            }
            let name = profile.group.clone().unwrap_or_else(|| group_of(&profile.name));
            match groups.iter_mut().find(|group| group.name == name) {
                Some(group) => group.columns.push(column),
                None => groups.push(Group {
                    name,
                    columns: vec![column],
                }),
            }
        }
        Self {
            medians: profiles.iter().map(|profile| profile.median).collect(),
            groups,
        }
    }

    /// Names of the groups.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &str> {
        self.groups.iter().map(|group| group.name.as_str())
    }

    /// Appends one row for each group, in which its features are as usual.
    pub fn rows(&self, row: &[f32], rows: &mut Vec<f32>) {
        rows.reserve(self.groups.len() * row.len());
        for group in &self.groups {
            let start = rows.len();
            rows.extend_from_slice(row);
            for column in &group.columns {
                if let (Some(value), Some(Some(median))) =
                    (rows.get_mut(start + column), self.medians.get(*column))
                {
                    *value = *median;
                }
            }
        }
    }

    /// The reasons for `score`, strongest first, given the scores of the rows; one that is NaN is left out.
    pub fn explain(&self, score: f32, scores: &[f32]) -> SmallVec<[Reason<'_>; MAX_REASONS]> {
        let mut all: SmallVec<[Reason<'_>; 8]> = SmallVec::new();
        for (group, without) in self.groups.iter().zip(scores) {
            let log_odds = (log_odds(score) - log_odds(*without)) as f32;
            if log_odds > 0.0 {
                all.push(Reason {
                    name: &group.name,
                    log_odds,
                });
            }
        }
        // Stable: equal ones stay in the order of the features.
        all.sort_by(|a, b| b.log_odds.total_cmp(&a.log_odds));
        all.truncate(MAX_REASONS);
        all.into_iter().collect()
    }
}

fn log_odds(probability: f32) -> f64 {
    let p = f64::from(probability).clamp(EDGE, 1.0 - EDGE);
    (p / (1.0 - p)).ln()
}

/// The group that a feature's name speaks of; a group of its own when it speaks of none.
fn group_of(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    let says = |word: &str| upper.contains(word);
    let group = match () {
        () if says("TERMINAL") && says("RISK") => "terminal_risk",
        () if says("TERMINAL") && says("NB_TX") => "terminal_volume",
        () if says("CUSTOMER") && says("AMOUNT") => "customer_amount",
        () if says("CUSTOMER") && says("NB_TX") => "customer_frequency",
        () if says("DURING") || says("TIME") => "time",
        () if upper == "TX_AMOUNT" || upper == "AMOUNT" => "amount",
        () => return name.to_ascii_lowercase(),
    };
    group.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::features::Schema;

    fn profile(name: &str, median: f32, group: Option<&str>) -> Profile {
        Profile {
            name: name.into(),
            median: Some(median),
            group: group.map(str::to_owned),
            ..Profile::default()
        }
    }

    fn card_payment() -> Reasons {
        let profiles: Vec<_> = Schema::card_payment()
            .inputs()
            .map(|name| profile(name, 0.5, None))
            .collect();
        Reasons::new(&profiles)
    }

    #[test]
    fn the_card_payment_features_fall_into_six_groups() {
        let reasons = card_payment();
        let groups: Vec<_> = reasons
            .groups
            .iter()
            .map(|g| (g.name.as_str(), g.columns.as_slice()))
            .collect();
        let expected: [(&str, &[usize]); 6] = [
            ("amount", &[0]),
            ("time", &[1, 2]),
            ("customer_frequency", &[3, 5, 7]),
            ("customer_amount", &[4, 6, 8]),
            ("terminal_volume", &[9, 11, 13]),
            ("terminal_risk", &[10, 12, 14]),
        ];
        assert_eq!(groups, expected);
    }

    #[test]
    fn the_metadata_may_group_otherwise_and_unknown_features_stand_alone() {
        let reasons = Reasons::new(&[
            profile("TX_AMOUNT", 1.0, Some("money")),
            profile("BALANCE", 2.0, Some("money")),
            profile("MERCHANT_AGE", 3.0, None),
            Profile {
                name: "TX_TIME".into(),
                ..Profile::default()
            },
        ]);
        assert_eq!(reasons.groups().collect::<Vec<_>>(), ["money", "merchant_age"]);
        let mut rows = Vec::new();
        reasons.rows(&[10.0, 20.0, 30.0, 40.0], &mut rows);
        assert_eq!(rows, [1.0, 2.0, 30.0, 40.0, 10.0, 20.0, 3.0, 40.0]);
    }

    #[test]
    fn the_four_strongest_reasons_are_named_in_order() {
        let reasons = card_payment();
        let named = reasons.explain(0.9, &[0.5, 0.95, 0.1, 0.8, 0.89, 0.3]);
        let names: Vec<_> = named.iter().map(|reason| reason.name).collect();
        assert_eq!(
            names,
            ["customer_frequency", "terminal_risk", "amount", "customer_amount"]
        );
        assert!((named[0].log_odds - 4.3944).abs() < 1e-3, "{named:?}");
    }

    #[test]
    fn what_speaks_against_fraud_or_failed_is_no_reason() {
        let reasons = card_payment();
        assert!(
            reasons
                .explain(0.9, &[0.9, 0.95, f32::NAN, 1.0, 0.9, 0.9])
                .is_empty()
        );
        assert_eq!(
            reasons.explain(0.9, &[0.5]).len(),
            1,
            "scores that are missing name nothing"
        );
        assert!(Reasons::new(&[]).explain(0.9, &[]).is_empty());
    }

    proptest! {
        #[test]
        fn reasons_are_positive_sorted_and_finite(score in 0.0_f32..=1.0, scores in proptest::collection::vec(0.0_f32..=1.0, 6)) {
            let reasons = card_payment();
            let named = reasons.explain(score, &scores);
            prop_assert!(named.len() <= MAX_REASONS);
            prop_assert!(named.iter().all(|r| r.log_odds > 0.0 && r.log_odds.is_finite()));
            prop_assert!(named.windows(2).all(|pair| pair[0].log_odds >= pair[1].log_odds));
        }
    }
}
