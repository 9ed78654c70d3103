//! Pieces of the OpenAPI document.

use serde_json::{Value, json};

use crate::{access::Demands, decision::Decision, http::oip::tensor};

/// `$ref` to a schema of the document.
pub fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// An answer with a JSON body.
pub fn answer(description: &str, schema: &str) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": reference(schema)}}})
}

/// 503 of the routes that need a model.
pub fn not_ready() -> Value {
    let mut answer = answer("No verified model, shutting down, or too busy", "Unavailable");
    answer["headers"] = json!({"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}});
    answer
}

/// A required JSON body.
pub fn json_body(schema: Value) -> Value {
    json!({"required": true, "content": {"application/json": {"schema": schema}}})
}

/// One operation.
pub fn operation(summary: &str, parameters: Value, answers: Value) -> Value {
    json!({"summary": summary, "parameters": parameters, "responses": answers})
}

/// An operation that scores: what is asked of its clients, and how they are refused.
pub fn guarded(mut operation: Value, error: &str, demands: Demands) -> Value {
    let answers = &mut operation["responses"];
    if demands.tokens {
        answers["401"] = answer("No token, or one that nobody has", error);
        let challenge = json!({"schema": {"type": "string"}, "description": "The scheme: Bearer."});
        answers["401"]["headers"] = json!({"WWW-Authenticate": challenge});
        let lacking = answer("The token lacks the scope predict", error);
        answers["403"] = match answers.get("403") {
            Some(other) => either(other, &lacking),
            None => lacking,
        };
    }
    if demands.rate {
        answers["429"] = answer("More requests than this client may send", error);
        let wait = json!({"schema": {"type": "integer"}, "description": "Seconds."});
        answers["429"]["headers"] = json!({"Retry-After": wait});
    }
    if demands.tokens {
        operation["security"] = json!([{"token": ["predict"]}]);
    }
    operation
}

/// One of two answers with the same status.
fn either(one: &Value, other: &Value) -> Value {
    let description = |answer: &Value| answer["description"].as_str().unwrap_or_default().to_owned();
    let schema = |answer: &Value| answer["content"]["application/json"]["schema"].clone();
    let schemas = json!({"anyOf": [schema(one), schema(other)]});
    json!({
        "description": format!("{}; or: {}", description(one), description(other)),
        "content": {"application/json": {"schema": schemas}},
    })
}

/// How clients say who they are.
pub fn security_schemes() -> Value {
    let description = "A token with the scope that the operation names.";
    json!({"token": {"type": "http", "scheme": "bearer", "description": description}})
}

/// A parameter of the path with the only value that is served.
pub fn path_parameter(name: &str, served: &str) -> Value {
    let schema = json!({"type": "string", "minLength": 1});
    json!({"name": name, "in": "path", "required": true, "schema": schema, "example": served})
}

/// The schemas that do not depend on the model, except for the number of its columns.
pub fn schemas(width: usize) -> Value {
    let detail = json!({"type": "string"});
    let decisions: Vec<&str> = Decision::ALL.iter().map(|decision| decision.as_str()).collect();
    let number_or_null = json!({"type": ["number", "null"], "minimum": 0, "maximum": 1});
    let parameters = json!({"type": ["object", "null"]});
    json!({
        "Anything": {"type": "object"},
        "Detail": {"type": "object", "properties": {"detail": detail.clone()}, "required": ["detail"]},
        "Unavailable": {
            "type": "object",
            "properties": {"detail": detail, "reason": {"type": "string"}},
            "required": ["detail"],
        },
        "Problems": {
            "type": "object",
            "properties": {"detail": {"type": "array", "items": reference("Problem"), "minItems": 1}},
            "required": ["detail"],
        },
        "Problem": {
            "type": "object",
            "properties": {
                "type": {"type": "string"},
                "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                "msg": {"type": "string"},
                "input": {},
            },
            "required": ["type", "loc", "msg"],
        },
        "Prediction": {
            "type": "object",
            "properties": {
                "is_fraud": {"type": "boolean", "description": "True exactly for the decision block."},
                "fraud_probability": number_or_null,
                "decision": {"enum": decisions},
                "model_version": {"type": "string"},
            },
            "required": ["is_fraud", "decision", "model_version"],
        },
        "BatchResult": {"anyOf": [reference("Prediction"), reference("BatchError")]},
        "BatchError": {
            "type": "object",
            "properties": {
                "index": {"type": "integer", "minimum": 0},
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": {},
            },
            "required": ["index", "status"],
        },
        "OipError": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]},
        "OipModel": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "versions": {"type": "array", "items": {"type": "string"}},
                "platform": {"type": "string"},
                "inputs": {"type": "array", "items": {"type": "object"}},
                "outputs": {"type": "array", "items": {"type": "object"}},
            },
            "required": ["name", "versions", "platform", "inputs", "outputs"],
        },
        "OipRequest": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "maxLength": 64},
                "parameters": parameters,
                "inputs": {"type": "array", "minItems": 1, "maxItems": 1, "items": {
                    "type": "object",
                    "properties": {
                        "name": {"const": tensor::INPUT},
                        "shape": {
                            "type": "array",
                            "prefixItems": [{"type": "integer", "minimum": 1}, {"const": width}],
                            "minItems": 2, "maxItems": 2,
                        },
                        "datatype": {"enum": ["FP32", "FP64", "INT64"]},
                        "data": {"type": "array", "description": "Row after row; may be nested by row."},
                    },
                    "required": ["name", "shape", "datatype", "data"],
                }},
                "outputs": {"type": "array", "uniqueItems": true, "items": {
                    "type": "object",
                    "properties": {"name": {"enum": [tensor::SCORE, tensor::DECISION]}},
                    "required": ["name"],
                    "additionalProperties": false,
                }},
            },
            "required": ["inputs"],
            "example": {
                "id": "1",
                "inputs": [{
                    "name": tensor::INPUT, "shape": [1, width], "datatype": "FP32", "data": vec![0; width],
                }],
            },
        },
        "OipAnswer": {
            "type": "object",
            "properties": {
                "model_name": {"type": "string"},
                "model_version": {"type": "string"},
                "id": {"type": "string"},
                "outputs": {"type": "array", "minItems": 1, "maxItems": 2, "items": {
                    "type": "object",
                    "properties": {
                        "name": {"enum": [tensor::SCORE, tensor::DECISION]},
                        "datatype": {"enum": ["FP32", "BYTES"]},
                        "shape": {"type": "array", "items": {"type": "integer"}},
                        "data": {"type": "array"},
                    },
                    "required": ["name", "datatype", "shape"],
                }},
            },
            "required": ["model_name", "model_version", "outputs"],
        },
    })
}
