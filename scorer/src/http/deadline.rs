//! `X-Deadline-Ms`: how long the caller will wait for an answer.

use std::time::{Duration, Instant};

use http::HeaderMap;

const HEADER: &str = "x-deadline-ms";

/// When the score must be there: `limit` from now on, when the body is there; sooner when the caller, who waits since `start`,
/// says so.
pub fn of(headers: &HeaderMap, start: Instant, limit: Duration) -> Instant {
    let ours = Instant::now() + limit;
    callers(headers).map_or(ours, |theirs| ours.min(start + theirs))
}

/// The caller's limit, when the header is there once and holds one to eight digits. It can only shorten ours, so one that is
/// not understood costs nothing.
fn callers(headers: &HeaderMap) -> Option<Duration> {
    let mut all = headers.get_all(HEADER).iter();
    let text = all.next()?.to_str().ok()?;
    let digits = (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits || all.next().is_some() {
        return None;
    }
    text.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(all: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for text in all {
            headers.append(HEADER, HeaderValue::from_bytes(text.as_bytes()).unwrap());
        }
        headers
    }

    fn limit(all: &[&str]) -> Option<u128> {
        callers(&headers(all)).map(|limit| limit.as_millis())
    }

    #[test]
    fn a_plain_number_is_understood_and_nothing_else() {
        assert_eq!(limit(&["0"]), Some(0));
        assert_eq!(limit(&["00250"]), Some(250));
        assert_eq!(limit(&["99999999"]), Some(99_999_999));
        for other in ["", " ", "-1", "+1", "1.5", "1e3", "100ms", "999999999", "\u{663}"] {
            assert_eq!(limit(&[other]), None, "{other:?}");
        }
        assert_eq!(limit(&[]), None);
        assert_eq!(limit(&["10", "10"]), None, "which of them?");
    }

    #[test]
    fn the_caller_can_only_shorten_the_deadline() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(
            of(&headers(&["20"]), start, second),
            start + Duration::from_millis(20)
        );
        for longer in [&["5000"][..], &["soon"], &[]] {
            let deadline = of(&headers(longer), start, second);
            assert!(
                deadline >= start + second && deadline < start + 2 * second,
                "{longer:?}"
            );
        }
    }
}
