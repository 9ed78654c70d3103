//! What the trainer saw of a feature: `fraudops.dev/features`, as far as the scorer computes with it.

use serde_json::Value;

use super::metadata::Feature;
use crate::features::Missing;

/// Deciles of a feature: the nine values between its ten equally frequent parts.
pub type Deciles = [f32; 9];

/// A feature's values in the training data. What the metadata leaves out is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Name of the feature.
    pub name: String,
    /// Smallest value.
    pub min: Option<f32>,
    /// Largest value.
    pub max: Option<f32>,
    /// The value in the middle.
    pub median: Option<f32>,
    /// Share of zeros, 0 to 1.
    pub zero_share: Option<f32>,
    /// Deciles, ascending.
    pub deciles: Option<Deciles>,
    /// Whether the model itself was trained on missing values (`"missing": "native"`).
    pub missing_is_native: bool,
    /// Group that the feature is explained with (`"group"`).
    pub group: Option<String>,
}

impl Profile {
    /// Reads a feature's entry. Numbers that are none, or not in order, count as absent.
    pub fn of(feature: &Feature) -> Self {
        let field = |name: &str| feature.rest.get(name);
        let number = |name: &str| field(name).and_then(finite);
        let text = |name: &str| field(name).and_then(Value::as_str);
        Self {
            name: feature.name.clone(),
            min: number("min"),
            max: number("max"),
            median: number("median"),
            zero_share: number("zeroShare").filter(|share| (0.0..=1.0).contains(share)),
            deciles: field("q").and_then(deciles),
            missing_is_native: feature.missing == Missing::Native,
            group: text("group").filter(|group| !group.is_empty()).map(str::to_owned),
        }
    }
}

fn finite(value: &Value) -> Option<f32> {
    value
        .as_f64()
        .map(|number| number as f32)
        .filter(|number| number.is_finite())
}

fn deciles(value: &Value) -> Option<Deciles> {
    let numbers: Option<Vec<f32>> = value.as_array()?.iter().map(finite).collect();
    let deciles = Deciles::try_from(numbers?).ok()?;
    deciles.is_sorted().then_some(deciles)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn profile(entry: Value) -> Profile {
        Profile::of(&serde_json::from_value(entry).unwrap())
    }

    #[test]
    fn an_entry_of_the_training_package_is_read() {
        let profile = profile(json!({
            "name": "TX_AMOUNT", "dtype": "float32", "min": 0.0, "max": 794.2, "median": 46.07, "zeroShare": 1.5e-5,
            "missing": "native", "group": "amount", "q": [1, 2, 3, 4, 5, 6, 7, 8, 9],
        }));
        assert_eq!(
            (profile.min, profile.max, profile.median),
            (Some(0.0), Some(794.2), Some(46.07))
        );
        assert_eq!(
            profile.deciles,
            Some([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
        );
        assert_eq!(
            (profile.missing_is_native, profile.group.as_deref()),
            (true, Some("amount"))
        );
    }

    #[test]
    fn what_is_absent_or_nonsense_is_absent() {
        let bare = profile(json!({"name": "A"}));
        assert_eq!(
            bare,
            Profile {
                name: "A".into(),
                ..Profile::default()
            }
        );
        let nonsense = profile(json!({
            "name": "A", "min": "low", "max": 1e300, "zeroShare": 2, "missing": "reject", "group": "", "q": [1, 2, 3],
        }));
        assert_eq!(nonsense, bare);
        assert_eq!(
            profile(json!({"name": "A", "q": [9, 8, 7, 6, 5, 4, 3, 2, 1]})),
            bare
        );
    }
}
