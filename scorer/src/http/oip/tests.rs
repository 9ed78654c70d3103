use http::{HeaderMap, HeaderValue, Version};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::http::{
    fixture::{Caller, Fake, Got, LIMITS, on_one_thread, start},
    transport::Transport,
};

const INFER: &str = "/v2/models/card-fraud/infer";

fn input(rows: usize, data: Value) -> Value {
    json!({"name": "features", "shape": [rows, 15], "datatype": "FP32", "data": data})
}

fn rows(scores: &[f32]) -> Vec<Vec<f32>> {
    scores.iter().map(|score| Fake::row(*score)).collect()
}

fn binary_of(scores: &[f32]) -> Vec<u8> {
    rows(scores)
        .concat()
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect()
}

async fn with_binary(caller: &Caller, header: &Value, binary: &[u8]) -> Got {
    let header = header.to_string();
    let length = header.len().to_string();
    let headers = [("inference-header-content-length", length.as_str())];
    let body = [header.as_bytes(), binary].concat();
    caller.send(Method::POST, INFER, &headers, body).await
}

#[test]
fn json_rows_are_scored_flat_or_nested() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_11);
        let nested = json!(rows(&[0.25, 0.5]));
        let flat = json!(rows(&[0.25, 0.5]).concat());
        for data in [nested, flat] {
            let got = caller
                .post(
                    INFER,
                    json!({"id": "a\"b", "inputs": [input(2, data)]}).to_string(),
                )
                .await;
            assert_eq!(got.status, StatusCode::OK, "{got:?}");
            let expected = json!({
                "model_name": "card-fraud", "model_version": "2026.11.1", "id": "a\"b",
                "outputs": [
                    {"name": "fraud_probability", "datatype": "FP32", "shape": [2], "data": [0.25, 0.5]},
                    {"name": "decision", "datatype": "BYTES", "shape": [2], "data": ["review", "block"]},
                ],
            });
            assert_eq!(got.json(), expected);
        }
    });
}

#[test]
fn outputs_come_as_they_are_asked_for_and_an_absent_id_stays_absent() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_11);
        let body = json!({"inputs": [input(1, json!(rows(&[0.25])))], "outputs": [{"name": "decision"}]});
        let path = "/v2/models/card-fraud/versions/2026.11.1/infer";
        let answer = caller.post(path, body.to_string()).await.json();
        assert!(answer.get("id").is_none());
        let names: Vec<_> = answer["outputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|o| &o["name"])
            .collect();
        assert_eq!(names, ["decision"]);
    });
}

#[test]
fn binary_data_goes_both_ways() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_11);
        let header = json!({
            "parameters": {"binary_data_output": true},
            "inputs": [{"name": "features", "shape": [2, 15], "datatype": "FP32", "parameters": {"binary_data_size": 120}}],
        });
        let got = with_binary(&caller, &header, &binary_of(&[0.25, 0.5])).await;
        assert_eq!(got.status, StatusCode::OK, "{got:?}");
        assert_eq!(got.header("content-type"), Some("application/octet-stream"));
        let length: usize = got
            .header("inference-header-content-length")
            .unwrap()
            .parse()
            .unwrap();
        let json: Value = serde_json::from_slice(&got.body[..length]).unwrap();
        let sizes: Vec<_> = [0, 1]
            .map(|i| json["outputs"][i]["parameters"]["binary_data_size"].as_u64())
            .into();
        assert_eq!(sizes, [Some(8), Some(4 + 6 + 4 + 5)]);
        let expected = [
            &0.25_f32.to_le_bytes()[..],
            &0.5_f32.to_le_bytes(),
            b"\x06\0\0\0review\x05\0\0\0block",
        ]
        .concat();
        assert_eq!(&got.body[length..], expected);
    });
}

