//! Why a client may not, and how it is told.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::Scope;
use crate::metrics::{Collect, Exposition};

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It has no bearer token.
    NoToken,
    /// Nobody has this token.
    UnknownToken,
    /// The token is good, for other things.
    Scope(Scope),
    /// The client has sent too much; when there is room for one more.
    TooMany(Duration),
}

impl Denied {
    const REASONS: [&'static str; 4] = ["no_token", "unknown_token", "missing_scope", "rate_limited"];

    fn slot(self) -> usize {
        match self {
            Self::NoToken => 0,
            Self::UnknownToken => 1,
            Self::Scope(_) => 2,
            Self::TooMany(_) => 3,
        }
    }

    /// The answer's status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoToken | Self::UnknownToken => StatusCode::UNAUTHORIZED,
            Self::Scope(_) => StatusCode::FORBIDDEN,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The answer's sentence.
    pub fn detail(self) -> String {
        match self {
            Self::NoToken => "send a token: Authorization: Bearer TOKEN".to_owned(),
            Self::UnknownToken => "the token is not known".to_owned(),
            Self::Scope(scope) => format!("the token lacks the scope `{}`", scope.as_str()),
            Self::TooMany(wait) => format!(
                "more requests than this client may send; try again in {} s",
                seconds(wait)
            ),
        }
    }

    /// Adds what the answer's head says: `WWW-Authenticate` (RFC 6750) or `Retry-After`.
    pub fn add_headers(self, headers: &mut HeaderMap) {
        let challenge = match self {
            Self::NoToken => "Bearer realm=\"fraudops\"",
            Self::UnknownToken => "Bearer realm=\"fraudops\", error=\"invalid_token\"",
            Self::Scope(Scope::Predict) => {
                "Bearer realm=\"fraudops\", error=\"insufficient_scope\", scope=\"predict\""
            }
            Self::Scope(Scope::Feedback) => {
                "Bearer realm=\"fraudops\", error=\"insufficient_scope\", scope=\"feedback\""
            }
            Self::Scope(Scope::Admin) => {
                "Bearer realm=\"fraudops\", error=\"insufficient_scope\", scope=\"admin\""
            }
            Self::TooMany(wait) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(wait)));
                return;
            }
        };
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
}

/// Whole seconds, at least one.
fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// Counters of refusals.
#[derive(Debug, Default)]
pub struct Counts {
    denied: [AtomicU64; Denied::REASONS.len()],
    pub(super) reload_failed: AtomicU64,
}

impl Counts {
    pub(super) fn count(&self, denied: Denied) {
        self.denied[denied.slot()].fetch_add(1, Relaxed);
    }
}

impl Collect for Counts {
    fn collect(&self, out: &mut Exposition) {
        let help = "Requests that were turned away because of who sent them, by why.";
        let mut family = out.counter("fraud_access_denied", help);
        for (reason, count) in Denied::REASONS.into_iter().zip(&self.denied) {
            family.sample(&[("reason", reason)], count.load(Relaxed));
        }
        let help = "Readings of the tokens that failed; those read before stay in force.";
        out.counter("fraud_token_reload_failures", help)
            .sample(&[], self.reload_failed.load(Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_would_help() {
        let told = |denied: Denied| {
            let mut headers = HeaderMap::new();
            denied.add_headers(&mut headers);
            let text = |name| {
                headers
                    .get(name)
                    .map_or("", |value: &HeaderValue| value.to_str().unwrap())
                    .to_owned()
            };
            (
                denied.status().as_u16(),
                text(header::WWW_AUTHENTICATE),
                text(header::RETRY_AFTER),
            )
        };
        let bearer = "Bearer realm=\"fraudops\"";
        assert_eq!(told(Denied::NoToken), (401, bearer.to_owned(), String::new()));
        assert_eq!(
            told(Denied::UnknownToken).1,
            format!("{bearer}, error=\"invalid_token\"")
        );
        for scope in Scope::ALL {
            let (status, challenge, _) = told(Denied::Scope(scope));
            assert_eq!(status, 403);
            let missing = format!("error=\"insufficient_scope\", scope=\"{}\"", scope.as_str());
            assert!(challenge.ends_with(&missing), "{challenge}");
            assert!(Denied::Scope(scope).detail().contains(scope.as_str()));
        }
        for (wait, header) in [(0, "1"), (1, "1"), (999, "1"), (1000, "1"), (1001, "2")] {
            let (status, _, retry) = told(Denied::TooMany(Duration::from_millis(wait)));
            assert_eq!((status, retry.as_str()), (429, header), "{wait}");
        }
    }
}
