//! One line: written by hand, because it is on the path of a request.

use std::{
    io::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    buffer::Buffer,
    entry::Entry,
    pseudonym::{Id, Kind},
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends a line. Ids are left open: the writer fills them in.
pub fn write(to: &mut Buffer, number: u64, now: SystemTime, entry: &Entry<'_>, with_ids: bool) {
    let line = &mut to.bytes;
    line.extend_from_slice(b"{\"schema\":\"v1\",\"time\":\"");
    push_time(line, now);
    line.extend_from_slice(b"\",\"seq\":");
    push_number(line, number);
    line.extend_from_slice(&entry.served.0);
    line.extend_from_slice(b",\"role\":\"");
    line.extend_from_slice(entry.role.as_str().as_bytes());
    line.extend_from_slice(b"\",\"decision\":\"");
    line.extend_from_slice(entry.decision.as_str().as_bytes());
    line.extend_from_slice(b"\",\"source\":\"");
    line.extend_from_slice(entry.source.as_str().as_bytes());
    line.extend_from_slice(b"\",\"score\":");
    match entry.scored {
        Some(Ok(score)) if score.is_finite() => {
            // Writing to memory cannot fail.
            let _ = write!(line, "{score}");
        }
        _ => line.extend_from_slice(b"null"),
    }
    if let Some(Err(failure)) = entry.scored {
        line.extend_from_slice(b",\"model_error\":\"");
        line.extend_from_slice(failure.as_str().as_bytes());
        line.push(b'"');
    }
    push_list(line, b",\"rules\":[", entry.rules);
    push_list(line, b",\"reasons\":[", entry.reasons);
    push_list(line, b",\"imputed\":[", entry.imputed);
    line.extend_from_slice(b",\"latency_ms\":");
    push_milliseconds(line, entry.took.as_micros());
    if with_ids {
        push_ids(to, entry);
    }
    let line = &mut to.bytes;
    if let Some(trace) = entry.trace {
        line.extend_from_slice(b",\"trace_id\":\"");
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(trace) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        line.extend_from_slice(&digits);
        line.push(b'"');
    }
    line.extend_from_slice(b",\"request_id\":");
    push_text(line, entry.request);
    line.extend_from_slice(b"}\n");
}

fn push_ids(to: &mut Buffer, entry: &Entry<'_>) {
    let ids = [
        (Kind::Transaction, entry.transaction),
        (Kind::Customer, Some(entry.customer)),
        (Kind::Terminal, Some(entry.terminal)),
    ];
    for (kind, value) in ids {
        let Some(value) = value else {
            continue;
        };
        to.bytes.extend_from_slice(b",\"");
        to.bytes.extend_from_slice(kind.as_str().as_bytes());
        to.bytes.extend_from_slice(b"\":\"");
        let at = to.bytes.len();
        to.ids.push(Id { at, kind, value });
        to.bytes.extend_from_slice(b"0000000000000000\"");
    }
}

fn push_list(line: &mut Vec<u8>, head: &[u8], texts: &[&str]) {
    line.extend_from_slice(head);
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            line.push(b',');
        }
        push_text(line, text);
    }
    line.push(b']');
}

/// A JSON text.
pub fn push_text(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        line.extend_from_slice(text.as_bytes());
    } else {
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
                0..0x20 => {
                    line.extend_from_slice(b"\\u00");
                    line.push(HEX[usize::from(byte >> 4)]);
                    line.push(HEX[usize::from(byte & 15)]);
                }
                other => line.push(other),
            }
        }
    }
    line.push(b'"');
}

fn push_number(line: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[first..]);
}

/// Writes a number into exactly these digits.
fn set_digits(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn push_milliseconds(line: &mut Vec<u8>, microseconds: u128) {
    let microseconds = u64::try_from(microseconds).unwrap_or(u64::MAX);
    push_number(line, microseconds / 1000);
    let mut rest = *b".000";
    set_digits(&mut rest[1..], microseconds % 1000);
    line.extend_from_slice(&rest);
}

/// RFC 3339 in UTC, with milliseconds.
fn push_time(line: &mut Vec<u8>, at: SystemTime) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = date(since.as_secs() / 86_400);
    let second = since.as_secs() % 86_400;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    set_digits(&mut text[..4], year);
    set_digits(&mut text[5..7], month);
    set_digits(&mut text[8..10], day);
    set_digits(&mut text[11..13], second / 3600);
    set_digits(&mut text[14..16], second / 60 % 60);
    set_digits(&mut text[17..19], second % 60);
    set_digits(&mut text[20..23], u64::from(since.subsec_millis()));
    line.extend_from_slice(&text);
}

