//! HTTP: requests, and what their failures mean.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};

use super::{
    error::{FetchError, FetchReason, fail, try_again},
    target::Target,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two pieces of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 3;

/// A client that speaks HTTPS, and plain HTTP with the named hosts only, redirects included.
pub fn client(plain: &[String]) -> Result<Client, FetchError> {
    let allowed = plain.to_vec();
    let policy = redirect::Policy::custom(move |attempt| {
        let url = attempt.url();
        let secure = url.scheme() == "https" || allowed.iter().any(|host| host == url.authority());
        if !secure {
            attempt.error("the redirect leaves https")
        } else if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("more than 3 redirects")
        } else {
            attempt.follow()
        }
    });
    let builder = Client::builder()
        .user_agent(concat!("fraudops-scorer/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .https_only(plain.is_empty())
        .redirect(policy);
    builder.build().or_else(|error| {
        fail(
            FetchReason::Unreachable,
            format!("no TLS client: {}", chain(&error)),
        )
    })
}

/// Sends a request and streams its answer into the target.
pub async fn stream(request: RequestBuilder, mut target: Target) -> Result<Target, FetchError> {
    let response = send(request).await?;
    target.announce(response.content_length())?;
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        target.write(&piece.map_err(|error| broken(&error))?)?;
    }
    Ok(target)
}

/// Sends a request and takes an answer of at most `limit` bytes.
pub async fn small(request: RequestBuilder, limit: usize) -> Result<Vec<u8>, FetchError> {
    let mut pieces = send(request).await?.bytes_stream();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        whole.extend_from_slice(&piece.map_err(|error| broken(&error))?);
        if whole.len() > limit {
            return fail(
                FetchReason::TooLarge,
                format!("the manifest has more than {limit} bytes"),
            );
        }
    }
    Ok(whole)
}

async fn send(request: RequestBuilder) -> Result<Response, FetchError> {
    let response = request.send().await.map_err(|error| broken(&error))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let url = response.url();
    let place = format!("{}://{}{}", url.scheme(), url.authority(), url.path());
    Err(meaning(status, &place))
}

/// What an error status means for us.
fn meaning(status: StatusCode, place: &str) -> FetchError {
    let failure = |reason, message| FetchError {
        reason,
        message,
        transient: false,
    };
    match status.as_u16() {
        401 | 403 => failure(
            FetchReason::Unauthorized,
            format!("{place} answers {status}; check the pull secret and its rights"),
        ),
        404 | 410 => failure(FetchReason::NotFound, format!("{place} answers {status}")),
        408 | 425 | 429 | 500..=599 => try_again(format!("{place} answers {status}")),
        _ => failure(FetchReason::Unreachable, format!("{place} answers {status}")),
    }
}

/// A transport error; all may pass but those that repeat by nature.
pub fn broken(error: &reqwest::Error) -> FetchError {
    let transient = !(error.is_redirect() || error.is_builder());
    FetchError {
        reason: FetchReason::Unreachable,
        message: chain(error),
        transient,
    }
}

/// The error and its causes, without the url: its query may hold a signature.
fn chain(error: &reqwest::Error) -> String {
    use std::error::Error;
    let mut text = match error.url() {
        Some(url) => format!("{}://{}: request failed", url.scheme(), url.authority()),
        None => "request failed".to_owned(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_whether_to_try_again() {
        let show = |status: u16| {
            let error = meaning(StatusCode::from_u16(status).unwrap(), "https://r.example/x");
            (error.reason, error.transient)
        };
        assert_eq!(show(401), (FetchReason::Unauthorized, false));
        assert_eq!(show(404), (FetchReason::NotFound, false));
        assert_eq!(show(429), (FetchReason::Unreachable, true));
        assert_eq!(show(503), (FetchReason::Unreachable, true));
        assert_eq!(show(418), (FetchReason::Unreachable, false));
    }
}
