//! The OpenAPI 3.1 document, made from the model in service.

mod parts;

use serde_json::{Map, Value, json};

use super::{contract::Contract, protocols::MAX_BODY_BYTES};
use crate::access::Demands;
use parts::{answer, json_body, not_ready, operation, reference};

/// The document. Without a model the schema of the request is there, and the model's name is not.
pub fn document(contract: &Contract, demands: Demands) -> Value {
    let (name, version) = match &contract.model {
        Some((name, version)) => (name.as_str(), version.as_str()),
        None => ("no model is ready", "none"),
    };
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("fraudops scorer: {name}"),
            "version": version,
            "description": "Scores card payments. Answers carry X-Request-ID; a harmless one that is sent comes back. X-Deadline-Ms shortens the deadline of a score.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths(name, version, demands),
        "components": {"schemas": schemas(contract)},
    });
    if demands.tokens {
        document["components"]["securitySchemes"] = parts::security_schemes();
    }
    document
}

fn paths(name: &str, version: &str, demands: Demands) -> Value {
    let mut paths = Map::new();
    let mut put = |path: &str, method: &str, operation: Value| {
        paths.insert(path.to_owned(), json!({method: operation}));
    };
    for (path, operation, error) in [
        ("/predict", predict(), "Detail"),
        ("/predict/batch", batch(), "Detail"),
        ("/v2/models/{model}/infer", infer(name), "OipError"),
    ] {
        put(path, "post", parts::guarded(operation, error, demands));
    }
    let model = parts::path_parameter("model", name);
    let versions = parts::path_parameter("version", version);
    for (path, summary, answers) in [
        (
            "/v2/models/{model}",
            "Inputs and outputs of the model",
            "OipModel",
        ),
        (
            "/v2/models/{model}/ready",
            "Whether the model is ready",
            "Anything",
        ),
    ] {
        let answers = json!({"200": answer(summary, answers), "404": answer("Another model", "OipError"), "503": answer("Not ready", "Anything")});
        put(path, "get", operation(summary, json!([model.clone()]), answers));
    }
    let answers = json!({"200": answer("Inputs and outputs", "OipModel"), "404": answer("Another model or version", "OipError"), "503": not_ready()});
    let summary = "Inputs and outputs of the model in one version";
    put(
        "/v2/models/{model}/versions/{version}",
        "get",
        operation(summary, json!([model, versions]), answers),
    );
    for (path, summary) in [
        ("/v2", "The server, as the Open Inference Protocol describes it"),
        ("/v2/health/live", "Whether the process can answer"),
        ("/v2/health/ready", "Whether a model is ready"),
        ("/health", "Readiness in the reference system's words"),
        ("/livez", "Whether the process can answer"),
        ("/readyz", "Whether a verified and warm model serves"),
        ("/openapi.json", "This document"),
    ] {
        let answers = json!({"200": answer(summary, "Anything"), "503": answer("Not ready", "Anything")});
        put(path, "get", operation(summary, json!([]), answers));
    }
    Value::Object(paths)
}

fn predict() -> Value {
    let answers = json!({
        "200": answer("The decision", "Prediction"),
        "400": answer("The client broke off its body", "Detail"),
        "403": answer("Blocked, where the policy answers blocks with 403", "Prediction"),
        "408": answer("The body did not arrive in time", "Detail"),
        "409": answer("The same TRANSACTION_ID came with another payload", "Detail"),
        "413": answer("The body is too large", "Detail"),
        "415": answer("The body is compressed", "Detail"),
        "422": answer("Fields are missing, wrong or there twice", "Problems"),
        "503": not_ready(),
    });
    let mut predict = operation("Score one transaction", json!([]), answers);
    predict["requestBody"] = json_body(reference("Transaction"));
    predict
}

