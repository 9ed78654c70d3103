//! One serving thread: a runtime, a listener, an engine and a queue of its own.

use std::{cell::RefCell, io, rc::Rc, sync::Arc, time::Instant};

use axum::Router;
use http::{HeaderValue, Request, Response, request::Parts};
use http_body_util::Either;
use hyper::body::Incoming;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{LocalSet, spawn_local},
};
use tower::ServiceExt;

use super::{
    body::Unread,
    entrance,
    feedback::feedback,
    grpc::Jobs,
    health::public_routes,
    peer::Peer,
    predict::{self, predict},
    protocols::{Behind, Protocols},
    request_id::{REQUEST_ID, RequestIds},
    server::{Body, Gate, Limits, Site, accept_over},
    transport::Transport,
};
use crate::{
    access::{Access, Demands, Denied},
    features::Schema,
    feedback::Ledger,
    metrics::Shard,
    pipeline::Pipeline,
    state::State,
    telemetry::Tracing,
};

/// Makes a pipeline, on the thread that it is for; it takes over what outlives a model from the one before.
pub type MakePipeline = Box<dyn FnOnce(Option<&Pipeline>) -> Pipeline + Send>;

/// A verified model on its way to a thread.
pub struct Install {
    /// Makes the pipeline.
    pub pipeline: MakePipeline,
    /// Told when the thread serves it.
    pub done: oneshot::Sender<()>,
}

/// What a serving thread is made of.
pub struct Worker {
    index: usize,
    limits: Limits,
    state: Arc<State>,
    metrics: Arc<crate::metrics::Metrics>,
    shard: Arc<Shard>,
    tracing: Tracing,
    ids: RequestIds,
    access: Option<Arc<Access>>,
    router: Router,
    ledger: Arc<Ledger>,
    protocols: Protocols,
    /// What is told of requests while there is no model.
    usual: Schema,
    pipeline: RefCell<Option<Rc<Pipeline>>>,
}

impl Worker {
    /// A worker without a model: it answers 503 until one is installed.
    pub fn new(
        index: usize,
        limits: Limits,
        state: Arc<State>,
        metrics: Arc<crate::metrics::Metrics>,
        ledger: Arc<Ledger>,
        tracing: Tracing,
        max_batch: usize,
    ) -> Self {
        Self {
            index,
            limits,
            router: public_routes(Arc::clone(&state)),
            state,
            shard: metrics.shard(index),
            metrics,
            tracing,
            ids: RequestIds::new(crate::telemetry::seed(index)),
            access: None,
            ledger,
            protocols: Protocols::new(max_batch, limits.body_timeout),
            usual: Schema::card_payment(),
            pipeline: RefCell::default(),
        }
    }

