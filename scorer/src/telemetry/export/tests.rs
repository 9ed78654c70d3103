use std::{
    net::{SocketAddr, TcpListener},
    sync::Mutex,
    time::Instant,
};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use http::{HeaderMap, HeaderValue};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue as Pair, any_value::Value},
    logs::v1::LogRecord,
    trace::v1::Span,
};
use prost::Message as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::telemetry::logs::Bridge;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A receiver of the real protocol.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    logs: Arc<Mutex<Vec<LogRecord>>>,
    services: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    fn take_spans(&self, request: ExportTraceServiceRequest) {
        for of_resource in request.resource_spans {
            let attributes = of_resource.resource.map(|r| r.attributes).unwrap_or_default();
            self.services
                .lock()
                .unwrap()
                .extend(text(&attributes, "service.name"));
            for of_scope in of_resource.scope_spans {
                self.spans.lock().unwrap().extend(of_scope.spans);
            }
        }
    }

    fn take_logs(&self, request: ExportLogsServiceRequest) {
        for of_scope in request.resource_logs.into_iter().flat_map(|r| r.scope_logs) {
            self.logs.lock().unwrap().extend(of_scope.log_records);
        }
    }

    /// Serves until the test's process ends.
    fn start(&self, protocol: &str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (collector, grpc) = (self.clone(), protocol == "grpc");
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                if grpc {
                    Server::builder()
                        .add_service(TraceServiceServer::new(collector.clone()))
                        .add_service(LogsServiceServer::new(collector))
                        .serve_with_incoming(TcpListenerStream::new(listener))
                        .await
                        .unwrap();
                } else {
                    axum::serve(listener, collector.routes()).await.unwrap();
                }
            });
        });
        address
    }

    fn routes(self) -> Router {
        let logs = self.clone();
        Router::new()
            .route(
                "/v1/traces",
                post(
                    async move |body: Bytes| match ExportTraceServiceRequest::decode(body) {
                        Ok(request) => {
                            self.take_spans(request);
                            (
                                StatusCode::OK,
                                ExportTraceServiceResponse::default().encode_to_vec(),
                            )
                        }
                        Err(_) => (StatusCode::BAD_REQUEST, Vec::new()),
                    },
                ),
            )
            .route(
                "/v1/logs",
                post(
                    async move |body: Bytes| match ExportLogsServiceRequest::decode(body) {
                        Ok(request) => {
                            logs.take_logs(request);
                            (
                                StatusCode::OK,
                                ExportLogsServiceResponse::default().encode_to_vec(),
                            )
                        }
                        Err(_) => (StatusCode::BAD_REQUEST, Vec::new()),
                    },
                ),
            )
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.take_spans(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.take_logs(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

fn text(attributes: &[Pair], key: &str) -> Option<String> {
    let pair = attributes.iter().find(|pair| pair.key == key)?;
    match pair.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn exporter(address: SocketAddr, protocol: &str, delay: &str) -> Exporter {
    let endpoint = format!("http://{address}");
    let variable = |name: &str| {
        let value = match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => &endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL" => protocol,
            "OTEL_TRACES_SAMPLER" => "always_on",
            "OTEL_BSP_SCHEDULE_DELAY" | "OTEL_BLRP_SCHEDULE_DELAY" => delay,
            _ => return None,
        };
        Some(value.to_owned())
    };
    Exporter::from_variables(&variable).unwrap().unwrap()
}

fn finish_spans(tracing: &Tracing, headers: &HeaderMap, count: usize) {
    for _ in 0..count {
        let span = tracing.begin(headers).unwrap();
        span.end(200, Some("block"), &HeaderValue::from_static("request-1"));
    }
}

fn within(what: &str, mut question: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !question() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} does not come");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_last_spans_and_logs_arrive_at_the_end_by_both_protocols() {
    for protocol in ["grpc", "http/protobuf"] {
        let collector = Collector::default();
        let address = collector.start(protocol);
        // As in the program: shut down on the thread of an asynchronous main.
        let main = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let subscriber = tracing_subscriber::registry().with(Bridge::default());
        tracing::subscriber::with_default(subscriber, || {
            main.block_on(async {
                // So late that only the end can have sent it.
                let exporter = exporter(address, protocol, "60000");
                let mut headers = HeaderMap::new();
                let tracing = exporter.tracing(1);
                finish_spans(&tracing, &headers, 1);
                headers.insert("traceparent", HeaderValue::from_static(PARENT));
                headers.insert("tracestate", HeaderValue::from_static("shop=1"));
                finish_spans(&tracing, &headers, 1);
                tracing::warn!(status = 507, "the disk is full");
                tracing::info!("not worth sending");
                tracing::error!(target: "h2::codec", "of a library");
                exporter.shutdown();
                let counts = exporter.counts();
                assert_eq!(
                    (counts.spans.exported(), counts.logs.exported()),
                    (2, 1),
                    "{protocol}"
                );
                assert_eq!((counts.spans.dropped(), counts.logs.dropped()), (0, 0));
            });
        });
        let spans = collector.spans.lock().unwrap();
        assert_eq!(spans.len(), 2, "{protocol}");
        let [first, second] = [&spans[0], &spans[1]];
        assert_eq!(first.name, "POST /predict");
        assert_eq!(
            text(&first.attributes, "http.response.status_code").as_deref(),
            Some("200")
        );
        assert_eq!(
            text(&first.attributes, "fraud.decision").as_deref(),
            Some("block")
        );
        assert!(first.parent_span_id.is_empty() && first.trace_id != second.trace_id);
        assert_eq!(
            second.parent_span_id,
            [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]
        );
        assert_eq!(second.trace_state, "shop=1");
        assert_eq!(*collector.services.lock().unwrap(), [SERVICE]);
        let logs = collector.logs.lock().unwrap();
        let body = logs[0].body.as_ref().and_then(|body| body.value.as_ref());
        assert_eq!((logs.len(), logs[0].severity_text.as_str()), (1, "WARN"));
        assert!(matches!(body, Some(Value::StringValue(text)) if text == "the disk is full"));
        assert_eq!(text(&logs[0].attributes, "status").as_deref(), Some("507"));
    }
}

#[test]
fn a_collector_that_never_answers_costs_drops_and_nothing_else() {
    for protocol in ["grpc", "http/protobuf"] {
        // Connections wait in its backlog for ever.
        let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
        let exporter = exporter(deaf.local_addr().unwrap(), protocol, "10");
        let tracing = exporter.tracing(1);
        let begun = Instant::now();
        finish_spans(&tracing, &HeaderMap::new(), 20_000);
        let took = begun.elapsed();
        let dropped = exporter.counts().spans.dropped();
        assert_eq!(
            dropped,
            20_000 - QUEUE as u64,
            "{protocol}: what waits is bounded"
        );
        assert!(took < Duration::from_secs(5), "{protocol}: {took:?}");
        let begun = Instant::now();
        exporter.shutdown();
        drop(exporter);
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(1_400), "{protocol}: {took:?}");
    }
}

#[test]
fn a_collector_that_is_not_there_costs_drops_and_nothing_else() {
    for protocol in ["grpc", "http/protobuf"] {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let exporter = exporter(gone, protocol, "10");
        finish_spans(&exporter.tracing(1), &HeaderMap::new(), 100);
        within("the failure", || exporter.counts().spans.dropped() == 100);
        exporter.shutdown();
    }
}

#[test]
fn without_an_endpoint_nothing_is_exported_and_nonsense_is_refused() {
    assert!(Exporter::from_variables(&|_| None).unwrap().is_none());
    let variable = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://127.0.0.1:1".to_owned()),
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL" => Some("http/json".to_owned()),
        _ => None,
    };
    let error = Exporter::from_variables(&variable).err().unwrap();
    assert_eq!(
        error,
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL is `http/json`; it may be grpc or http/protobuf"
    );
}

#[test]
fn a_signal_may_have_an_endpoint_of_its_own() {
    let collector = Collector::default();
    let address = collector.start("http/protobuf");
    let variable = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" => Some(format!("http://{address}/v1/traces")),
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL" => Some("http/protobuf".to_owned()),
        "OTEL_TRACES_SAMPLER" => Some("always_on".to_owned()),
        _ => None,
    };
    let exporter = Exporter::from_variables(&variable).unwrap().unwrap();
    assert!(exporter.logs.is_none());
    finish_spans(&exporter.tracing(1), &HeaderMap::new(), 3);
    exporter.shutdown();
    assert_eq!(collector.spans.lock().unwrap().len(), 3);
}
