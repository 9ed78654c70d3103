//! A model that needs no file, and a port that serves it: for the tests of the protocols.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::spawn_local,
    time::timeout,
};

use super::{
    answer,
    body::Unread,
    connection::Body,
    contract::tests::card,
    protocols::{Behind, Protocols},
    request_id::{REQUEST_ID, RequestIds},
    scoring::Scoring,
    server::{Gate, Limits, Listening, Site, accept_over},
    transport::Transport,
};
use crate::{
    decision::{Decision, Thresholds},
    engine::Failure,
    features::{Problem, Schema, parse_row},
    metrics::Metrics,
    state::State,
};

/// Nothing here takes longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Scores a row by its first column; fails on negative ones.
pub struct Fake {
    schema: Schema,
    names: Vec<String>,
    calls: Cell<usize>,
    /// Transactions that have begun and are not done: all of a batch are under way together.
    under_way: Cell<usize>,
    most: Cell<usize>,
}

impl Fake {
    pub fn new() -> Self {
        let schema = Schema::card_payment();
        Self {
            names: schema.inputs().map(|name| name.to_string()).collect(),
            schema,
            calls: Cell::new(0),
            under_way: Cell::new(0),
            most: Cell::new(0),
        }
    }

    /// A row with this score.
    pub fn row(score: f32) -> Vec<f32> {
        let mut row = vec![0.0; 15];
        row[0] = score;
        row
    }

    /// A transaction with this score.
    pub fn transaction(score: f32) -> Value {
        let contract = super::contract::Contract::new(&Schema::card_payment(), None);
        let mut transaction = contract.median_transaction();
        transaction["TX_AMOUNT"] = json!(score);
        transaction
    }

    /// Calls of `score_rows`.
    pub fn calls(&self) -> usize {
        self.calls.get()
    }

    /// Transactions that were under way at the same time.
    pub fn most_together(&self) -> usize {
        self.most.get()
    }
}

impl Scoring for Fake {
    fn width(&self) -> usize {
        self.names.len()
    }

    fn feature_names(&self) -> &[String] {
        &self.names
    }

    fn model_name(&self) -> &str {
        "card-fraud"
    }

    fn model_version(&self) -> &str {
        "2026.11.1"
    }

    fn limit(&self) -> Duration {
        PATIENCE
    }

    async fn score_rows(&self, rows: Vec<f32>, deadline: Instant) -> Vec<Result<f32, Failure>> {
        let late = deadline <= Instant::now();
        self.calls.set(self.calls.get() + 1);
        tokio::task::yield_now().await;
        let firsts = rows.chunks_exact(self.width()).map(|row| row[0]);
        firsts
            .map(|first| {
                if late {
                    Err(Failure::Deadline)
                } else if first < 0.0 {
                    Err(Failure::Engine)
                } else {
                    Ok(first)
                }
            })
            .collect()
    }

    async fn predict_json(&self, body: &[u8], _: Instant) -> (StatusCode, String) {
        self.under_way.set(self.under_way.get() + 1);
        self.most.set(self.most.get().max(self.under_way.get()));
        tokio::task::yield_now().await;
        self.under_way.set(self.under_way.get() - 1);
        let mut row = vec![0.0; self.width()];
        match parse_row(&self.schema, body, &mut row) {
            Ok(_) => {
                let decision = self.decide(row[0]);
                let body = json!({"fraud_probability": row[0], "decision": decision.as_str()});
                (StatusCode::OK, body.to_string())
            }
            Err(rejection) => {
                let problems: Vec<Value> = rejection.problems.iter().map(Problem::to_json).collect();
                let body = json!({"detail": problems});
                (StatusCode::UNPROCESSABLE_ENTITY, body.to_string())
            }
        }
    }

    fn decide(&self, score: f32) -> Decision {
        Thresholds::new(0.1, 0.5).expect("they are right").decide(score)
    }
}

