//! Probes, metrics and the model card: everything but predictions.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State as Shared,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};

use crate::{
    metrics::Format,
    state::{Readiness, State},
};

/// Routes of the serving port, next to `/predict`.
pub fn public_routes(state: Arc<State>) -> Router {
    probes().fallback(not_found).with_state(state)
}

/// Routes of the admin port.
pub fn admin_routes(state: Arc<State>) -> Router {
    let admin = probes()
        .route("/metrics", get(metrics))
        .route("/model", get(model));
    admin.fallback(not_found).with_state(state)
}

fn probes() -> Router<Arc<State>> {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/health", get(health))
}

async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}

async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    match state.readiness() {
        Readiness::Ready(card) => Json(json!({
            "ready": true,
            "model": {"version": card.version, "sha256": card.sha256, "algorithm": card.algorithm},
        }))
        .into_response(),
        Readiness::NotReady(error) => {
            let body = json!({"ready": false, "reason": error.reason.as_str(), "message": error.message});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

async fn health(Shared(state): Shared<Arc<State>>) -> Response {
    match state.readiness() {
        Readiness::Ready(card) => {
            Json(json!({"status": "ok", "model_loaded": true, "model_version": card.version})).into_response()
        }
        Readiness::NotReady(error) => {
            let body = json!({
                "status": "unavailable", "model_loaded": false, "reason": error.reason.as_str(), "message": error.message,
            });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
    }
}

async fn model(Shared(state): Shared<Arc<State>>) -> Response {
    let Some(card) = state.card() else {
        return not_found().await;
    };
    let mut body = card.to_json();
    if let Some(rejected) = state.rejected() {
        body["rejected"] = rejected.to_json();
    }
    Json(body).into_response()
}

async fn metrics(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get_all(header::ACCEPT).iter();
    let format = Format::accepted(accept.filter_map(|value| value.to_str().ok()));
    let page = state.metrics().expose(format, state.is_ready());
    let about = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::VARY, "accept"),
    ];
    (about, page)
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"detail": "Not Found"}))).into_response()
}
