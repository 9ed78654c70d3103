use super::*;

#[test]
fn a_content_type_names_the_form() {
    let table = [
        (None, Some(Form::Array)),
        (Some("application/json"), Some(Form::Array)),
        (Some("Application/JSON; charset=utf-8"), Some(Form::Array)),
        (Some("application/x-ndjson"), Some(Form::Lines)),
        (Some("application/jsonl"), Some(Form::Lines)),
        (Some("text/csv"), None),
        (Some(""), None),
    ];
    for (content_type, expected) in table {
        let value = content_type.map(HeaderValue::from_static);
        assert_eq!(form(value.as_ref()), expected, "{content_type:?}");
    }
}

#[test]
fn what_is_not_a_plain_answer_gets_its_index_and_status() {
    let table = [
        (StatusCode::OK, r#"{"a":1}"#, r#"{"a":1}"#),
        (
            StatusCode::CONFLICT,
            r#"{"detail":"x"}"#,
            r#"{"index":3,"status":409,"detail":"x"}"#,
        ),
        (StatusCode::CONFLICT, "{}", r#"{"index":3,"status":409}"#),
    ];
    for (status, result, expected) in table {
        let mut text = String::new();
        place(&mut text, 3, status, result);
        assert_eq!(text, expected);
    }
}
