//! Retries within one call: few, short, and only where repeating is harmless.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use kube::client::retry::RetryPolicy;
use tower::BoxError;
use tower::retry::Policy;

/// Tries after the first one.
const RETRIES: u32 = 2;
/// The longest wait that a call spends on the server's request; beyond it the error goes to the caller, who can wait.
const LONGEST_WAIT: u64 = 2;

/// kube's policy (429, 503, 504; Retry-After; exponential backoff with jitter) within our bounds.
///
/// A POST is repeated only after a 429: after any other error it may have been carried out.
#[derive(Clone)]
pub(super) struct BoundedRetry(RetryPolicy);

impl BoundedRetry {
    pub(super) fn new() -> Self {
        let policy = RetryPolicy::new(Duration::from_millis(200), Duration::from_secs(2), RETRIES, true);
        Self(policy.expect("the bounds of the backoff are in order"))
    }
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for BoundedRetry {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        request: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let response = result.as_ref().ok()?;
        let refused = response.status() == StatusCode::TOO_MANY_REQUESTS;
        let repeatable = refused || *request.method() != Method::POST;
        if !repeatable || asked_wait(response).is_some_and(|seconds| seconds > LONGEST_WAIT) {
            return None;
        }
        self.0.retry(request, result)
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        <RetryPolicy as Policy<Request<Body>, Response<B>, BoxError>>::clone_request(&mut self.0, request)
    }
}

/// Seconds in Retry-After.
fn asked_wait<B>(response: &Response<B>) -> Option<u64> {
    response
        .headers()
        .get(http::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}
