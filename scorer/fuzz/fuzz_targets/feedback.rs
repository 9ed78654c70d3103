//! Any bytes as the body of `POST /feedback`: never a panic, each item is what serde_json reads or is refused, and no label is
//! counted without a receipt that was sealed.

#![no_main]

use std::sync::LazyLock;

use fraudops_scorer::feedback::{Content, Item, Label, Ledger, MAX_ITEMS, Refusal, Request, parse};
use fraudops_scorer_fuzz::{NOW, SEALER};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;

static LEDGER: LazyLock<Ledger> = LazyLock::new(Ledger::default);

fuzz_target!(|body: &[u8]| {
    for content in [Content::Json, Content::Lines] {
        let opened = Request::open(&LEDGER, &SEALER, content, body, NOW);
        let items = match parse(content, body) {
            Ok(items) => items,
            Err(error) => {
                assert_eq!(opened.err(), Some(error));
                continue;
            }
        };
        assert!((1..=MAX_ITEMS).contains(&items.len()));
        match content {
            Content::Json => compare_body(body, &items),
            Content::Lines => compare_lines(body, &items),
        }
        let request = opened.expect("its items were read");
        assert!(request.judged().is_empty(), "none of the receipts was sealed");
        let (status, answer) = request.close(&LEDGER, |_, _, _| None);
        assert_eq!(status.as_u16(), 422);
        assert!(!has_long_number(&answer), "it may be a card number: {answer}");
        let answer: Value = serde_json::from_str(&answer).expect("an answer is JSON");
        assert_eq!(answer["refused"], items.len());
    }
});

type Read<'a> = Result<Item<'a>, Refusal>;

fn compare_body(body: &[u8], items: &[Read<'_>]) {
    serde_json::from_slice::<IgnoredAny>(body).expect("a body that was read is JSON");
    // Numbers out of range are not looked at in fields that mean nothing.
    match serde_json::from_slice(body) {
        Ok(Value::Array(values)) => {
            assert_eq!(values.len(), items.len());
            values
                .iter()
                .zip(items)
                .for_each(|(value, item)| compare(value, item));
        }
        Ok(value) => {
            assert_eq!(items.len(), 1);
            compare(&value, &items[0]);
        }
        Err(_) => {}
    }
}

fn compare_lines(body: &[u8], items: &[Read<'_>]) {
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), items.len());
    for (line, item) in lines.iter().zip(items) {
        match serde_json::from_slice(line) {
            Ok(value) => compare(&value, item),
            Err(_) => assert!(item.is_err() || serde_json::from_slice::<IgnoredAny>(line).is_ok()),
        }
    }
}

fn compare(value: &Value, item: &Read<'_>) {
    match item {
        Ok(item) => {
            assert_eq!(value["receipt"], *item.receipt);
            assert_eq!(value["source"], item.source.as_str());
            let time = value["time"].as_str().and_then(|time| time.parse().ok());
            assert_eq!(time, Some(item.time));
            let label = &value["label"];
            assert_eq!(means_fraud(label), Some(item.label == Label::Fraud), "{label}");
        }
        Err(Refusal::NotAnObject) => assert!(!value.is_object()),
        Err(Refusal::Missing(field)) => assert!(value.get(field).is_none(), "{field} is there: {value}"),
        Err(Refusal::Invalid(field) | Refusal::Duplicate(field)) => assert!(value.get(field).is_some()),
        Err(Refusal::NotJson) => panic!("this is JSON: {value}"),
        Err(Refusal::TimeInFuture | Refusal::TimeBeforeTransaction | Refusal::Receipt(_)) => {
            panic!("no receipt was opened yet")
        }
    }
}

fn means_fraud(label: &Value) -> Option<bool> {
    match label {
        Value::Bool(fraud) => Some(*fraud),
        Value::Number(number) => number.as_u64().map(|number| number == 1),
        Value::String(word) => Some(word == Label::Fraud.as_str()),
        _ => None,
    }
}

/// Thirteen digits in a row, the fewest that a card number has.
fn has_long_number(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_digit())
        .any(|digits| digits.len() >= 13)
}
