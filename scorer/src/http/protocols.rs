//! Everything on the serving port beside /predict, /feedback and the probes: batches, the Open Inference Protocol, and the
//! documents for clients.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};

use super::{
    answer::{self, Answer},
    batch,
    body::Unread,
    contract::Contract,
    deadline, docs,
    oip::{self, Target},
    openapi,
    scoring::Scoring,
};
use crate::{
    access::Demands,
    features::Schema,
    metrics::{RequestError, Shard},
    state::{Readiness, State},
};

/// Bytes of a body on these routes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Bodies that one thread reads and answers at a time: with their size this bounds the memory that they take.
const MAX_LARGE: usize = 32;

/// Rows of one request, unless the policy says otherwise.
pub const DEFAULT_MAX_BATCH: usize = 512;

/// The routes of one thread.
pub struct Protocols {
    /// Rows of one request.
    max_batch: usize,
    /// For the whole body.
    body_timeout: Duration,
    /// What is asked of clients, as the documents say it.
    demands: Demands,
    large: Cell<usize>,
}

/// What stands behind the routes at the moment of a request.
pub struct Behind<'a, S> {
    /// The model in service, if there is one.
    pub scoring: Option<&'a S>,
    /// Readiness and the model's card.
    pub state: &'a State,
    /// The request schema.
    pub schema: &'a Schema,
    /// The counters of this thread.
    pub shard: &'a Shard,
}

#[derive(Debug, PartialEq)]
enum Route {
    Batch,
    Contract,
    Page,
    Oip(Target),
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        match path {
            "/predict/batch" => Some(Self::Batch),
            "/openapi.json" => Some(Self::Contract),
            "/docs" => Some(Self::Page),
            _ => Target::of(path).map(Self::Oip),
        }
    }

    fn method(&self) -> Method {
        match self {
            Self::Batch => Method::POST,
            Self::Contract | Self::Page => Method::GET,
            Self::Oip(target) => oip::method(target),
        }
    }

    /// An error in the shape of the route's protocol.
    fn error(&self, status: StatusCode, sentence: &str) -> Answer {
        match self {
            Self::Oip(_) => oip::error(status, sentence),
            Self::Batch | Self::Contract | Self::Page => answer::detail(status, sentence),
        }
    }
}

impl Protocols {
    /// Routes with these limits.
    pub fn new(max_batch: usize, body_timeout: Duration) -> Self {
        Self {
            max_batch,
            body_timeout,
            demands: Demands::default(),
            large: Cell::new(0),
        }
    }

    /// The same, where this is asked of clients.
    pub fn demanding(self, demands: Demands) -> Self {
        Self { demands, ..self }
    }

    /// Whether the path is one of these routes.
    pub fn handles(path: &str) -> bool {
        Route::of(path).is_some()
    }

    /// Answers a request to one of these routes; 404 for others.
    pub async fn answer<S: Scoring>(
        &self,
        behind: &Behind<'_, S>,
        head: &Parts,
        body: &mut Unread,
    ) -> Answer {
        let Some(route) = Route::of(head.uri.path()) else {
            return answer::detail(StatusCode::NOT_FOUND, "Not Found");
        };
        let method = route.method();
        let as_get = method == Method::GET && head.method == Method::HEAD;
        if head.method != method && !as_get {
            return refuse(&route, behind, RequestError::Method);
        }
        match &route {
            Route::Contract => {
                let document = openapi::document(&contract(behind), self.demands);
                answer::json(StatusCode::OK, document.to_string())
            }
            Route::Page => docs::page(&contract(behind), self.demands),
            Route::Oip(Target::Infer(_)) | Route::Batch => self.large(&route, behind, head, body).await,
            Route::Oip(target) => oip::describe(target, behind.scoring, behind.state.is_ready()),
        }
    }

