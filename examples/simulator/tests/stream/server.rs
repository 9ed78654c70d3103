//! Something on the loopback interface that answers like a scorer, or as badly as a test needs.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::post,
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// How a server behaves.
#[derive(Clone, Default)]
pub struct Behaviour {
    /// So many requests get 503 first.
    pub refuse_first: usize,
    /// Each answer takes so long.
    pub delay: Duration,
    /// The first answer takes so long more.
    pub first_delay: Duration,
    /// Connections are closed after each answer.
    pub is_closing: bool,
    /// A certificate.
    pub tls: Option<TlsAcceptor>,
}

/// What a server was asked.
#[derive(Default)]
pub struct Seen {
    /// Bodies of `/predict` and `infer`.
    pub predictions: Vec<Value>,
    /// Lines of `/feedback`.
    pub labels: Vec<Value>,
    /// Connections.
    pub connections: usize,
    /// Authorization of the newest request.
    pub authorization: Option<String>,
    asked: usize,
}

/// A server that lives as long as the test.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    behaviour: Behaviour,
}

impl Server {
    /// Serves on a port of its own.
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let server = Self {
            address: listener.local_addr().expect("an address"),
            seen: Arc::default(),
            behaviour,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let serving = server.clone();
        thread::spawn(move || runtime.expect("a runtime").block_on(serving.serve(listener)));
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self, listener: std::net::TcpListener) {
        let listener = TcpListener::from_std(listener).expect("a listener");
        let router = Router::new()
            .route("/predict", post(predict))
            .route("/v2/models/m/infer", post(infer))
            .route("/feedback", post(feedback))
            .with_state(self.clone());
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            self.seen().connections += 1;
            let service = TowerToHyperService::new(router.clone());
            let tls = self.behaviour.tls.clone();
            let keep_alive = !self.behaviour.is_closing;
            tokio::spawn(async move {
                let mut http = hyper::server::conn::http1::Builder::new();
                http.keep_alive(keep_alive);
                match tls {
                    None => http.serve_connection(TokioIo::new(stream), service).await.ok(),
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => http.serve_connection(TokioIo::new(stream), service).await.ok(),
                        Err(_) => None,
                    },
                }
            });
        }
    }

    async fn admit(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let Behaviour {
            refuse_first,
            delay,
            first_delay,
            ..
        } = self.behaviour;
        let number = {
            let mut seen = self.seen();
            seen.asked += 1;
            let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            seen.authorization = value.map(str::to_owned);
            seen.asked
        };
        let first = if number == 1 { first_delay } else { Duration::ZERO };
        tokio::time::sleep(delay + first).await;
        if number <= refuse_first {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        Ok(())
    }
}

/// Blocks amounts above 220 and reviews those above 100; the receipt is the transaction's id.
async fn predict(
    State(server): State<Server>,
    headers: HeaderMap,
    body: String,
) -> Result<String, StatusCode> {
    server.admit(&headers).await?;
    let body: Value = serde_json::from_str(&body).map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)?;
    let decision = match body["TX_AMOUNT"].as_f64() {
        Some(amount) if amount > 220.0 => "block",
        Some(amount) if amount > 100.0 => "review",
        _ => "approve",
    };
    let answer = json!({"decision": decision, "receipt": body["TRANSACTION_ID"].to_string()});
    server.seen().predictions.push(body);
    Ok(answer.to_string())
}

async fn infer(State(server): State<Server>, headers: HeaderMap, body: String) -> Result<String, StatusCode> {
    server.admit(&headers).await?;
    let body = serde_json::from_str(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    server.seen().predictions.push(body);
    Ok(
        json!({"outputs": [{"name": "decision", "datatype": "BYTES", "shape": [1], "data": ["review"]}]})
            .to_string(),
    )
}

async fn feedback(State(server): State<Server>, body: String) -> String {
    let labels: Vec<Value> = body
        .lines()
        .map(|line| serde_json::from_str(line).expect("a label"))
        .collect();
    let count = labels.len();
    server.seen().labels.extend(labels);
    json!({"counted": count, "duplicate": 0, "corrected": 0, "refused": 0, "errors": []}).to_string()
}
