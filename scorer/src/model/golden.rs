//! Golden vectors: rows with the probability that the trainer saw, replayed before the model serves.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::engine::{Engine, MAX_BATCH};

/// How far a replayed probability may be from the expected one.
pub const MAX_DIFFERENCE: f32 = 1e-4;

/// The number as it is written with the fewest digits, so that 1e-4 does not show as 0.00009999999747378752.
pub fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_default()
}

const MAX_ROWS: u64 = 4096;

/// Rows and what they should score.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    width: usize,
    rows: Vec<f32>,
    expected: Vec<f32>,
}

impl Golden {
    /// Reads `{"rows", "features", "data"}`; data is base64 of little-endian floats, the expected probability last in each row.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let number = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_u64)
                .ok_or_else(|| format!("`{key}` is no number"))
        };
        let (count, width) = (number("rows")?, number("features")?);
        if !(1..=MAX_ROWS).contains(&count) || !(1..=MAX_ROWS).contains(&width) {
            return Err(format!("rows and features must be 1..={MAX_ROWS}"));
        }
        let text = value
            .get("data")
            .and_then(Value::as_str)
            .ok_or("`data` is no text")?;
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| format!("`data` is no base64: {error}"))?;
        let (count, width) = (count as usize, width as usize);
        let wanted = count * (width + 1) * 4;
        if bytes.len() != wanted {
            return Err(format!(
                "`data` has {} bytes, {count} rows of {width} features need {wanted}",
                bytes.len()
            ));
        }
        let (chunks, _) = bytes.as_chunks::<4>();
        let floats: Vec<f32> = chunks.iter().map(|c| f32::from_le_bytes(*c)).collect();
        let mut golden = Self {
            width,
            rows: Vec::new(),
            expected: Vec::new(),
        };
        for (index, row) in floats.chunks_exact(width + 1).enumerate() {
            if !(0.0..=1.0).contains(&row[width]) {
                return Err(format!(
                    "row {index} expects {}, which is no probability",
                    row[width]
                ));
            }
            golden.rows.extend_from_slice(&row[..width]);
            golden.expected.push(row[width]);
        }
        Ok(golden)
    }

    /// The rows, one after the other, without what they should score.
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// Features of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.expected.len()
    }

    /// Never: a golden set has at least one row.
    pub fn is_empty(&self) -> bool {
        self.expected.is_empty()
    }

    /// Scores all rows, one at a time and in batches, and answers the largest difference, or what was wrong.
    pub fn replay(&self, engine: &mut dyn Engine) -> Result<f32, String> {
        let single = self.replay_by(engine, 1)?;
        let batched = self.replay_by(engine, MAX_BATCH)?;
        Ok(single.max(batched))
    }

    fn replay_by(&self, engine: &mut dyn Engine, size: usize) -> Result<f32, String> {
        let mut worst = 0.0_f32;
        let mut scores = Vec::new();
        let batches = self
            .rows
            .chunks(self.width * size)
            .zip(self.expected.chunks(size))
            .enumerate();
        for (batch, (rows, expected)) in batches {
            scores.clear();
            engine
                .score(rows, &mut scores)
                .map_err(|error| format!("the model failed: {error}"))?;
            if scores.len() != expected.len() {
                return Err(format!(
                    "the model gave {} scores for {} rows",
                    scores.len(),
                    expected.len()
                ));
            }
            for (offset, (score, expected)) in scores.iter().zip(expected).enumerate() {
                let difference = (score - expected).abs();
                if difference.is_nan() || difference > MAX_DIFFERENCE {
                    let row = batch * size + offset;
                    return Err(format!(
                        "golden row {row} should score {expected} and scores {score}, {difference:e} apart ({MAX_DIFFERENCE:e} allowed)"
                    ));
                }
                worst = worst.max(difference);
            }
        }
        Ok(worst)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::EngineError;

    struct Constant(f32);

    impl Engine for Constant {
        fn width(&self) -> usize {
            2
        }

        fn score(&mut self, rows: &[f32], scores: &mut Vec<f32>) -> Result<(), EngineError> {
            scores.extend(rows.chunks(2).map(|_| self.0));
            Ok(())
        }
    }

    fn golden(expected: f32) -> Result<Golden, String> {
        let floats = [1.0, 2.0, expected, 3.0, 4.0, expected];
        let bytes: Vec<u8> = floats.iter().flat_map(|f: &f32| f.to_le_bytes()).collect();
        Golden::parse(&json!({"rows": 2, "features": 2, "data": STANDARD.encode(bytes)}))
    }

    #[test]
    fn equal_scores_pass_and_the_largest_difference_is_reported() {
        let worst = golden(0.5).unwrap().replay(&mut Constant(0.50005)).unwrap();
        assert!((worst - 5e-5).abs() < 1e-6);
    }

    #[test]
    fn a_score_too_far_away_or_no_number_fails_and_names_the_row() {
        for score in [0.5002, f32::NAN, f32::INFINITY] {
            let error = golden(0.5).unwrap().replay(&mut Constant(score)).unwrap_err();
            assert!(error.starts_with("golden row 0 should score 0.5"), "{error}");
        }
    }

    #[test]
    fn damaged_vectors_are_refused() {
        assert!(golden(1.5).is_err());
        for value in [
            json!({}),
            json!({"rows": 0, "features": 2, "data": ""}),
            json!({"rows": 1, "features": 2, "data": "!"}),
            json!({"rows": 1, "features": 2, "data": "AAAA"}),
            json!({"rows": u64::MAX, "features": u64::MAX, "data": ""}),
        ] {
            assert!(Golden::parse(&value).is_err(), "{value}");
        }
    }
}
