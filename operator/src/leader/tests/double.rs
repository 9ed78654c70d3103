//! A double of the API server that knows one Lease, with the weather on each client's way to it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::client::Body;
use rand::Rng;
use serde_json::json;

/// What happens to a request on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Weather {
    #[default]
    Fair,
    /// Nothing arrives and nothing comes back.
    BlackHole,
    /// The answer is an error and nothing was done.
    Refused,
    /// It was done, but the answer never comes.
    AnswerLost,
    /// Everything works, half a second late each way.
    Slow,
}

impl Weather {
    pub(super) fn roll(dice: &mut impl Rng) -> Self {
        match dice.random_range(0..6) {
            0 => Self::BlackHole,
            1 => Self::Refused,
            2 => Self::AnswerLost,
            3 => Self::Slow,
            _ => Self::Fair,
        }
    }
}

/// One client's way to the server.
#[derive(Clone, Debug, Default)]
pub(super) struct Link(Arc<Mutex<Weather>>);

impl Link {
    pub(super) fn set(&self, weather: Weather) {
        *self.0.lock().unwrap() = weather;
    }

    fn weather(&self) -> Weather {
        *self.0.lock().unwrap()
    }
}

/// The stored Lease; its resourceVersion is the number of writes.
#[derive(Clone, Debug, Default)]
pub(super) struct LeaseServer(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    lease: Option<Lease>,
    writes: u64,
}

impl LeaseServer {
    pub(super) fn client(&self, link: &Link) -> Client {
        let (server, link) = (self.clone(), link.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, link) = (server.clone(), link.clone());
            async move { Ok::<_, Infallible>(server.travel(link, request).await) }
        });
        Client::new(service, "default")
    }

    pub(super) fn holder(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap()
            .lease
            .as_ref()?
            .spec
            .as_ref()?
            .holder_identity
            .clone()
    }

    /// Writes another holder into the Lease, whoever holds it.
    pub(super) fn seize(&self, holder: &str) {
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": 600});
        let lease = json!({"metadata": {"name": "fraudops-operator"}, "spec": spec});
        self.0
            .lock()
            .unwrap()
            .store(serde_json::from_value(lease).unwrap());
    }

    async fn travel(&self, link: Link, request: Request<Body>) -> Response<Body> {
        match link.weather() {
            Weather::Fair => self.serve(request).await,
            Weather::BlackHole => std::future::pending().await,
            Weather::Refused => refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            Weather::AnswerLost => {
                self.serve(request).await;
                std::future::pending().await
            }
            Weather::Slow => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let answer = self.serve(request).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
                answer
            }
        }
    }

    async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let method = request.method().clone();
        let body = request.into_body().collect_bytes().await.unwrap();
        let mut stored = self.0.lock().unwrap();
        match (method, stored.lease.clone()) {
            (Method::GET, Some(lease)) => answer(&lease),
            (Method::GET | Method::PUT, None) => refusal(StatusCode::NOT_FOUND, "NotFound"),
            (Method::POST, None) => answer(&stored.store(serde_json::from_slice(&body).unwrap())),
            (Method::POST, Some(_)) => refusal(StatusCode::CONFLICT, "AlreadyExists"),
            (Method::PUT, Some(old)) => {
                let new: Lease = serde_json::from_slice(&body).unwrap();
                if new.metadata.resource_version != old.metadata.resource_version {
                    return refusal(StatusCode::CONFLICT, "Conflict");
                }
                answer(&stored.store(new))
            }
            (method, _) => panic!("the election must not send {method}"),
        }
    }
}

impl Stored {
    fn store(&mut self, mut lease: Lease) -> Lease {
        self.writes += 1;
        lease.metadata.resource_version = Some(self.writes.to_string());
        self.lease = Some(lease.clone());
        lease
    }
}

fn answer(lease: &Lease) -> Response<Body> {
    Response::new(Body::from(serde_json::to_vec(lease).unwrap()))
}

fn refusal(code: StatusCode, reason: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code.as_u16()});
    Response::builder()
        .status(code)
        .body(Body::from(serde_json::to_vec(&status).unwrap()))
        .unwrap()
}
