//! The caller's span: `traceparent` and `tracestate` by W3C Trace Context, level 1.

use http::{HeaderMap, HeaderName};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::features::card_number;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length of version 00: the version, the trace, the span, the flags, and three dashes.
const LENGTH: usize = 55;

const MAX_MEMBERS: usize = 32;

/// The span that a request came from. None when the header is absent, invalid or there twice: then a new trace begins.
pub fn remote_parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let (trace, span, flags) = parse_traceparent(all.next()?.as_bytes())?;
    if all.next().is_some() {
        return None;
    }
    // The state matters only to whom our span goes.
    let state = if flags.is_sampled() {
        let lines = headers.get_all(TRACESTATE).iter();
        let lines: Option<Vec<_>> = lines.map(|line| line.to_str().ok()).collect();
        lines.and_then(|lines| parse_tracestate(&lines))
    } else {
        None
    };
    Some(SpanContext::new(
        trace,
        span,
        flags,
        true,
        state.unwrap_or_default(),
    ))
}

/// Version 00 exactly, and of later versions what begins alike.
fn parse_traceparent(header: &[u8]) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (known, rest) = header.split_at_checked(LENGTH)?;
    let version = hex(&known[..2])?;
    let dashes = [2, 35, 52].into_iter().all(|at| known[at] == b'-');
    let ends = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.first().is_none_or(|next| *next == b'-'),
    };
    if !dashes || !ends {
        return None;
    }
    let (trace, span, flags) = (hex(&known[3..35])?, hex(&known[36..52])?, hex(&known[53..])?);
    let sampled = TraceFlags::default().with_sampled(flags & 1 == 1);
    (trace != 0 && span != 0).then(|| (TraceId::from(trace), SpanId::from(span as u64), sampled))
}

/// Lower-case hexadecimal only; at most 32 digits.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Several headers are one list. One bad member spoils them all, as the recommendation has it.
fn parse_tracestate(lines: &[&str]) -> Option<TraceState> {
    let mut members: Vec<(&str, &str)> = Vec::new();
    for member in lines.iter().flat_map(|line| line.split(',')) {
        let member = member.trim_matches([' ', '\t']);
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        let known = members.iter().any(|(other, _)| *other == key);
        // The state goes to the collector as it is.
        let harmless = is_key(key) && is_value(value) && !card_number::is_in(member);
        if known || members.len() == MAX_MEMBERS || !harmless {
            return None;
        }
        members.push((key, value));
    }
    TraceState::from_key_value(members).ok()
}

fn is_key(key: &str) -> bool {
    let tail = |text: &str| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/".contains(&b);
        text.bytes().all(allowed)
    };
    let lower = |text: &str| text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    match key.split_once('@') {
        None => key.len() <= 256 && lower(key) && tail(key),
        Some((tenant, system)) => {
            let digit = tenant.bytes().next().is_some_and(|b| b.is_ascii_digit());
            tenant.len() <= 241
                && (digit || lower(tenant))
                && tail(tenant)
                && system.len() <= 14
                && lower(system)
                && tail(system)
        }
    }
}

fn is_value(value: &str) -> bool {
    let allowed = |b: u8| (0x20..=0x7e).contains(&b) && b != b',' && b != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(allowed) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(all: &[(HeaderName, &str)]) -> HeaderMap {
        let pairs = all
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        let mut headers = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    #[test]
    fn a_parent_is_read() {
        let parent = remote_parent(&headers(&[(TRACEPARENT, PARENT)])).unwrap();
        assert_eq!(parent.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span_id().to_string(), "00f067aa0ba902b7");
        assert!(parent.is_sampled() && parent.is_remote());
        for (flags, sampled) in [("00", false), ("02", false), ("03", true), ("ff", true)] {
            let text = format!("{}{flags}", &PARENT[..53]);
            assert_eq!(
                parse_traceparent(text.as_bytes()).unwrap().2.is_sampled(),
                sampled,
                "{flags}"
            );
        }
    }

    #[test]
    fn a_later_version_may_say_more_after_a_dash() {
        let later = PARENT.replacen("00", "cc", 1);
        for (text, valid) in [
            (later.clone(), true),
            (format!("{later}-what-the-future-brings"), true),
            (format!("{later}-"), true),
            (format!("{later}.x"), false),
            (format!("{PARENT}-x"), false),
            (PARENT.replacen("00", "ff", 1), false),
        ] {
            assert_eq!(parse_traceparent(text.as_bytes()).is_some(), valid, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_parent_is_ignored() {
        for bad in [
            "",
            "00",
            &PARENT[..54],
            &PARENT.to_uppercase(),
            &PARENT.replace('-', "_"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-011",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        ] {
            assert!(parse_traceparent(bad.as_bytes()).is_none(), "{bad}");
        }
        let twice = headers(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)]);
        assert!(remote_parent(&twice).is_none());
    }

    #[test]
    fn the_state_is_one_list_over_all_headers() {
        let all = [
            (TRACEPARENT, PARENT),
            (TRACESTATE, "rojo=00f067aa0ba902b7 , congo=t61rcWkgMzE,"),
            (TRACESTATE, " fw529a3039@dt=FfAAAA"),
        ];
        let state = remote_parent(&headers(&all)).unwrap().trace_state().header();
        assert_eq!(
            state,
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,fw529a3039@dt=FfAAAA"
        );
    }

    #[test]
    fn one_bad_member_spoils_the_state_and_not_the_parent() {
        let too_many: Vec<_> = (0..33).map(|n| format!("k{n}=v")).collect();
        let (long_key, long_value) = ("k".repeat(257), "v".repeat(257));
        for bad in [
            "a=1,a=2",
            "A=1",
            "1=1",
            "a",
            "a=",
            "a=b=c",
            "=1",
            "a@=1",
            "@a=1",
            "a@b@c=1",
            "a@1=1",
            "a@bcdefghijklmnop=1",
            "a =1",
            "a=4111111111111111",
            "a=1,a4111-1111-1111-1111=1",
            &too_many.join(","),
            &format!("{long_key}=1"),
            &format!("a={long_value}"),
        ] {
            let parent = remote_parent(&headers(&[(TRACEPARENT, PARENT), (TRACESTATE, bad)])).unwrap();
            assert_eq!(parent.trace_state().header(), "", "{bad}");
        }
        assert!(parse_tracestate(&[&too_many[..32].join(",")]).is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, state: String) {
            let _ = parse_traceparent(&bytes);
            let _ = parse_tracestate(&[&state]);
        }

        #[test]
        fn every_valid_parent_comes_back(trace in 1_u128.., span in 1_u64.., flags: u8) {
            let text = format!("00-{trace:032x}-{span:016x}-{flags:02x}");
            let read = parse_traceparent(text.as_bytes()).unwrap();
            prop_assert_eq!(read.0, TraceId::from(trace));
            prop_assert_eq!(read.1, SpanId::from(span));
            prop_assert_eq!(read.2.is_sampled(), flags & 1 == 1);
        }
    }
}
