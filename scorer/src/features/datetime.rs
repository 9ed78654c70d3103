//! Timestamps as clients write them.

use jiff::{civil::DateTime, fmt::temporal::Pieces, tz::Offset};

/// Milliseconds since 1970 of an RFC 3339 or ISO 8601 text with a time. Without an offset it is read as UTC.
pub fn milliseconds(text: &str) -> Option<i64> {
    if text.len() > 40 {
        return None;
    }
    let pieces = Pieces::parse(text).ok()?;
    if pieces.time_zone_annotation().is_some() {
        return None;
    }
    let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
    let civil = DateTime::from_parts(pieces.date(), pieces.time()?);
    Some(offset.to_timestamp(civil).ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_with_and_without_offset_are_read() {
        for (text, expected) in [
            ("2018-04-01T00:00:31", 1_522_540_831_000),
            ("2018-04-01 00:00:31", 1_522_540_831_000),
            ("2018-04-01T00:00:31Z", 1_522_540_831_000),
            ("2018-04-01T02:00:31.5+02:00", 1_522_540_831_500),
        ] {
            assert_eq!(milliseconds(text), Some(expected), "{text}");
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
            "2018-04-01T00:00:31[Europe/Paris]",
            "1522540831",
        ] {
            assert_eq!(milliseconds(bad), None, "{bad}");
        }
    }
}
