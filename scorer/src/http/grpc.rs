//! Open Inference Protocol v2 over gRPC, with reflection and the health service, on a port and a thread of its own.
//!
//! The accept loop is the one of the serving port, so connections have the same limits and deadlines. Rows reach the scoring
//! threads through [`Bridge`], which is bounded.

mod bridge;
mod convert;
mod deadline;
#[allow(missing_docs, clippy::all, reason = "generated")]
#[rustfmt::skip]
mod inference;
mod service;

use std::{io, rc::Rc, sync::Arc, time::Duration};

use axum::Router;
use http::{Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use tokio::{
    task::LocalSet,
    time::{sleep, timeout},
};
use tonic::{Status, service::Routes};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::ServiceExt;

pub use bridge::{Bridge, Facts, Jobs, bridge};

use super::{
    connection::Body,
    entrance,
    peer::Peer,
    request_id::{REQUEST_ID, RequestIds},
    server::{Site, accept_over},
    transport::{Transport, Versions},
};
use crate::{
    access::{Access, Denied},
    state::State,
    telemetry::seed,
};
use inference::grpc_inference_service_server::GrpcInferenceServiceServer;

/// The protocol's descriptors, for reflection.
pub(super) const DESCRIPTORS: &[u8] = include_bytes!("../../proto/open_inference_grpc.binpb");

/// The protocol's service, as health checks name it.
const SERVICE: &str = "inference.GRPCInferenceService";

/// Bytes of one message in either direction: 512 rows of 128 FP64 columns.
const MAX_MESSAGE: usize = 512 * 1024;

/// How often the health service looks at the readiness.
const HEALTH_INTERVAL: Duration = Duration::from_millis(250);

/// Jobs that may wait or be scored at a time, for all scoring threads together; one more is answered RESOURCE_EXHAUSTED.
pub const DEFAULT_ROOM: usize = 64;

/// What the gRPC port is made of.
#[derive(Clone)]
pub struct Grpc {
    /// Where scores come from.
    pub bridge: Bridge,
    /// Whether the process is ready.
    pub state: Arc<State>,
    /// Rows of one request.
    pub max_batch: usize,
    /// For a request from its head to its answer; a shorter `grpc-timeout` of the client counts.
    pub timeout: Duration,
    /// Who may have rows scored; everybody when absent.
    pub access: Option<Arc<Access>>,
}

impl Grpc {
    /// Serves on the calling thread until the gate is closed and every connection is done. HTTP/2 only.
    pub fn run(self, transport: Transport, listener: std::net::TcpListener, site: Site) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let transport = Transport {
            versions: Versions::Http2,
            ..transport
        };
        runtime.block_on(LocalSet::new().run_until(self.serve(transport, listener, site)))
    }

    async fn serve(
        self,
        transport: Transport,
        listener: std::net::TcpListener,
        site: Site,
    ) -> io::Result<()> {
        let (state, health) = (Arc::clone(&self.state), HealthReporter::new());
        let desk = Rc::new(Desk {
            limit: self.timeout,
            body_timeout: site.limits.body_timeout,
            access: self.access.clone(),
            ids: RequestIds::new(seed(usize::from(u8::MAX))),
            routes: self.routes(&health).map_err(io::Error::other)?,
        });
        let handler = move |peer: Peer, request: Request<Incoming>| {
            let desk = Rc::clone(&desk);
            async move { desk.answer(&peer, request).await }
        };
        tokio::select! {
            outcome = accept_over(transport, listener, site, handler) => outcome,
            never = watch_readiness(health, state) => match never {},
        }
    }

    fn routes(self, health: &HealthReporter) -> Result<Router, tonic_reflection::server::Error> {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let service = service::Inference::new(self.bridge, self.state, self.max_batch);
        let inference = GrpcInferenceServiceServer::new(service)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let health = tonic_health::server::HealthService::from_health_reporter(health.clone());
        let health = tonic_health::pb::health_server::HealthServer::new(health);
        let routes = Routes::new(inference)
            .add_service(health)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?);
        Ok(routes.prepare().into_axum_router())
    }
}

/// Answers the requests of the port.
struct Desk {
    routes: Router,
    ids: RequestIds,
    access: Option<Arc<Access>>,
    limit: Duration,
    body_timeout: Duration,
}

impl Desk {
    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        let id = self.ids.of(request.headers());
        let mut answer = match self.denied(peer, &request) {
            None => self.routed(request).await,
            Some(denied) => {
                let (head, body) = request.into_parts();
                peer.answer_unread(&head, body, entrance::grpc_refusal(denied), self.body_timeout)
            }
        };
        answer.headers_mut().insert(REQUEST_ID, id);
        answer
    }

    fn denied(&self, peer: &Peer, request: &Request<Incoming>) -> Option<Denied> {
        entrance::refuses_grpc(self.access.as_deref()?, request, peer)
    }

    async fn routed(&self, request: Request<Incoming>) -> Response<Body> {
        let given = deadline::of(request.headers());
        let within = given.map_or(self.limit, |given| given.min(self.limit));
        match timeout(within, self.routes.clone().oneshot(request)).await {
            Ok(Ok(answer)) => answer.map(Either::Right),
            Err(_) => {
                let status = Status::deadline_exceeded("the time for this request is over");
                status.into_http::<axum::body::Body>().map(Either::Right)
            }
        }
    }
}

async fn watch_readiness(health: HealthReporter, state: Arc<State>) -> std::convert::Infallible {
    loop {
        let status = if state.is_ready() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for service in ["", SERVICE] {
            health.set_service_status(service, status).await;
        }
        sleep(HEALTH_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests;
