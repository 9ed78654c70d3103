//! Timestamps as clients write them.

use jiff::fmt::temporal::Pieces;

/// Whether the text is RFC 3339 or ISO 8601 with a time, with or without an offset.
pub fn is_datetime(text: &str) -> bool {
    text.len() <= 40
        && Pieces::parse(text).is_ok_and(|p| p.time().is_some() && p.time_zone_annotation().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_with_and_without_offset_are_accepted() {
        for good in [
            "2018-04-01T00:00:31",
            "2018-04-01 00:00:31",
            "2018-04-01T00:00:31Z",
            "2018-04-01T00:00:31.5+02:00",
        ] {
            assert!(is_datetime(good), "{good}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in [
            "",
            "yesterday",
            "2018-04-01",
            "2018-13-01T00:00:00",
            "2018-04-01T25:00:00",
            "1522540831",
        ] {
            assert!(!is_datetime(bad), "{bad}");
        }
    }
}
