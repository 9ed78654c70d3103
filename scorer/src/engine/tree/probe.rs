//! Rows that would show a difference between two engines: at every split, one float below and above it, and what
//! lies between.

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    decision::Thresholds,
    engine::{Engine, EngineError, MAX_BATCH},
    model::Profile,
};

/// Rows of a probe, beside the golden ones.
pub const ROWS: usize = 2048;

/// How far the scores of two engines may be apart to count as the same.
pub const MAX_DIFFERENCE: f32 = 1e-6;

/// The first rows run through all values in turn; the others mix them, with NaN here and there.
const IN_TURN: usize = ROWS / 4 * 3;

/// One of so many rows is also compared on its own.
const SINGLES: usize = 8;

/// Makes rows from the features' profiles and the trees' splits; the same ones at every start.
pub fn rows(profiles: &[Profile], splits: &[Vec<f32>]) -> Vec<f32> {
    let mut random = StdRng::seed_from_u64(0xf4a0d);
    let columns: Vec<_> = splits
        .iter()
        .enumerate()
        .map(|(column, splits)| values(profiles.get(column), splits))
        .collect();
    // Each column runs through its values from a place of its own, so that all of them occur as far as the rows go.
    let starts: Vec<usize> = columns
        .iter()
        .map(|values| random.random_range(0..values.len()))
        .collect();
    let mut rows = Vec::with_capacity(ROWS * columns.len());
    for row in 0..ROWS {
        for (values, start) in columns.iter().zip(&starts) {
            rows.push(if row < IN_TURN {
                values[(start + row * stride(values.len())) % values.len()]
            } else {
                mixed(values, &mut random)
            });
        }
    }
    rows
}

/// The values of a column, ascending; never empty.
fn values(profile: Option<&Profile>, splits: &[f32]) -> Vec<f32> {
    let mut values = vec![0.0, 1.0];
    for split in splits {
        values.extend([split.next_down(), *split, split.next_up()]);
    }
    if let Some(profile) = profile {
        let Profile {
            min,
            max,
            median,
            deciles,
            ..
        } = profile;
        values.extend([*min, *max, *median].into_iter().flatten());
        values.extend(deciles.iter().flatten());
        // Beyond what the trainer saw.
        values.extend(min.map(|min| min - 1.0));
        values.extend(max.map(|max| max * 2.0 + 1.0));
    }
    values.retain(|value| value.is_finite());
    values.sort_unstable_by(f32::total_cmp);
    values.dedup();
    values
}

/// Steps through a list of this length so that neighbours in the rows are no neighbours in the list, yet all occur.
fn stride(length: usize) -> usize {
    let wanted = length / 3 + 1;
    (wanted..).find(|step| gcd(*step, length) == 1).unwrap_or(1)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn mixed(values: &[f32], random: &mut StdRng) -> f32 {
    match random.random_range(0..16) {
        0 => f32::NAN,
        1..8 => {
            let (low, high) = (values[0], values[values.len() - 1]);
            low + (high - low) * random.random::<f32>()
        }
        _ => values[random.random_range(0..values.len())],
    }
}

/// What a comparison of two engines found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreement {
    /// Rows that both scored.
    pub rows: usize,
    /// Largest difference of two scores; infinite when one is no number and the other is.
    pub difference: f32,
    /// Rows whose decision differs.
    pub flips: usize,
}

impl Agreement {
    /// Whether one engine may stand in for the other.
    pub fn holds(&self) -> bool {
        self.difference <= MAX_DIFFERENCE && self.flips == 0
    }
}

/// Scores the rows with both engines, in batches and one at a time.
pub fn compare(
    one: &mut dyn Engine,
    other: &mut dyn Engine,
    rows: &[f32],
    thresholds: Option<&Thresholds>,
) -> Result<Agreement, EngineError> {
    let width = one.width();
    let mut agreement = Agreement::default();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // Single rows take another way through ONNX Runtime.
    let singles = rows.len() / width / SINGLES * width;
    let batches = rows
        .chunks(width * MAX_BATCH)
        .chain(rows[..singles].chunks(width));
    for batch in batches {
        ours.clear();
        theirs.clear();
        one.score(batch, &mut ours)?;
        other.score(batch, &mut theirs)?;
        let count = batch.len() / width;
        if ours.len() != count || theirs.len() != count {
            let message = format!("{} and {} scores for {count} rows", ours.len(), theirs.len());
            return Err(EngineError(message));
        }
        agreement.rows += count;
        for (ours, theirs) in ours.iter().zip(&theirs) {
            agreement.difference = agreement.difference.max(difference(*ours, *theirs));
            let decide = |t: &Thresholds| t.decide(*ours) != t.decide(*theirs);
            agreement.flips += usize::from(thresholds.is_some_and(decide));
        }
    }
    Ok(agreement)
}

fn difference(a: f32, b: f32) -> f32 {
    match (a.is_finite(), b.is_finite()) {
        (true, true) => (a - b).abs(),
        (false, false) if a == b || (a.is_nan() && b.is_nan()) => 0.0,
        _ => f32::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores a row with its first value, plus `shift`.
    struct First(f32);

    impl Engine for First {
        fn width(&self) -> usize {
            2
        }

        fn score(&mut self, rows: &[f32], scores: &mut Vec<f32>) -> Result<(), EngineError> {
            scores.extend(rows.chunks(2).map(|row| row[0] + self.0));
            Ok(())
        }
    }

    #[test]
    fn every_split_is_hit_with_its_neighbours_and_rows_are_the_same_each_time() {
        let splits = vec![(0..200).map(|i| i as f32 / 7.0).collect::<Vec<_>>(), vec![]];
        let probe = rows(&[Profile::default()], &splits);
        assert_eq!(probe.len(), ROWS * 2);
        let bits = |rows: &[f32]| rows.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&probe), bits(&rows(&[Profile::default()], &splits)));
        for split in &splits[0] {
            for wanted in [split.next_down(), *split, split.next_up()] {
                assert!(probe.chunks(2).any(|row| row[0] == wanted), "{wanted}");
            }
        }
        assert!(probe.iter().any(|value| value.is_nan()));
    }

    #[test]
    fn equal_engines_agree_and_shifted_ones_do_not() {
        let rows: Vec<f32> = (0..200).map(|i| i as f32 / 200.0).collect();
        let same = compare(&mut First(0.0), &mut First(0.0), &rows, None).unwrap();
        assert_eq!((same.rows, same.difference, same.holds()), (100 + 12, 0.0, true));
        let shifted = compare(&mut First(0.0), &mut First(1e-4), &rows, None).unwrap();
        assert!(!shifted.holds() && shifted.difference > 9e-5);
    }

    #[test]
    fn a_flipped_decision_is_no_agreement_however_small_the_difference() {
        let thresholds = Thresholds::new(0.25, 0.5).unwrap();
        let below = 0.5_f32.next_down();
        let agreement = compare(
            &mut First(0.0),
            &mut First(below.next_up() - below),
            &[below, 0.0],
            Some(&thresholds),
        );
        let agreement = agreement.unwrap();
        assert!(agreement.difference < 1e-7 && agreement.flips == 1 && !agreement.holds());
    }

    #[test]
    fn a_score_that_is_no_number_agrees_only_with_its_like() {
        assert_eq!(difference(f32::NAN, f32::NAN), 0.0);
        assert_eq!(difference(f32::NAN, 0.5), f32::INFINITY);
        assert_eq!(difference(f32::INFINITY, f32::NEG_INFINITY), f32::INFINITY);
    }
}