    /// The same, for clients who may call; without this everybody may.
    pub fn guarded(self, access: Option<Arc<Access>>) -> Self {
        let demands = access
            .as_ref()
            .map_or_else(Demands::default, |access| access.demands());
        Self {
            protocols: self.protocols.demanding(demands),
            access,
            ..self
        }
    }

    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        self.shard.request();
        let id = self.ids.of(request.headers());
        let denied = self.denied(peer, &request);
        let (head, body) = request.into_parts();
        let mut body = Unread::new(body);
        let mut answer = match denied {
            Some(denied) => entrance::refusal(head.uri.path(), denied),
            None if head.uri.path() == "/predict" => self.traced(&head, &mut body, &id).await,
            // Elsewhere, because a request's future is moved about, and every request's has room for all that is in here.
            None => Box::pin(self.routed(&head, &mut body)).await,
        };
        if let Some(rest) = body.rest() {
            answer = peer.answer_unread(&head, rest, answer, self.limits.body_timeout);
        }
        answer.headers_mut().insert(REQUEST_ID, id);
        answer
    }

    fn denied(&self, peer: &Peer, request: &Request<Incoming>) -> Option<Denied> {
        entrance::refuses(self.access.as_deref()?, request, peer)
    }

    async fn traced(&self, head: &Parts, body: &mut Unread, id: &HeaderValue) -> Response<Body> {
        let span = self.tracing.begin(&head.headers).map(Box::new); // one in many has one
        let trace = span.as_ref().map(|span| span.trace_id());
        let pipeline = self.pipeline.borrow().clone();
        let (answer, decision) = predict(&self.site(pipeline.as_deref()), head, body, id, trace).await;
        if let Some(span) = span {
            span.end(answer.status().as_u16(), decision.map(|d| d.as_str()), id);
        }
        answer.map(Either::Left)
    }

    async fn routed(&self, head: &Parts, body: &mut Unread) -> Response<Body> {
        match head.uri.path() {
            "/feedback" => self.labelled(head, body).await,
            path if Protocols::handles(path) => self.other(head, body).await,
            _ => {
                // None of these routes wants a body.
                let request = Request::from_parts(head.clone(), axum::body::Body::empty());
                let Ok(answer) = self.router.clone().oneshot(request).await;
                answer.map(Either::Right)
            }
        }
    }

    async fn other(&self, head: &Parts, body: &mut Unread) -> Response<Body> {
        let pipeline = self.pipeline.borrow().clone();
        let behind = Behind {
            scoring: pipeline.as_deref(),
            schema: pipeline
                .as_ref()
                .map_or(&self.usual, |pipeline| &*pipeline.policy.schema),
            state: &self.state,
            shard: &self.shard,
        };
        self.protocols.answer(&behind, head, body).await.map(Either::Left)
    }

    async fn labelled(&self, head: &Parts, body: &mut Unread) -> Response<Body> {
        let pipeline = self.pipeline.borrow().clone();
        let answer = feedback(&self.site(pipeline.as_deref()), &self.ledger, head, body).await;
        answer.map(Either::Left)
    }

    fn site<'a>(&'a self, pipeline: Option<&'a Pipeline>) -> predict::Site<'a> {
        predict::Site {
            pipeline,
            shard: &self.shard,
            limits: &self.limits,
            state: &self.state,
        }
    }
}

/// What connects a worker with the rest of the process.
pub struct Wiring {
    /// Its socket.
    pub listener: std::net::TcpListener,
    /// What the socket speaks.
    pub transport: Transport,
    /// Progress of the shutdown.
    pub gate: watch::Receiver<Gate>,
    /// The model, when it is verified, and those that take its place.
    pub installs: mpsc::UnboundedReceiver<Install>,
    /// Rows that came over gRPC.
    pub jobs: Option<Jobs>,
}

/// Runs a worker on the calling thread until the gate is closed and its connections are done.
pub fn run(worker: impl FnOnce() -> Worker, wiring: Wiring) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let worker = Rc::new(worker());
    let site = Site {
        limits: worker.limits,
        metrics: Arc::clone(&worker.metrics),
        shard: Arc::clone(&worker.shard),
        gate: wiring.gate,
    };
    let serve = async {
        spawn_local(put_into_service(Rc::clone(&worker), wiring.installs));
        if let Some(jobs) = wiring.jobs {
            let scoring = Rc::clone(&worker);
            spawn_local(jobs.run(move || scoring.pipeline.borrow().clone()));
        }
        let answering = Rc::clone(&worker);
        let handler = move |peer, request| {
            let worker = Rc::clone(&answering);
            async move { worker.answer(&peer, request).await }
        };
        let ended = accept_over(wiring.transport, wiring.listener, site, handler).await;
        worker.pipeline.take();
        ended
    };
    runtime.block_on(LocalSet::new().run_until(serve))
}

/// Requests under way keep the pipeline that they began with; it goes with the last of them.
async fn put_into_service(worker: Rc<Worker>, mut installs: mpsc::UnboundedReceiver<Install>) {
    while let Some(Install { pipeline, done }) = installs.recv().await {
        let start = Instant::now();
        let before = worker.pipeline.borrow().clone();
        let next = Rc::new(pipeline(before.as_deref()));
        worker.pipeline.replace(Some(next));
        tracing::debug!(worker = worker.index, took = ?start.elapsed(), "model in service");
        let _ = done.send(());
    }
}
