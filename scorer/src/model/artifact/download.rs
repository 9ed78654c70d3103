//! HTTP: clients, requests, and what their failures mean.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use reqwest::{
    Client, ClientBuilder, RequestBuilder, Response, StatusCode, Url,
    header::{CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE},
    redirect,
};

use super::{
    error::{FetchError, FetchReason, fail, try_again},
    guard,
    resume::{Answer, Body, Point},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// It is on the same machine, or it is not there.
const METADATA_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two pieces of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 3;

/// A client that speaks HTTPS, and plain HTTP with the named hosts only, redirects included; it reaches no refused address.
pub fn client(plain: &[String]) -> Result<Client, FetchError> {
    let allowed = plain.to_vec();
    let policy = redirect::Policy::custom(move |attempt| {
        let url = attempt.url();
        let left_tls =
            url.scheme() != "https" && attempt.previous().iter().any(|url| url.scheme() == "https");
        if left_tls {
            attempt.error("the redirect leaves https")
        } else if let Err(forbidden) = guard::check(url, &allowed) {
            attempt.error(forbidden)
        } else if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("more than 3 redirects")
        } else {
            attempt.follow()
        }
    });
    let builder = base()
        .https_only(plain.is_empty())
        .dns_resolver(Arc::new(guard::Resolver));
    built(builder.redirect(policy))
}

/// A client for the cloud's metadata service: plain HTTP, link-local addresses, no proxy, no redirect.
pub fn metadata_client() -> Result<Client, FetchError> {
    let builder = base().no_proxy().redirect(redirect::Policy::none());
    built(builder.connect_timeout(METADATA_CONNECT_TIMEOUT))
}

fn base() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("fraudops-scorer/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
}

fn built(builder: ClientBuilder) -> Result<Client, FetchError> {
    builder.build().or_else(|error| {
        fail(
            FetchReason::Unreachable,
            format!("no TLS client: {}", chain(&error)),
        )
    })
}

/// Fails when `url` must not be asked.
pub fn admit(url: &Url, plain: &[String]) -> Result<(), FetchError> {
    guard::check(url, plain).or_else(|forbidden| fail(FetchReason::AddressRefused, forbidden.to_string()))
}

/// Asks for a file, or for its rest.
pub async fn open(request: RequestBuilder, point: Option<Point>) -> Result<Answer, FetchError> {
    let request = match &point {
        None => request,
        Some(point) => {
            let request = request.header(RANGE, format!("bytes={}-", point.offset));
            match &point.etag {
                Some(etag) => request.header(IF_RANGE, etag),
                None => request,
            }
        }
    };
    let response = request.send().await.map_err(|error| broken(&error))?;
    if point.is_some() && response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        return Ok(Answer::Changed);
    }
    let response = successful(response)?;
    let (offset, total) = match response.status() {
        StatusCode::PARTIAL_CONTENT => match part(response.headers()) {
            Some(part) => part,
            None => {
                return fail(
                    FetchReason::Unreachable,
                    "a part of the file came that does not say which",
                );
            }
        },
        _ => (0, response.content_length()),
    };
    Ok(Answer::Body(Body {
        offset,
        total,
        etag: strong_etag(response.headers()),
        bytes: response
            .bytes_stream()
            .map(|piece| piece.map_err(|error| broken(&error)))
            .boxed(),
    }))
}

/// First byte and length of the whole, from `Content-Range: bytes 5-9/10`.
fn part(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let range = headers
        .get(CONTENT_RANGE)?
        .to_str()
        .ok()?
        .strip_prefix("bytes ")?;
    let (range, total) = range.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, total.parse().ok()))
}

/// Weak tags do not promise equal bytes (RFC 9110, 8.8.3).
fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    (!etag.starts_with("W/")).then(|| etag.to_owned())
}

/// Sends a request and takes an answer of at most `limit` bytes.
pub async fn small(request: RequestBuilder, limit: usize) -> Result<Vec<u8>, FetchError> {
    let response = request.send().await.map_err(|error| broken(&error))?;
    let mut pieces = successful(response)?.bytes_stream();
    let mut whole = Vec::new();
    while let Some(piece) = pieces.next().await {
        whole.extend_from_slice(&piece.map_err(|error| broken(&error))?);
        if whole.len() > limit {
            return fail(
                FetchReason::TooLarge,
                format!("a document of the registry has more than {limit} bytes"),
            );
        }
    }
    Ok(whole)
}

fn successful(response: Response) -> Result<Response, FetchError> {
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
            format!("{place} answers {status}; check the pull secret or credentials, and their rights"),
        ),
        404 | 410 => failure(FetchReason::NotFound, format!("{place} answers {status}")),
        408 | 425 | 429 | 500..=599 => try_again(format!("{place} answers {status}")),
        _ => failure(FetchReason::Unreachable, format!("{place} answers {status}")),
    }
}

/// A transport error; all may pass but those that repeat by nature.
pub fn broken(error: &reqwest::Error) -> FetchError {
    let refused = is_refusal(error);
    FetchError {
        reason: if refused {
            FetchReason::AddressRefused
        } else {
            FetchReason::Unreachable
        },
        message: chain(error),
        transient: !(refused || error.is_redirect() || error.is_builder()),
    }
}

/// Whether the guard stands behind an error.
pub fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_ours = |error: &(dyn std::error::Error + 'static)| {
        error.is::<guard::Refused>() || error.is::<guard::Forbidden>()
    };
    std::iter::successors(Some(error), |error| error.source()).any(is_ours)
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

    fn headers(name: reqwest::header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn a_part_says_where_it_begins() {
        let part_of = |value| part(&headers(CONTENT_RANGE, value));
        assert_eq!(part_of("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(part_of("bytes 5-9/*"), Some((5, None)));
        for wrong in ["bytes */10", "5-9/10", "bytes -9/10", "bytes 5-9", ""] {
            assert_eq!(part_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_strong_tags_vouch_for_bytes() {
        assert_eq!(strong_etag(&headers(ETAG, "\"a\"")).as_deref(), Some("\"a\""));
        assert_eq!(strong_etag(&headers(ETAG, "W/\"a\"")), None);
    }
}
