//! The Kubernetes client: bounded in time, retries and rate, counted, and fenced off when not the leader.
//!
//! From the outside in: a deadline over the whole call, retries, the fence, a count, the rate limit, kube's own client.

use std::time::Duration;

use anyhow::Context as _;
use http::header::{HeaderValue, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Bytes};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::layer::layer_fn;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::cli::Settings;
use crate::leader::Fence;
use crate::metrics::Metrics;

mod retry;

/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for one call with all its retries and its answer. A watch gets it for the start of the answer only.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that may wait for their turn.
const QUEUE: usize = 1024;

/// No answer came in time.
#[derive(Debug, thiserror::Error)]
#[error("no complete answer from the API server within {CALL_TIMEOUT:?}")]
pub struct DeadlineExceeded;

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// Clients of one process.
#[derive(Clone)]
pub struct Clients {
    /// For the work; writes pass only while `Fence` lets them.
    pub work: Client,
    /// For the election; has its own connection and no rate limit, so the work can't delay a renewal.
    pub election: Client,
}

/// Finds the cluster and builds the clients. No request is sent.
pub async fn connect(settings: &Settings, metrics: &Metrics, fence: &Fence) -> anyhow::Result<Clients> {
    let config = configure(settings).await?;
    let rate = Some(Rate {
        qps: settings.api_qps,
        burst: settings.api_burst,
    });
    let work = build(config.clone(), rate, metrics.clone(), fence.clone())?;
    let election = build(config, None, metrics.clone(), Fence::open())?;
    Ok(Clients { work, election })
}

/// The cluster of the settings, with our timeouts and our name.
async fn configure(settings: &Settings) -> anyhow::Result<Config> {
    let mut config = match &settings.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("can't read kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?
        }
        None => Config::infer()
            .await
            .context("no cluster found: give --kubeconfig, or run in a pod")?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.default_retry = false; // up to 15 times, waiting up to 1,000 s: ours are bounded
    let agent = concat!("fraudops-operator/", env!("CARGO_PKG_VERSION"));
    config.headers.push((USER_AGENT, HeaderValue::from_static(agent)));
    Ok(config)
}

/// How often requests may leave.
#[derive(Clone, Copy, Debug)]
struct Rate {
    qps: u32,
    burst: u32,
}

fn build(config: Config, rate: Option<Rate>, metrics: Metrics, fence: Fence) -> kube::Result<Client> {
    let limit = rate.map(|rate| {
        let period = Duration::from_secs_f64(f64::from(rate.burst) / f64::from(rate.qps));
        tower::limit::RateLimitLayer::new(u64::from(rate.burst), period)
    });
    let layers = layer_fn(move |inner| {
        let queue = ServiceBuilder::new()
            .buffer(QUEUE)
            .option_layer(limit.clone())
            .service(inner);
        bounded(queue, metrics.clone(), fence.clone())
    });
    Ok(ClientBuilder::try_from(config)?.with_layer(&layers).build())
}

/// Deadline, retries, fence and count around `inner`.
fn bounded<S, B>(
    inner: S,
    metrics: Metrics,
    fence: Fence,
) -> impl Service<Request<Body>, Response = Answer, Error = BoxError, Future: Send> + Clone + Send
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let counted = service_fn(move |request: Request<Body>| {
        let (inner, metrics, fence) = (inner.clone(), metrics.clone(), fence.clone());
        async move {
            if writes(request.method()) {
                fence.check()?;
            }
            let verb = verb(&request);
            let answer = inner.oneshot(request).await;
            metrics.api_request(
                verb,
                answer.as_ref().ok().map(|response| response.status().as_u16()),
            );
            answer
        }
    });
    let retried = ServiceBuilder::new()
        .retry(retry::BoundedRetry::new())
        .service(counted);
    service_fn(move |request: Request<Body>| within_deadline(retried.clone(), request))
}

async fn within_deadline<S, B>(inner: S, request: Request<Body>) -> Result<Answer, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let streams = is_watch(&request);
    let call = async {
        let (parts, body) = inner.oneshot(request).await?.into_parts();
        if streams {
            return Ok(Response::from_parts(
                parts,
                body.map_err(Into::into).boxed_unsync(),
            ));
        }
        let bytes = body.collect().await.map_err(Into::into)?.to_bytes();
        Ok(Response::from_parts(
            parts,
            Full::new(bytes).map_err(Into::into).boxed_unsync(),
        ))
    };
    tokio::time::timeout(CALL_TIMEOUT, call)
        .await
        .map_err(|_| DeadlineExceeded)?
}

fn is_watch(request: &Request<Body>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query
        .split('&')
        .any(|pair| pair == "watch=true" || pair == "watch=1")
}

fn writes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// The word for the metrics: Kubernetes' verb, as far as the request shows it.
fn verb(request: &Request<Body>) -> &'static str {
    match *request.method() {
        Method::GET if is_watch(request) => "watch",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests;
