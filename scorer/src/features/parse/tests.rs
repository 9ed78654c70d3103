use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::features::{
    Kind, Missing,
    schema::{CARD_PAYMENT, tests::input},
};

fn request() -> Map<String, Value> {
    let schema = Schema::card_payment();
    let mut body = Map::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let value = match field.kind {
            Kind::Integer => json!(index),
            Kind::Flag => json!(index % 2),
            Kind::Float => json!(index as f64 + 0.25),
            Kind::DateTime => json!("2018-04-01T00:00:31"),
        };
        body.insert(field.name.to_string(), value);
    }
    body
}

fn parse(body: &str) -> Result<Vec<f32>, Rejection> {
    let schema = Schema::card_payment();
    let mut row = vec![f32::NAN; schema.width()];
    parse_row(&schema, body.as_bytes(), &mut row).map(|_| row)
}

fn with(field: &str, value: &str) -> String {
    let mut body = request();
    body.insert(field.to_owned(), json!("@@"));
    Value::Object(body).to_string().replace("\"@@\"", value)
}

fn code_of(body: &str) -> String {
    let rejection = parse(body).expect_err("the body is wrong");
    rejection.problems[0].to_json()["type"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_full_request_fills_the_row_in_column_order() {
    let row = parse(&Value::Object(request()).to_string()).unwrap();
    assert_eq!(row[0], 6.25, "TX_AMOUNT is field 6");
    assert_eq!(row[1], 1.0, "TX_DURING_WEEKEND is field 7");
    assert_eq!(row[14], 20.25, "the last column is field 20");
}

#[test]
fn the_order_of_fields_does_not_matter_and_unknown_ones_are_ignored() {
    let mut body = String::from("{\"EXTRA\":{\"a\":[1,{\"b\":null}]}");
    for (name, value) in request().iter().rev() {
        body += &format!(",\"{name}\":{value}");
    }
    body += ",\"MORE\":\"x\"}";
    assert_eq!(parse(&body), parse(&Value::Object(request()).to_string()));
}

#[test]
fn every_missing_field_is_listed() {
    let rejection = parse("{}").unwrap_err();
    assert_eq!(rejection.problems.len(), 21);
    assert!(
        rejection
            .problems
            .iter()
            .all(|p| matches!(p, Problem::Missing(_)))
    );
}

#[test]
fn wrong_values_of_all_fields_are_listed_together() {
    let mut body = request();
    body.insert("TX_AMOUNT".into(), json!("12"));
    body.insert("CUSTOMER_ID".into(), json!(null));
    body.remove("TERMINAL_ID");
    let found: Vec<_> = parse(&Value::Object(body).to_string()).unwrap_err().problems;
    let locs: Vec<_> = found
        .iter()
        .map(|p| p.to_json()["loc"][1].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(locs, ["CUSTOMER_ID", "TX_AMOUNT", "TERMINAL_ID"]);
}

#[test]
fn wrong_values_have_the_codes_of_the_reference() {
    for (field, value, code) in [
        ("TX_AMOUNT", "\"abc\"", "float_type"),
        ("TX_AMOUNT", "null", "float_type"),
        ("TX_AMOUNT", "true", "float_type"),
        ("TX_AMOUNT", "[1]", "float_type"),
        ("TX_AMOUNT", "{\"a\":1}", "float_type"),
        ("TX_AMOUNT", "1e300", "finite_number"),
        ("TX_AMOUNT", "-1e39", "finite_number"),
        ("TX_AMOUNT", "1e999", "json_invalid"),
        ("TX_AMOUNT", "NaN", "json_invalid"),
        ("TX_AMOUNT", "Infinity", "json_invalid"),
        ("TX_AMOUNT", "-Infinity", "json_invalid"),
        ("TX_DURING_NIGHT", "2", "literal_error"),
        ("TX_DURING_NIGHT", "-1", "literal_error"),
        ("TX_DURING_NIGHT", "0.5", "int_from_float"),
        ("CUSTOMER_ID", "1.5", "int_from_float"),
        ("CUSTOMER_ID", "18446744073709551615", "int_parsing_size"),
        ("CUSTOMER_ID", "\"7\"", "int_type"),
        ("TX_DATETIME", "\"never\"", "datetime_from_date_parsing"),
        ("TX_DATETIME", "7", "datetime_type"),
        ("TX_DATETIME", "\"\\ud800\"", "json_invalid"),
    ] {
        assert_eq!(code_of(&with(field, value)), code, "{field}={value}");
    }
}

#[test]
fn whole_floats_count_as_integers() {
    assert!(parse(&with("CUSTOMER_ID", "323.0")).is_ok());
    assert!(parse(&with("TX_DURING_NIGHT", "1.0")).is_ok());
}

#[test]
fn a_duplicate_field_is_refused_even_when_it_is_written_with_escapes() {
    let body = Value::Object(request()).to_string();
    for twin in ["\"TX_AMOUNT\":1", "\"TX_\\u0041MOUNT\":1"] {
        let twice = format!("{},{twin}}}", &body[..body.len() - 1]);
        assert_eq!(parse(&twice), Err(Problem::Duplicate("TX_AMOUNT".into()).into()));
    }
}

#[test]
fn bodies_that_are_no_object_are_refused() {
    assert_eq!(parse(""), Err(Problem::EmptyBody.into()));
    for body in ["[]", "[{}]", "1", "\"text\"", "null", "true"] {
        assert_eq!(parse(body), Err(Problem::NotAnObject.into()), "{body}");
    }
    for body in [
        "{",
        "{\"a\"",
        "nope",
        "\u{feff}{}",
        "{} {}",
        "{}x",
        "   ",
        "{\"a\":1,}",
    ] {
        assert_eq!(code_of(body), "json_invalid", "{body}");
    }
}

#[test]
fn nesting_is_refused_at_nine_levels_and_at_ten_thousand() {
    let nested = |depth: usize| with("EXTRA", &format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    assert!(parse(&nested(8)).is_ok());
    for depth in [9, 10_000] {
        assert_eq!(parse(&nested(depth)), Err(Problem::TooDeep.into()), "{depth}");
    }
    assert_eq!(
        parse(&with("TX_AMOUNT", &"[".repeat(10_000))),
        Err(Problem::TooDeep.into())
    );
}

#[test]
fn too_many_fields_are_refused() {
    let mut body = request();
    for index in 0..256 {
        body.insert(format!("X{index}"), json!(0));
    }
    assert_eq!(
        parse(&Value::Object(body).to_string()),
        Err(Problem::TooManyFields.into())
    );
}

#[test]
fn texts_and_long_numbers_are_not_repeated_in_the_answer() {
    for value in [
        "\"4111111111111112\"",
        "4111111111111111",
        "0.5411111111111111",
        "18446744073709551615",
    ] {
        let problems = parse(&with("TX_DURING_NIGHT", value)).unwrap_err().problems;
        let told = problems[0].to_json();
        assert!(!told.to_string().contains("4111"), "{told}");
        assert!(told["input"].is_string(), "{told}");
    }
}

#[test]
fn who_pays_whom_and_when_is_read_exactly() {
    let body = with("TRANSACTION_ID", "9007199254740993");
    let schema = Schema::card_payment();
    let transaction = parse_row(&schema, body.as_bytes(), &mut [0.0; 15]).unwrap();
    assert_eq!(
        transaction.id, 9_007_199_254_740_993,
        "more digits than a double has"
    );
    assert_eq!(transaction.time, 1_522_540_831_000);
    assert_eq!((transaction.customer, transaction.terminal), (2, 3));
    assert_eq!((transaction.time_seconds, transaction.time_days), (4, 5));
}

#[test]
fn a_missing_value_is_what_the_policy_of_its_feature_says() {
    let mut inputs = CARD_PAYMENT.map(input);
    (inputs[0].missing, inputs[0].median) = (Missing::Median, Some(46.5));
    inputs[4].missing = Missing::Native;
    let schema = Schema::of(&inputs).unwrap();
    let mut absent = request();
    absent.remove("TX_AMOUNT");
    absent.remove(CARD_PAYMENT[4]);
    let mut null = request();
    null["TX_AMOUNT"] = Value::Null;
    null[CARD_PAYMENT[4]] = Value::Null;
    for body in [absent, null] {
        let mut row = [0.0; 15];
        let body = Value::Object(body).to_string();
        let transaction = parse_row(&schema, body.as_bytes(), &mut row).unwrap();
        assert_eq!((row[0], row[4].is_nan()), (46.5, true));
        assert_eq!(transaction.imputed, 0b1_0001);
    }
    let mut wrong = request();
    wrong["TX_AMOUNT"] = json!("12");
    let body = Value::Object(wrong).to_string();
    assert!(
        parse_row(&schema, body.as_bytes(), &mut [0.0; 15]).is_err(),
        "a wrong type is a mistake of the client"
    );
}

#[test]
fn a_card_number_anywhere_is_refused_and_not_repeated() {
    for (field, value, named) in [
        ("TX_DATETIME", "\"4111 1111 1111 1111\"", Some("TX_DATETIME")),
        ("TX_AMOUNT", "\"4111111111111111\"", Some("TX_AMOUNT")),
        ("NOTE", "\"paid with 4111111111111111\"", None),
        ("NOTE", "{\"deep\":[\"4111-1111-1111-1111\"]}", None),
        ("4111111111111111", "1", None),
    ] {
        let problems = parse(&with(field, value)).unwrap_err().problems;
        assert_eq!(
            problems,
            [Problem::CardNumber(named.map(Into::into))],
            "{field}={value}"
        );
        assert!(!problems[0].to_json().to_string().contains("4111"));
    }
    assert!(parse(&with("NOTE", "\"4111111111111112\"")).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_either_a_row_or_a_rejection(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let schema = Schema::card_payment();
        let mut row = vec![0.0; schema.width()];
        prop_assert!(parse_row(&schema, &body, &mut row).is_err(), "21 names do not come by chance");
    }

    #[test]
    fn numbers_arrive_as_serde_json_reads_them(values in proptest::collection::vec(-1e30_f64..1e30, 15)) {
        let schema = Schema::card_payment();
        let mut body = request();
        for field in schema.fields() {
            if let (Some(column), Kind::Float) = (field.column, field.kind) {
                body.insert(field.name.to_string(), json!(values[column]));
            }
        }
        let row = parse(&Value::Object(body.clone()).to_string()).unwrap();
        for field in schema.fields() {
            if let Some(column) = field.column {
                prop_assert_eq!(row[column], body[&*field.name].as_f64().unwrap() as f32);
            }
        }
    }

    #[test]
    fn damage_never_becomes_a_wrong_row(at in 0_usize..700, byte in any::<u8>()) {
        let text = Value::Object(request()).to_string();
        let mut body = text.into_bytes();
        let at = at % body.len();
        body[at] = byte;
        let schema = Schema::card_payment();
        let mut row = vec![f32::NAN; schema.width()];
        if parse_row(&schema, &body, &mut row).is_ok() {
            prop_assert!(row.iter().all(|v| v.is_finite()));
        }
    }
}

/// What both ways of reading make of a body, as bits: NaN is equal to itself then.
fn both_ways(schema: &Schema, body: &[u8]) -> [Option<(Transaction, Vec<u32>)>; 2] {
    let bits = |row: Vec<f32>| row.into_iter().map(f32::to_bits).collect();
    let mut row = vec![f32::NAN; schema.width()];
    let usual = usual::read(schema, body, &mut row).map(|transaction| (transaction, bits(row.clone())));
    let any = read_any(schema, body, &mut row).ok();
    [usual, any.map(|transaction| (transaction, bits(row)))]
}

#[test]
fn the_usual_form_is_read_without_the_visitor() {
    let schema = Schema::card_payment();
    let compact = Value::Object(request()).to_string();
    let spaced = compact.replace(':', ": ").replace(',', ", ");
    let time = "T00: 00: 31";
    for body in [
        &compact,
        &spaced.replace(time, "T00:00:31"),
        &format!(" {compact}\r\n"),
    ] {
        let [usual, any] = both_ways(&schema, body.as_bytes());
        assert!(usual.is_some() && usual == any, "{body}");
    }
    let reversed: Vec<String> = request()
        .iter()
        .rev()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    let [usual, any] = both_ways(&schema, format!("{{{}}}", reversed.join(",")).as_bytes());
    assert!(usual.is_some() && usual == any);
}

#[test]
fn what_is_unusual_is_left_to_the_visitor() {
    let schema = Schema::card_payment();
    for (field, value) in [
        ("TX_AMOUNT", "1e2"),
        ("TX_AMOUNT", "-0"),
        ("TX_AMOUNT", "12345678901234567890"),
        ("TX_AMOUNT", "184467440737095516160"),
        ("TX_AMOUNT", "0.12345678901234567890123"),
        ("TX_DURING_NIGHT", "1.0"),
        ("CUSTOMER_ID", "323.0"),
        ("TX_DATETIME", "\"2018-04-01\\u005400:00:31\""),
    ] {
        let [usual, any] = both_ways(&schema, with(field, value).as_bytes());
        assert!(usual.is_none() && any.is_some(), "{field}={value}");
    }
}

proptest! {
    #[test]
    fn both_ways_of_reading_agree_on_numbers(amount in "-?[0-9]{1,12}(\\.[0-9]{1,12})?", id in any::<i64>()) {
        let body = with("TX_AMOUNT", &amount).replace("\"TRANSACTION_ID\":0", &format!("\"TRANSACTION_ID\":{id}"));
        let [usual, any] = both_ways(&Schema::card_payment(), body.as_bytes());
        if usual.is_some() {
            prop_assert_eq!(usual, any);
        }
    }

    #[test]
    fn both_ways_of_reading_agree_on_damaged_bodies(
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"\"\\{}[]:,.-+eE019 \n\tN\x00\x7f\xc3".to_vec()),
        how in 0..3,
    ) {
        let mut body = Value::Object(request()).to_string().into_bytes();
        let at = at.index(body.len());
        match how {
            0 => body[at] = byte,
            1 => body.insert(at, byte),
            _ => drop(body.remove(at)),
        }
        let [usual, any] = both_ways(&Schema::card_payment(), &body);
        if usual.is_some() {
            prop_assert_eq!(usual, any);
        }
    }
}
