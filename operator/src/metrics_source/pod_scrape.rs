//! Asks the pods themselves: no Prometheus is needed for a rollout.

use std::time::Duration;

use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, body::Bytes, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::{MetricsSource, Reading, Target, Unread, read};

/// Port of the scorer's metrics.
const PORT: u16 = 8010;
/// A pod is asked for so long at most, and for so many bytes.
const DEADLINE: Duration = Duration::from_secs(2);
const MAX_PAGE: usize = 1024 * 1024;
/// Pods that are asked at the same time.
const AT_ONCE: usize = 8;

/// Asks the pods themselves.
#[derive(Clone, Debug)]
pub struct PodScrape {
    client: Client<HttpConnector, Empty<Bytes>>,
    port: u16,
}

impl Default for PodScrape {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(DEADLINE));
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Self { client, port: PORT }
    }
}

impl MetricsSource for PodScrape {
    async fn read(&self, targets: &[Target]) -> Vec<Result<Reading, Unread>> {
        let asked: Vec<_> = targets
            .iter()
            .map(|target| self.ask(target.address.clone()))
            .collect();
        stream::iter(asked).buffered(AT_ONCE).collect().await
    }
}

impl PodScrape {
    async fn ask(&self, address: String) -> Result<Reading, Unread> {
        let page = tokio::time::timeout(DEADLINE, self.page(&address))
            .await
            .map_err(|_| Unread::Deadline)??;
        Ok(read(&String::from_utf8_lossy(&page))?)
    }

    async fn page(&self, address: &str) -> Result<Bytes, Unread> {
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.to_owned()
        };
        let request = Request::get(format!("http://{host}:{}/metrics", self.port))
            .header(header::ACCEPT, "text/plain; version=0.0.4")
            .body(Empty::new())
            .map_err(|error| Unread::NoAnswer(error.to_string()))?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| Unread::NoAnswer(error.to_string()))?;
        let status = response.status();
        if !status.is_success() {
            return Err(Unread::Status(status.as_u16()));
        }
        let body = Limited::new(response.into_body(), MAX_PAGE).collect().await;
        Ok(body.map_err(|_| Unread::Body)?.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::{Router, http::StatusCode, routing::get};
    use tokio::net::TcpListener;

    use super::*;

    const PAGE: &str = "fraud_request_errors_total{kind=\"not_ready\"} 0\nfraud_model_errors_total 1\nfraud_panics_total 0\n\
        fraud_prediction_duration_seconds_bucket{le=\"0.025\"} 9\nfraud_prediction_duration_seconds_count 10\nprocess_start_time_seconds 5\n";

    /// A real server on loopback that answers `/metrics` as told; the source that asks it.
    async fn pod(routes: Router) -> PodScrape {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        PodScrape {
            port,
            ..PodScrape::default()
        }
    }

    async fn ask(source: &PodScrape) -> Result<Reading, Unread> {
        source.ask("127.0.0.1".into()).await
    }

    #[tokio::test]
    async fn a_pod_is_read_over_http() {
        let source = pod(Router::new().route("/metrics", get(|| async { PAGE }))).await;
        let reading = ask(&source).await.unwrap();
        assert_eq!(
            (reading.started, reading.counts.errors, reading.counts.slow),
            (5000, 1, 1)
        );
    }

    #[tokio::test]
    async fn every_kind_of_silence_is_told_apart() {
        let status =
            pod(Router::new().route("/metrics", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))).await;
        assert_eq!(ask(&status).await, Err(Unread::Status(503)));
        let long = pod(Router::new().route("/metrics", get(|| async { "#".repeat(2 * MAX_PAGE) }))).await;
        assert_eq!(ask(&long).await, Err(Unread::Body));
        let other = pod(Router::new().route("/metrics", get(|| async { "up 1\n" }))).await;
        assert!(matches!(ask(&other).await, Err(Unread::Malformed(_))));
        let port = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let nobody = PodScrape {
            port,
            ..PodScrape::default()
        };
        assert!(matches!(ask(&nobody).await, Err(Unread::NoAnswer(_))));
    }

    #[tokio::test]
    async fn a_pod_that_hangs_holds_the_others_up_for_two_seconds_at_most() {
        let hanging = pod(Router::new().route("/metrics", get(std::future::pending::<&str>))).await;
        let target = Target {
            pod: "a".into(),
            version: "v".into(),
            address: "127.0.0.1".into(),
        };
        let start = Instant::now();
        let readings = hanging.read(&vec![target; AT_ONCE]).await;
        assert!(start.elapsed() < DEADLINE * 2);
        assert!(readings.iter().all(|reading| *reading == Err(Unread::Deadline)));
    }
}
