//! The bins in which the values of a feature are counted: ten between the training deciles, and one for zero.

use crate::model::{Deciles, Profile};

/// Bins of a feature: ten parts between its deciles, then zero. Zero has its own because many features are mostly zero,
/// and then their deciles do not tell them apart.
pub const BINS: usize = 11;

/// The bin of zeros.
pub const ZERO: usize = 10;

/// Where the value of a feature belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its bin; none when it is missing, or when the model's metadata has no deciles.
    pub bin: Option<usize>,
    /// It is NaN.
    pub missing: bool,
    /// It lies outside the range of the training data.
    pub out_of_range: bool,
}

/// The bins of one feature.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureBins {
    /// Name of the feature.
    pub name: String,
    deciles: Option<Deciles>,
    min: f32,
    max: f32,
}

impl FeatureBins {
    /// The bins that a feature's profile calls for.
    pub fn of(profile: &Profile) -> Self {
        Self {
            name: profile.name.clone(),
            deciles: profile.deciles,
            min: profile.min.unwrap_or(f32::NEG_INFINITY),
            max: profile.max.unwrap_or(f32::INFINITY),
        }
    }

    /// Whether values are counted in bins.
    pub fn has_deciles(&self) -> bool {
        self.deciles.is_some()
    }

    /// Where a value belongs. Bin `i` holds what is above decile `i` and at most decile `i + 1`; zero is in none of them.
    #[inline]
    pub fn place(&self, value: f32) -> Place {
        if value.is_nan() {
            return Place {
                bin: None,
                missing: true,
                out_of_range: false,
            };
        }
        let above = |deciles: &Deciles| deciles.iter().map(|decile| usize::from(*decile < value)).sum();
        let bin = if value == 0.0 {
            self.deciles.map(|_| ZERO)
        } else {
            self.deciles.as_ref().map(above)
        };
        Place {
            bin,
            missing: false,
            out_of_range: value < self.min || value > self.max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bins(deciles: Deciles) -> FeatureBins {
        FeatureBins::of(&Profile {
            min: Some(0.0),
            max: Some(12.0),
            deciles: Some(deciles),
            ..Profile::default()
        })
    }

    #[test]
    fn a_value_on_a_decile_belongs_below_it() {
        let bins = bins([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        for (value, bin) in [
            (0.5, 0),
            (1.0, 0),
            (1.5, 1),
            (8.9, 8),
            (9.0, 8),
            (9.1, 9),
            (1e30, 9),
            (-3.0, 0),
        ] {
            assert_eq!(bins.place(value).bin, Some(bin), "{value}");
        }
    }

    #[test]
    fn zeros_have_a_bin_of_their_own_even_where_all_deciles_are_zero() {
        let bins = bins([0.0; 9]);
        assert_eq!(bins.place(0.0).bin, Some(ZERO));
        assert_eq!(bins.place(-0.0).bin, Some(ZERO));
        assert_eq!(bins.place(0.1).bin, Some(9));
    }

    #[test]
    fn missing_and_foreign_values_are_told_apart() {
        let bins = bins([1.0; 9]);
        assert_eq!(
            bins.place(f32::NAN),
            Place {
                bin: None,
                missing: true,
                out_of_range: false
            }
        );
        for (value, outside) in [(0.0, false), (12.0, false), (12.1, true), (-0.1, true)] {
            assert_eq!(bins.place(value).out_of_range, outside, "{value}");
        }
        let bare = FeatureBins::of(&Profile::default());
        assert_eq!(
            bare.place(5.0),
            Place {
                bin: None,
                missing: false,
                out_of_range: false
            }
        );
    }
}