fn batch() -> Value {
    let results = json!({"type": "array", "items": reference("BatchResult")});
    let mut ok = json!({"description": "Results in the order of the request, wrong ones by index", "content": {"application/json": {"schema": results}}});
    ok["content"]["application/x-ndjson"] = json!({"schema": {"type": "string"}});
    let answers = json!({
        "200": ok,
        "400": answer("The client broke off its body", "Detail"),
        "408": answer("The body did not arrive in time", "Detail"),
        "413": answer(&format!("The body has more than {MAX_BODY_BYTES} bytes"), "Detail"),
        "415": answer("Another content type, or a compressed body", "Detail"),
        "422": answer("Not an array, or too many transactions", "Problems"),
        "503": not_ready(),
    });
    let mut batch = operation("Score many transactions", json!([]), answers);
    batch["requestBody"] = json_body(json!({"type": "array", "items": reference("Transaction")}));
    batch["requestBody"]["content"]["application/x-ndjson"] =
        json!({"schema": {"type": "string", "description": "One transaction on each line."}});
    batch
}

fn infer(name: &str) -> Value {
    let answers = json!({
        "200": answer("Probabilities and decisions", "OipAnswer"),
        "400": answer("The tensor cannot be scored; the error names the field", "OipError"),
        "404": answer("Another model", "OipError"),
        "408": answer("The body did not arrive in time", "OipError"),
        "413": answer("The body is too large", "OipError"),
        "415": answer("The body is compressed", "OipError"),
        "500": answer("The model failed on a row", "OipError"),
        "503": answer("Not ready, or too busy", "OipError"),
        "504": answer("Not scored within the deadline", "OipError"),
    });
    let summary = "Score rows of features (Open Inference Protocol v2): no rules, no receipts";
    let mut infer = operation(summary, json!([parts::path_parameter("model", name)]), answers);
    infer["requestBody"] = json_body(reference("OipRequest"));
    infer
}

fn schemas(contract: &Contract) -> Value {
    let properties: Map<String, Value> = contract
        .fields
        .iter()
        .map(|field| (field.name.clone(), field.json_schema()))
        .collect();
    let required: Vec<&str> = contract.fields.iter().map(|field| field.name.as_str()).collect();
    let width = contract
        .fields
        .iter()
        .filter(|field| field.column.is_some())
        .count();
    let mut schemas = parts::schemas(width);
    schemas["Transaction"] = json!({
        "type": "object",
        "description": "Unknown fields are ignored; a field must not occur twice.",
        "properties": properties,
        "required": required,
        "example": contract.median_transaction(),
    });
    schemas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{features::Schema, http::contract::tests::card};

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match value.as_str().filter(|_| key == "$ref") {
                        Some(target) => found.push(target.to_owned()),
                        None => references(value, found),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    fn document(tokens: bool, rate: bool) -> Value {
        let contract = Contract::new(&Schema::card_payment(), Some(&card()));
        super::document(&contract, Demands { tokens, rate })
    }

    #[test]
    fn what_is_asked_of_clients_is_said_where_it_is_asked() {
        let guarded = ["/predict", "/predict/batch", "/v2/models/{model}/infer"];
        for (tokens, rate) in [(false, false), (false, true), (true, false), (true, true)] {
            let document = document(tokens, rate);
            let scheme = document.pointer("/components/securitySchemes/token/scheme");
            assert_eq!(scheme, tokens.then_some(&json!("bearer")));
            for (path, methods) in document["paths"].as_object().unwrap() {
                let operation = methods.get("post").or(methods.get("get")).unwrap();
                let is_guarded = guarded.contains(&path.as_str());
                let security = (tokens && is_guarded).then(|| json!([{"token": ["predict"]}]));
                assert_eq!(operation.get("security"), security.as_ref(), "{path}");
                let answers = &operation["responses"];
                assert_eq!(answers.get("401").is_some(), tokens && is_guarded, "{path}");
                assert_eq!(answers.get("429").is_some(), rate && is_guarded, "{path}");
            }
        }
        let predict = &document(true, true)["paths"]["/predict"]["post"]["responses"];
        let schemas = &predict["403"]["content"]["application/json"]["schema"]["anyOf"];
        assert_eq!(
            schemas,
            &json!([reference("Prediction"), reference("Detail")]),
            "a block, or a refusal"
        );
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(true, true);
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20);
        for target in found {
            let pointer = target.strip_prefix('#').expect("references are local");
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn the_request_is_the_models() {
        let document = document(false, false);
        let transaction = &document["components"]["schemas"]["Transaction"];
        assert_eq!(transaction["required"].as_array().map(Vec::len), Some(21));
        assert_eq!(transaction["example"]["TX_AMOUNT"], 44.5);
        assert_eq!(document["info"]["version"], "2026.11.1");
    }
}