    /// The routes with a body.
    async fn large<S: Scoring>(
        &self,
        route: &Route,
        behind: &Behind<'_, S>,
        head: &Parts,
        body: &mut Unread,
    ) -> Answer {
        let start = Instant::now();
        let Some(scoring) = behind.scoring else {
            return refuse(route, behind, RequestError::NotReady);
        };
        let Some(_place) = Place::take(&self.large) else {
            behind.shard.refused_request(RequestError::Overloaded);
            return busy(route);
        };
        let body = match body.read(&head.headers, MAX_BODY_BYTES, self.body_timeout).await {
            Ok(body) => body,
            Err(error) => return refuse(route, behind, error),
        };
        let due = deadline::of(&head.headers, start, scoring.limit());
        match route {
            Route::Oip(Target::Infer(asked)) => {
                let answered = oip::infer(scoring, asked, &head.headers, &body, self.max_batch, due).await;
                answered.unwrap_or_else(|invalid| {
                    behind.shard.refused_request(RequestError::InvalidRequest);
                    oip::error(StatusCode::BAD_REQUEST, &invalid.0)
                })
            }
            _ => self.batch(scoring, behind, &head.headers, &body, due).await,
        }
    }

    async fn batch<S: Scoring>(
        &self,
        scoring: &S,
        behind: &Behind<'_, S>,
        headers: &HeaderMap,
        body: &Bytes,
        due: Instant,
    ) -> Answer {
        let content_type = headers.get(header::CONTENT_TYPE);
        match batch::answer(scoring, content_type, body, self.max_batch, due).await {
            Ok(answer) => answer,
            Err(refused) => {
                behind.shard.refused_request(refused.kind());
                refused.into_answer()
            }
        }
    }
}

fn contract<S: Scoring>(behind: &Behind<'_, S>) -> Contract {
    Contract::new(behind.schema, behind.state.card().as_deref())
}

/// Whether a path of these routes has rows scored.
pub fn scores(path: &str) -> bool {
    match Route::of(path) {
        Some(Route::Batch | Route::Oip(Target::Infer(_))) => true,
        Some(
            Route::Contract
            | Route::Page
            | Route::Oip(
                Target::Server | Target::Live | Target::Ready | Target::Model(_) | Target::ModelReady(_),
            ),
        )
        | None => false,
    }
}

/// A place among the large requests; given back when dropped.
struct Place<'a>(&'a Cell<usize>);

impl<'a> Place<'a> {
    fn take(taken: &'a Cell<usize>) -> Option<Self> {
        (taken.get() < MAX_LARGE).then(|| {
            taken.set(taken.get() + 1);
            Self(taken)
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

fn busy(route: &Route) -> Answer {
    let sentence = "too many large requests are being answered; try again";
    let mut answer = route.error(StatusCode::SERVICE_UNAVAILABLE, sentence);
    answer
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn refuse<S>(route: &Route, behind: &Behind<'_, S>, error: RequestError) -> Answer {
    behind.shard.refused_request(error);
    let (status, sentence) = match error {
        RequestError::NotReady => (StatusCode::SERVICE_UNAVAILABLE, not_ready(behind.state)),
        RequestError::Method => (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed".to_owned()),
        RequestError::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has more than {MAX_BODY_BYTES} bytes"),
        ),
        RequestError::BodyTimeout => (
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive in time".to_owned(),
        ),
        RequestError::Encoding => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body without Content-Encoding".to_owned(),
        ),
        _ => (StatusCode::BAD_REQUEST, "the body ended early".to_owned()),
    };
    let mut answer = route.error(status, &sentence);
    let headers = answer.headers_mut();
    match error {
        RequestError::NotReady => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        RequestError::Method => {
            let allowed = if route.method() == Method::GET {
                "GET, HEAD"
            } else {
                "POST"
            };
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        // The rest of the body may still be on its way.
        RequestError::TooLarge | RequestError::BodyTimeout | RequestError::BodyAborted => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    answer
}

fn not_ready(state: &State) -> String {
    match state.readiness() {
        Readiness::NotReady(error) => format!("{}: {}", error.reason, error.message),
        Readiness::Ready(_) => "Loading: this thread has no model yet".to_owned(),
    }
}

#[cfg(test)]
mod tests;