/// Limits that no test meets by accident.
pub const LIMITS: Limits = Limits {
    connections: 64,
    body: 256 * 1024,
    head_timeout: Duration::from_secs(5),
    body_timeout: Duration::from_secs(5),
    idle_timeout: Duration::from_secs(60),
    write_timeout: Duration::from_secs(10),
};

/// A port that serves the fake model, until the test's `LocalSet` ends.
pub struct Port {
    pub address: SocketAddr,
    pub metrics: Arc<Metrics>,
    pub model: Rc<RefCell<Option<Rc<Fake>>>>,
    pub gate: watch::Sender<Gate>,
}

/// Rows of one request.
pub const MAX_BATCH: usize = 8;

/// Starts a port.
pub fn start(transport: Transport, limits: Limits) -> Port {
    let mut listening = Listening::bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).expect("a free port");
    let metrics = Arc::new(Metrics::new(1));
    let state = Arc::new(State::new(Arc::clone(&metrics)));
    state.set_ready(card());
    let gate = watch::Sender::new(Gate::Open);
    let site = Site {
        limits,
        metrics: Arc::clone(&metrics),
        shard: metrics.shard(0),
        gate: gate.subscribe(),
    };
    let model = Rc::new(RefCell::new(Some(Rc::new(Fake::new()))));
    let desk = Rc::new(Desk {
        protocols: Protocols::new(MAX_BATCH, limits.body_timeout),
        ids: RequestIds::new(7),
        schema: Schema::card_payment(),
        model: Rc::clone(&model),
        metrics: Arc::clone(&metrics),
        state,
    });
    let handler = move |_, request| {
        let desk = Rc::clone(&desk);
        async move { desk.answer(request).await }
    };
    let socket = listening.sockets.remove(0);
    spawn_local(accept_over(transport, socket, site, handler));
    Port {
        address: listening.address,
        metrics,
        model,
        gate,
    }
}

struct Desk {
    protocols: Protocols,
    ids: RequestIds,
    schema: Schema,
    model: Rc<RefCell<Option<Rc<Fake>>>>,
    metrics: Arc<Metrics>,
    state: Arc<State>,
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let id = self.ids.of(request.headers());
        let model = self.model.borrow().clone();
        let behind = Behind {
            scoring: model.as_deref(),
            state: &self.state,
            schema: &self.schema,
            shard: &self.metrics.shard(0),
        };
        let mut answer = match request.uri().path() {
            "/panic" => panic!("asked for"),
            "/slow" => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                answer::json(StatusCode::OK, "{}")
            }
            _ => {
                let (head, body) = request.into_parts();
                let mut body = Unread::new(body);
                self.protocols.answer(&behind, &head, &mut body).await
            }
        };
        answer.headers_mut().insert(REQUEST_ID, id);
        answer.map(Either::Left)
    }
}

/// What came back.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A client of one port.
pub struct Caller {
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

impl Port {
    /// A client that keeps its connections, with HTTP/1.1 or with HTTP/2 from its first byte.
    pub fn caller(&self, version: Version) -> Caller {
        let http2 = version == Version::HTTP_2;
        Caller {
            client: Client::builder(TokioExecutor::new())
                .http2_only(http2)
                .build_http(),
            address: self.address,
        }
    }

    /// Sends bytes on a connection of their own; answers what comes back until the server closes.
    pub async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.expect("the port accepts");
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("the server closes");
        answer
    }
}

impl Caller {
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Got {
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(body.into()))
            .expect("the request is right");
        let answer = timeout(PATIENCE, self.client.request(request)).await;
        let answer = answer.expect("in time").expect("an answer");
        let (head, body) = answer.into_parts();
        let body = timeout(PATIENCE, body.collect())
            .await
            .expect("in time")
            .expect("a body");
        Got {
            status: head.status,
            version: head.version,
            headers: head.headers,
            body: body.to_bytes(),
        }
    }

    pub async fn get(&self, path: &str) -> Got {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Got {
        let json = [("content-type", "application/json")];
        self.send(Method::POST, path, &json, body).await
    }
}

/// Runs a test where `spawn_local` works.
pub fn on_one_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(tokio::task::LocalSet::new().run_until(test));
}
