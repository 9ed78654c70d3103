use serde_json::{Value, json};

use super::*;
use crate::features::Window;

fn transaction() -> Transaction {
    let window = |count, sum| Window { count, sum };
    Transaction {
        row: 7,
        epoch: 1_522_540_800,
        seconds: 86_400 + 61,
        customer: 5,
        terminal: 9,
        cents: 14_092,
        customer_windows: [window(1, 14_092), window(3, 30_000), window(4, 30_002)],
        terminal_windows: [window(0, 0), window(8, 2), window(31, 31)],
        scenario: 2,
        label_comes: true,
    }
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn a_request_has_the_fields_of_the_api() {
    let body = parsed(
        &Payload {
            first_id: 100,
            ..Payload::default()
        }
        .predict(&transaction()),
    );
    assert_eq!(
        body,
        json!({
            "TRANSACTION_ID": 107, "TX_DATETIME": "2018-04-02T00:01:01Z", "CUSTOMER_ID": 5, "TERMINAL_ID": 9,
            "TX_AMOUNT": 140.92, "TX_TIME_SECONDS": 86_461, "TX_TIME_DAYS": 1,
            "TX_DURING_WEEKEND": 0, "TX_DURING_NIGHT": 1,
            "CUSTOMER_ID_NB_TX_1DAY_WINDOW": 1.0, "CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW": 140.92,
            "CUSTOMER_ID_NB_TX_7DAY_WINDOW": 3.0, "CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW": 100.0,
            "CUSTOMER_ID_NB_TX_30DAY_WINDOW": 4.0, "CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW": 75.005,
            "TERMINAL_ID_NB_TX_1DAY_WINDOW": 0.0, "TERMINAL_ID_RISK_1DAY_WINDOW": 0.0,
            "TERMINAL_ID_NB_TX_7DAY_WINDOW": 8.0, "TERMINAL_ID_RISK_7DAY_WINDOW": 0.25,
            "TERMINAL_ID_NB_TX_30DAY_WINDOW": 31.0, "TERMINAL_ID_RISK_30DAY_WINDOW": 1.0,
        })
    );
}

#[test]
fn the_truth_is_told_only_when_asked_for() {
    let truth = Payload {
        truth: true,
        ..Payload::default()
    };
    let body = parsed(&truth.predict(&transaction()));
    assert_eq!(
        (&body["TX_FRAUD"], &body["TX_FRAUD_SCENARIO"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        parsed(&truth.infer(&transaction()))["inputs"][0]["data"]
            .as_array()
            .unwrap()
            .len(),
        INPUTS
    );
}

#[test]
fn the_protocol_gets_the_inputs_in_the_order_of_columns() {
    let body = parsed(&Payload::default().infer(&transaction()));
    assert_eq!(body["id"], "7");
    assert_eq!(body["inputs"][0]["shape"], json!([1, 15]));
    assert_eq!(body["inputs"][0]["datatype"], "FP32");
    let data: Vec<f32> = serde_json::from_value(body["inputs"][0]["data"].clone()).unwrap();
    assert_eq!(data, inputs(&transaction(), None).map(|value| value as f32));
}

#[test]
fn each_mistake_damages_what_it_names_and_nothing_else() {
    let good = inputs(&transaction(), None);
    let damaged = |broken: Break| {
        let inputs = inputs(&transaction(), Some(broken));
        (0..INPUTS)
            .filter(|&i| inputs[i] != good[i])
            .map(|i| (NAMES[i], inputs[i]))
            .collect::<Vec<_>>()
    };
    assert_eq!(damaged(Break::Cents), [("TX_AMOUNT", 14_092.0)]);
    assert_eq!(
        damaged(Break::RiskZero),
        [
            ("TERMINAL_ID_RISK_7DAY_WINDOW", 0.0),
            ("TERMINAL_ID_RISK_30DAY_WINDOW", 0.0)
        ]
    );
    assert_eq!(
        damaged(Break::Swap),
        [
            ("TERMINAL_ID_NB_TX_7DAY_WINDOW", 0.25),
            ("TERMINAL_ID_RISK_7DAY_WINDOW", 8.0)
        ]
    );
    let customer = damaged(Break::CustomerZero);
    assert_eq!(customer.len(), 6);
    assert!(
        customer
            .iter()
            .all(|(name, value)| name.starts_with("CUSTOMER_ID_") && *value == 0.0)
    );
}
