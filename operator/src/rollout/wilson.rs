//! Wilson's interval of a proportion: what is shown beside a rate. It holds for one look, so nothing is decided by it.

use super::sequential::Count;

/// 99.5 % quantile of the normal distribution: 99 % lie between the two bounds.
const Z: f64 = 2.575_829_303_548_901;

/// Lower and upper bound of the true rate (99 %); none without exposures.
pub fn interval(count: Count) -> Option<(f64, f64)> {
    let rate = count.rate()?.min(1.0);
    let n = count.exposures as f64;
    let centre = rate + Z * Z / (2.0 * n);
    let spread = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    Some((
        ((centre - spread) / scale).max(0.0),
        ((centre + spread) / scale).min(1.0),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bounds_are_those_of_the_textbook() {
        // Computed apart from this code, in Python, from Brown, Cai and DasGupta (2001), formula 4.
        for (exposures, events, low, high) in [
            (500, 0, 0.0, 0.013096),
            (500, 5, 0.003347, 0.029487),
            (10, 10, 0.601146, 1.0),
        ] {
            let (a, b) = interval(Count { exposures, events }).unwrap();
            assert!(
                (a - low).abs() < 1e-5 && (b - high).abs() < 1e-5,
                "{events} of {exposures}: {a} {b}"
            );
        }
        assert_eq!(interval(Count::default()), None);
    }

    proptest! {
        #[test]
        fn the_rate_lies_between_the_bounds(exposures in 1_u64..1_000_000, share in 0.0..=1.0_f64) {
            let events = (exposures as f64 * share) as u64;
            let count = Count { exposures, events };
            let (low, high) = interval(count).unwrap();
            let rate = count.rate().unwrap();
            prop_assert!(0.0 <= low && low <= rate + 1e-12 && rate <= high + 1e-12 && high <= 1.0);
        }
    }
}