#[test]
fn one_output_may_be_binary_and_the_other_not() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_11);
        let body = json!({
            "inputs": [input(1, json!(rows(&[0.25])))],
            "outputs": [{"name": "decision"}, {"name": "fraud_probability", "parameters": {"binary_data": true}}],
        });
        let got = caller.post(INFER, body.to_string()).await;
        let length: usize = got
            .header("inference-header-content-length")
            .unwrap()
            .parse()
            .unwrap();
        let json: Value = serde_json::from_slice(&got.body[..length]).unwrap();
        assert_eq!(json["outputs"][0]["data"], json!(["review"]));
        assert_eq!(&got.body[length..], 0.25_f32.to_le_bytes());
    });
}

#[test]
fn other_datatypes_are_narrowed() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_11);
        let mut doubles = input(1, json!(rows(&[0.25])));
        doubles["datatype"] = json!("FP64");
        let mut whole = input(1, json!([[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]));
        whole["datatype"] = json!("INT64");
        for (input, expected) in [(doubles, 0.25), (whole, 1.0)] {
            let answer = caller
                .post(INFER, json!({"inputs": [input]}).to_string())
                .await
                .json();
            assert_eq!(
                answer["outputs"][0]["data"][0].as_f64(),
                Some(expected),
                "{answer}"
            );
        }
    });
}

#[test]
fn what_cannot_be_scored_is_a_400_that_names_the_field() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_11);
        let good = input(1, json!(rows(&[0.25])));
        let with = |key: &str, value: Value| {
            let mut input = good.clone();
            input[key] = value;
            json!({"inputs": [input]})
        };
        let table = [
            (json!({}), "missing field `inputs`"),
            (json!({"inputs": []}), "expected a list with one input"),
            (json!({"inputs": [good, good]}), "expected a list with one input"),
            (with("name", json!("input-0")), "inputs[0].name"),
            (with("datatype", json!("BYTES")), "inputs[0].datatype"),
            (with("shape", json!([1, 14])), "inputs[0].shape"),
            (with("shape", json!([15])), "inputs[0].shape"),
            (with("shape", json!([9, 15])), "from 1 to 8"),
            (with("shape", json!([2, 15])), "inputs[0].data"),
            (with("data", json!([])), "inputs[0].data"),
            (with("data", json!([[1, 2], [3]])), "differ in length"),
            (with("data", json!([[[1]]])), "nested deeper"),
            (with("data", json!([1, [2]])), "mixes numbers and lists"),
            (with("data", json!(["4111111111111111"])), "expected a number"),
            (with("data", json!([null])), "expected a number"),
            (
                with("data", json!([[1e300, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]])),
                "row 0, column 0",
            ),
            (with("data", Value::Null), "inputs[0].data"),
            (
                json!({"inputs": [good], "outputs": [{"name": "label"}]}),
                "outputs[0].name",
            ),
            (json!({"inputs": [good], "id": "x".repeat(300)}), "id:"),
            (json!({"inputs": [good], "id": 7}), "expected a string"),
        ];
        for (body, expected) in table {
            let got = caller.post(INFER, body.to_string()).await;
            assert_eq!(got.status, StatusCode::BAD_REQUEST, "{body}");
            let error = got.json()["error"].as_str().unwrap().to_owned();
            assert!(error.contains(expected), "{body:.200}: {error}");
            assert!(!error.contains("4111"), "{error}");
        }
        for text in ["", "{", "[1] 2", "{\"inputs\": [{\"data\": [NaN]}]}"] {
            let got = caller.post(INFER, text).await;
            assert_eq!(got.status, StatusCode::BAD_REQUEST, "{text}");
        }
    });
}