/// The date of a day since 1970, in years that begin in March, so that the odd day is the last one.
fn date(day: u64) -> (u64, u64, u64) {
    const FOUR_CENTURIES: u64 = 146_097;
    let since = day + 719_468; // from 1 March of year 0
    let (era, of_era) = (since / FOUR_CENTURIES, since % FOUR_CENTURIES);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        decision::Decision,
        decision_log::{Role, Served},
        metrics::{ModelFailure, Source},
    };

    fn entry<'a>(served: &'a Served, rules: &'a [&'a str], request: &'a str) -> Entry<'a> {
        Entry {
            served,
            role: Role::Answer,
            decision: Decision::Block,
            source: Source::Model,
            scored: Some(Ok(0.25)),
            rules,
            reasons: &["TX_AMOUNT"],
            imputed: &[],
            took: Duration::from_micros(1_234),
            transaction: Some(-7),
            customer: 596,
            terminal: 3156,
            trace: Some([0xab; 16]),
            request,
        }
    }

    fn written(entry: &Entry<'_>, with_ids: bool) -> Value {
        let mut buffer = Buffer::default();
        let now = UNIX_EPOCH + Duration::from_millis(1_795_483_684_007);
        write(&mut buffer, 17, now, entry, with_ids);
        assert_eq!(buffer.bytes.pop(), Some(b'\n'));
        serde_json::from_slice(&buffer.bytes).unwrap()
    }

    #[test]
    fn a_line_has_every_field_of_its_schema() {
        let served = Served::new("card \"fraud\"", "v7", "abc");
        let line = written(&entry(&served, &["large", "a\\b\n"], "r-1"), true);
        assert_eq!(
            line,
            json!({
                "schema": "v1", "time": "2026-11-24T01:28:04.007Z", "seq": 17, "model": "card \"fraud\"", "model_version": "v7",
                "model_sha256": "abc", "role": "answer", "decision": "block", "source": "model", "score": 0.25,
                "rules": ["large", "a\\b\n"], "reasons": ["TX_AMOUNT"], "imputed": [], "latency_ms": 1.234,
                "transaction": "0000000000000000", "customer": "0000000000000000", "terminal": "0000000000000000",
                "trace_id": "abababababababababababababababab", "request_id": "r-1",
            })
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let served = Served::new("m", "v", "d");
        let mut entry = entry(&served, &[], "");
        entry.trace = None;
        entry.transaction = None;
        entry.scored = Some(Err(ModelFailure::Deadline));
        let line = written(&entry, false);
        assert_eq!(
            (&line["score"], &line["model_error"]),
            (&Value::Null, &json!("deadline"))
        );
        for absent in ["transaction", "customer", "terminal", "trace_id"] {
            assert!(line.get(absent).is_none(), "{absent}");
        }
        assert!(written(&entry, true).get("transaction").is_none());
        entry.scored = None;
        let line = written(&entry, false);
        assert_eq!((&line["score"], line.get("model_error")), (&Value::Null, None));
    }

    proptest! {
        #[test]
        fn any_text_and_any_score_make_a_valid_line(rule: String, request: String, score: f32, number: u64, micros: u64) {
            let served = Served::new(&rule, &request, &rule);
            let rules = [rule.as_str(), &request];
            let mut entry = entry(&served, &rules, &request);
            entry.scored = Some(Ok(score));
            entry.took = Duration::from_micros(micros);
            let mut buffer = Buffer::default();
            write(&mut buffer, number, SystemTime::now(), &entry, true);
            let line: Value = serde_json::from_slice(&buffer.bytes).unwrap();
            prop_assert_eq!(&line["rules"], &json!(rules));
            prop_assert_eq!(&line["model"], &json!(rule));
            prop_assert_eq!(&line["request_id"], &json!(request));
            prop_assert_eq!(&line["seq"], &json!(number));
            if score.is_finite() {
                prop_assert_eq!(line["score"].as_f64().unwrap() as f32, score);
            }
        }

        #[test]
        fn times_are_those_of_the_calendar(ms in 0..253_402_300_800_000_i64) {
            let mut line = Vec::new();
            push_time(&mut line, UNIX_EPOCH + Duration::from_millis(ms as u64));
            let theirs = jiff::Timestamp::from_millisecond(ms).unwrap();
            prop_assert_eq!(String::from_utf8(line).unwrap(), format!("{theirs:.3}"));
        }
    }
}
