//! Resource quantities as the API server writes them back.

use k8s_openapi::apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString};

/// `value` in the API server's canonical form where it is a plain or milli number, else as it is.
///
/// Without this an object would look changed for ever: `1500m` stays, but `1000m` comes back as `1` and `0.5` as `500m`.
pub(super) fn canonical(value: &IntOrString) -> Quantity {
    let text = match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    };
    Quantity(milli(&text).map_or(text, |milli| {
        if milli % 1000 == 0 {
            (milli / 1000).to_string()
        } else {
            format!("{milli}m")
        }
    }))
}

fn milli(text: &str) -> Option<i64> {
    if let Some(milli) = text.strip_suffix('m') {
        return milli.parse().ok();
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{fraction:0<3}");
    let small = (digits.len() == 3)
        .then(|| digits.parse::<i64>().ok())
        .flatten()?;
    whole.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(small)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_come_out_as_the_api_server_writes_them() {
        for (given, canonical_form) in [
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            ("1.25", "1250m"),
            ("2", "2"),
            ("256Mi", "256Mi"),
        ] {
            assert_eq!(
                canonical(&IntOrString::String(given.into())).0,
                canonical_form,
                "{given}"
            );
        }
        assert_eq!(canonical(&IntOrString::Int(3)).0, "3");
    }
}