#[test]
fn binary_data_must_have_the_announced_size() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_11);
        let header = |size: usize| {
            json!({"inputs": [{
                "name": "features", "shape": [1, 15], "datatype": "FP32", "parameters": {"binary_data_size": size},
            }]})
        };
        for (size, bytes) in [(60, 59), (60, 61), (59, 59), (61, 61), (0, 0), (usize::MAX, 60)] {
            let got = with_binary(&caller, &header(size), &vec![0; bytes]).await;
            assert_eq!(got.status, StatusCode::BAD_REQUEST, "{size} {bytes}");
        }
        let nan = [&f32::NAN.to_le_bytes()[..], &[0; 56]].concat();
        let got = with_binary(&caller, &header(60), &nan).await;
        assert!(got.json()["error"].as_str().unwrap().contains("row 0, column 0"));
        let length = [("inference-header-content-length", "99999")];
        let got = caller.send(Method::POST, INFER, &length, "{}").await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST);
    });
}

#[test]
fn what_the_caller_no_longer_waits_for_is_a_504() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_11);
        let body = json!({"inputs": [input(2, json!(rows(&[0.25, 0.5])))]}).to_string();
        let got = caller
            .send(Method::POST, INFER, &[("x-deadline-ms", "0")], body.clone())
            .await;
        assert_eq!(got.status, StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(got.json(), json!({"error": "row 0 was not scored in time"}));
        let patient = [("x-deadline-ms", "10000")];
        assert_eq!(
            caller.send(Method::POST, INFER, &patient, body).await.status,
            StatusCode::OK
        );
    });
}

#[test]
fn rows_that_find_no_room_are_to_be_sent_again() {
    let answer = unscored(3, Failure::Overloaded);
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
}

#[test]
fn a_failed_model_is_a_500_and_another_model_a_404() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let caller = port.caller(Version::HTTP_11);
        let body = json!({"inputs": [input(2, json!(rows(&[0.25, -1.0])))]}).to_string();
        let got = caller.post(INFER, body.clone()).await;
        assert_eq!(got.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(got.json(), json!({"error": "the model failed on row 1"}));
        for path in ["/v2/models/other/infer", "/v2/models/card-fraud/versions/1/infer"] {
            assert_eq!(
                caller.post(path, body.clone()).await.status,
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
        for path in ["/v2/models/other", "/v2/models/card-fraud/versions/1/ready"] {
            let got = caller.get(path).await;
            assert_eq!(got.status, StatusCode::NOT_FOUND, "{path}");
            assert!(got.json()["error"].is_string());
        }
    });
}

#[test]
fn the_model_describes_its_tensors() {
    on_one_thread(async {
        let port = start(Transport::default(), LIMITS);
        let model = port
            .caller(Version::HTTP_2)
            .get("/v2/models/card-fraud")
            .await
            .json();
        assert_eq!(model["versions"], json!(["2026.11.1"]));
        assert_eq!(
            model["inputs"],
            json!([{"name": "features", "datatype": "FP32", "shape": [-1, 15]}])
        );
        assert_eq!(
            model["outputs"][1],
            json!({"name": "decision", "datatype": "BYTES", "shape": [-1]})
        );
    });
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..300), length in any::<Option<u16>>()) {
        let mut headers = HeaderMap::new();
        if let Some(length) = length {
            headers.insert(HEADER_LENGTH, HeaderValue::from(length));
        }
        let _ = request::read(&headers, &body, 15, 8);
    }

    #[test]
    fn any_tensor_is_read_whole_or_refused(
        shape in prop::collection::vec(-1_i64..4, 0..4),
        data in prop::collection::vec(prop::collection::vec(any::<f64>(), 0..5), 0..5),
    ) {
        let body = json!({"inputs": [{"name": "features", "shape": shape, "datatype": "FP64", "data": data}]}).to_string();
        if let Ok(request) = request::read(&HeaderMap::new(), body.as_bytes(), 3, 8) {
            prop_assert_eq!(request.rows.len(), data.concat().len());
            prop_assert_eq!(request.rows.len() as i64, shape[0] * shape[1]);
            prop_assert!(request.rows.iter().all(|value| value.is_finite()));
        }
    }
}
