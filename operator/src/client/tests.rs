//! The layers around a double of the API server, on a clock that only moves when everybody waits.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{PostParams, WatchParams};
use tokio::time::Instant;

use super::*;

/// Answers each call with the next status, the last one again and again; keeps a log of the calls.
#[derive(Clone, Default)]
struct Double {
    answers: Arc<Mutex<Vec<Answering>>>,
    calls: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy)]
enum Answering {
    Status(u16),
    RetryAfter(u16, &'static str),
    Never,
    HeadersOnly,
}

impl Double {
    fn new(answers: &[Answering]) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.to_vec())),
            ..Self::default()
        }
    }

    fn client(&self, metrics: &Metrics, fence: Fence) -> Client {
        let double = self.clone();
        let service = service_fn(move |request: Request<Body>| {
            let double = double.clone();
            let method = request.method().to_string();
            async move { double.answer(method).await }
        });
        Client::new(bounded(service, metrics.clone(), fence), "default")
    }

    fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    async fn answer(&self, method: String) -> Result<super::Answer, BoxError> {
        self.calls.lock().unwrap().push(method);
        let answering = {
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 {
                answers.remove(0)
            } else {
                answers[0]
            }
        };
        let (status, wait) = match answering {
            Answering::Status(status) => (status, None),
            Answering::RetryAfter(status, wait) => (status, Some(wait)),
            Answering::Never => std::future::pending().await,
            Answering::HeadersOnly => {
                let silent = http_body_util::StreamBody::new(futures::stream::pending());
                return Ok(Response::new(silent.boxed_unsync()));
            }
        };
        // As an object this is nearly empty, as a Status it has the code.
        let object = serde_json::json!({"metadata": {"name": "x"}, "code": status}).to_string();
        let mut response = Response::builder().status(status);
        if let Some(wait) = wait {
            response = response.header("Retry-After", wait);
        }
        Ok(response.body(Full::new(Bytes::from(object)).map_err(Into::into).boxed_unsync())?)
    }
}

fn maps(client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, "default")
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_ends_after_ten_seconds() {
    for answering in [Answering::Never, Answering::HeadersOnly] {
        let double = Double::new(&[answering]);
        let start = Instant::now();
        let error = maps(double.client(&Metrics::new(), Fence::open()))
            .get("x")
            .await
            .unwrap_err();
        assert_eq!(start.elapsed(), CALL_TIMEOUT);
        assert!(error.to_string().contains("within 10s"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_lives_longer_than_the_deadline_of_a_call() {
    let double = Double::new(&[Answering::HeadersOnly]);
    let api = maps(double.client(&Metrics::new(), Fence::open()));
    let mut events = std::pin::pin!(api.watch(&WatchParams::default(), "0").await.unwrap());
    let waited = tokio::time::timeout(CALL_TIMEOUT * 5, events.next()).await;
    assert!(waited.is_err(), "the stream must still be open");
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_server_is_asked_three_times_within_five_seconds() {
    for status in [429, 503, 504] {
        for answering in [Answering::Status(status), Answering::RetryAfter(status, "2")] {
            let double = Double::new(&[answering]);
            let start = Instant::now();
            maps(double.client(&Metrics::new(), Fence::open()))
                .get("x")
                .await
                .unwrap_err();
            assert_eq!(double.calls(), 3, "{status}");
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "{status}: {:?}",
                start.elapsed()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_retry_after_goes_to_the_caller_at_once() {
    let double = Double::new(&[Answering::RetryAfter(429, "30")]);
    let error = maps(double.client(&Metrics::new(), Fence::open()))
        .get("x")
        .await
        .unwrap_err();
    assert_eq!(double.calls(), 1);
    assert!(matches!(error, kube::Error::Api(status) if status.code == 429));
}

#[tokio::test(start_paused = true)]
async fn a_create_is_repeated_only_where_it_was_not_carried_out() {
    for (status, calls) in [(429, 2), (503, 1), (504, 1), (500, 1)] {
        let double = Double::new(&[Answering::Status(status), Answering::Status(201)]);
        let api = maps(double.client(&Metrics::new(), Fence::open()));
        let _ = api.create(&PostParams::default(), &ConfigMap::default()).await;
        assert_eq!(double.calls(), calls, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_write_leaves_a_process_that_is_not_the_leader() {
    let double = Double::new(&[Answering::Status(200)]);
    let api = maps(double.client(&Metrics::new(), Fence::closed()));
    api.get("x").await.unwrap();
    let error = api
        .delete("x", &kube::api::DeleteParams::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not the leader"), "{error}");
    assert_eq!(double.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_try_is_counted_by_verb_and_code() {
    let metrics = Metrics::new();
    let double = Double::new(&[Answering::Status(503), Answering::Status(200)]);
    maps(double.client(&metrics, Fence::open()))
        .get("x")
        .await
        .unwrap();
    let text = metrics.encode();
    for line in [
        r#"api_requests_total{verb="get",code="503"} 1"#,
        r#"api_requests_total{verb="get",code="200"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn the_kubeconfig_that_was_named_is_used_with_our_timeouts_and_name() {
    use clap::Parser;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(
        &path,
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n\
         clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: a, user: {}}]\n",
    )
    .unwrap();
    let parse = |path: &std::path::Path| {
        let args = [
            std::ffi::OsStr::new("fraudops-operator"),
            "--kubeconfig".as_ref(),
            path.as_os_str(),
        ];
        match crate::cli::Cli::parse_from(args).command() {
            crate::cli::Command::Run(settings) => *settings,
            crate::cli::Command::Crd => panic!("must be run"),
        }
    };
    let config = configure(&parse(&path)).await.unwrap();
    assert_eq!(config.cluster_url.to_string(), "http://127.0.0.1:1/");
    assert_eq!(config.connect_timeout, Some(CONNECT_TIMEOUT));
    assert!(!config.default_retry);
    let agent = config
        .headers
        .iter()
        .find(|(name, _)| *name == USER_AGENT)
        .unwrap();
    assert_eq!(agent.1, concat!("fraudops-operator/", env!("CARGO_PKG_VERSION")));

    let missing = folder.path().join("none");
    let error = configure(&parse(&missing)).await.unwrap_err().to_string();
    assert!(
        error.contains("can't read kubeconfig") && error.contains("none"),
        "{error}"
    );
}
