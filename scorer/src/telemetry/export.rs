//! The way to an OpenTelemetry collector: traces and logs by OTLP, over gRPC or HTTP.

use std::{sync::Arc, thread, time::Duration};

use opentelemetry::{KeyValue, logs::LoggerProvider as _, trace::TracerProvider as _};
use opentelemetry_otlp::{LogExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    logs::{self, BatchLogProcessor, SdkLoggerProvider},
    trace::{self, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use tokio::runtime::Runtime;

use super::{
    counted::{Bounded, Counted},
    counts::Counts,
    http_client::Client,
    logs::export_logs,
    spans::{Tracing, ratio},
};

const SERVICE: &str = "fraudops-scorer";

/// Spans, or log records, that wait for their export at most.
const QUEUE: usize = 2048;
const BATCH: usize = 512;

/// How long the end of the process waits for the last export.
const LAST_EXPORT: Duration = Duration::from_secs(1);

/// The exporter of traces and logs, if an endpoint is configured.
pub struct Exporter {
    spans: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
    ratio: f64,
    counts: Arc<Counts>,
    /// Where the connections live: no serving thread has a part in them.
    runtime: Option<Runtime>,
}

/// OpenTelemetry's environment.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Exporter {
    /// Reads the OTEL_ environment: traces when `OTEL_EXPORTER_OTLP_ENDPOINT` or `…_TRACES_ENDPOINT` is set, and warnings
    /// and errors of the log when the former or `…_LOGS_ENDPOINT` is. `OTEL_EXPORTER_OTLP_PROTOCOL` may be `grpc` (default)
    /// or `http/protobuf`.
    pub fn from_env() -> Result<Option<Self>, String> {
        Self::from_variables(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: Variable<'_>) -> Result<Option<Self>, String> {
        let endpoint = |signal: &str| {
            let own = variable(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
            own.or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT")).is_some()
        };
        let (with_spans, with_logs) = (endpoint("TRACES"), endpoint("LOGS"));
        if !with_spans && !with_logs {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("otlp")
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let mut exporter = Self {
            spans: None,
            logs: None,
            ratio: ratio(
                variable("OTEL_TRACES_SAMPLER").as_deref(),
                variable("OTEL_TRACES_SAMPLER_ARG").as_deref(),
            ),
            counts: Arc::default(),
            runtime: Some(runtime),
        };
        if with_spans {
            exporter.spans = Some(exporter.span_provider(variable)?);
        }
        if with_logs {
            let logs = exporter.log_provider(variable)?;
            export_logs(&logs.logger(SERVICE));
            exporter.logs = Some(logs);
        }
        Ok(Some(exporter))
    }

    fn span_provider(&self, variable: Variable<'_>) -> Result<SdkTracerProvider, String> {
        let endpoint = address("TRACES", variable);
        let inner = match protocol("TRACES", variable)? {
            Protocol::HttpBinary => SpanExporter::builder()
                .with_http()
                .with_http_client(self.client(variable)?)
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(endpoint("/v1/traces"))
                .build(),
            _ => self.inside(|| {
                let builder = SpanExporter::builder().with_tonic();
                builder.with_endpoint(endpoint("")).build()
            }),
        };
        let exporter = Counted {
            inner: inner.map_err(|error| error.to_string())?,
            counts: Arc::clone(&self.counts),
        };
        let mut config = trace::BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH);
        if let Some(delay) = milliseconds("OTEL_BSP_SCHEDULE_DELAY", variable) {
            config = config.with_scheduled_delay(delay);
        }
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config.build());
        let bounded = Bounded {
            inner: processor.build(),
            limit: QUEUE,
            counts: Arc::clone(&self.counts),
        };
        Ok(SdkTracerProvider::builder()
            .with_span_processor(bounded)
            .with_sampler(Sampler::AlwaysOn) // who is sampled is decided before a span exists
            .with_resource(resource(variable))
            .build())
    }

    fn log_provider(&self, variable: Variable<'_>) -> Result<SdkLoggerProvider, String> {
        let endpoint = address("LOGS", variable);
        let inner = match protocol("LOGS", variable)? {
            Protocol::HttpBinary => LogExporter::builder()
                .with_http()
                .with_http_client(self.client(variable)?)
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(endpoint("/v1/logs"))
                .build(),
            _ => self.inside(|| {
                let builder = LogExporter::builder().with_tonic();
                builder.with_endpoint(endpoint("")).build()
            }),
        };
        let exporter = Counted {
            inner: inner.map_err(|error| error.to_string())?,
            counts: Arc::clone(&self.counts),
        };
        let mut config = logs::BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH);
        if let Some(delay) = milliseconds("OTEL_BLRP_SCHEDULE_DELAY", variable) {
            config = config.with_scheduled_delay(delay);
        }
        let processor = BatchLogProcessor::builder(exporter).with_batch_config(config.build());
        let bounded = Bounded {
            inner: processor.build(),
            limit: QUEUE,
            counts: Arc::clone(&self.counts),
        };
        Ok(SdkLoggerProvider::builder()
            .with_log_processor(bounded)
            .with_resource(resource(variable))
            .build())
    }

    fn client(&self, variable: Variable<'_>) -> Result<Client, String> {
        let timeout = milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", variable);
        let runtime = self.runtime.as_ref().ok_or("the exporter has ended")?;
        Client::new(
            runtime.handle().clone(),
            timeout.unwrap_or(Duration::from_secs(10)),
        )
    }

    /// Inside the exporter's runtime: gRPC keeps its connection where it was made.
    fn inside<T>(&self, make: impl FnOnce() -> T) -> T {
        let _guard = self.runtime.as_ref().map(Runtime::enter);
        make()
    }

    /// What became of what was to be exported.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// What a serving thread makes spans with.
    pub fn tracing(&self, seed: u64) -> Tracing {
        let tracer = self.spans.as_ref().map(|spans| spans.tracer(SERVICE));
        Tracing::new(tracer, self.ratio, seed, self.counts())
    }

    /// Sends what is left, for at most a second. Blocks.
    pub fn shutdown(&self) {
        let (spans, logs) = (self.spans.clone(), self.logs.clone());
        let of_spans = move || spans.map(|spans| spans.shutdown_with_timeout(LAST_EXPORT));
        let of_logs = move || logs.map(|logs| logs.shutdown_with_timeout(LAST_EXPORT));
        let beside = thread::Builder::new().name("otlp-end".to_owned()).spawn(of_logs);
        let spans = of_spans();
        let logs = beside.ok().and_then(|thread| thread.join().ok().flatten());
        for (signal, outcome) in [("spans", spans), ("logs", logs)] {
            if let Some(Err(error)) = outcome {
                tracing::warn!(signal, %error, "the last telemetry was not sent");
            }
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not by dropping it: that would wait, and may not happen on an asynchronous thread.
            runtime.shutdown_background();
        }
    }
}

fn protocol(signal: &str, variable: Variable<'_>) -> Result<Protocol, String> {
    let own = format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL");
    let general = "OTEL_EXPORTER_OTLP_PROTOCOL";
    let (name, value) = match (variable(&own), variable(general)) {
        (Some(value), _) => (own.as_str(), value),
        (None, Some(value)) => (general, value),
        (None, None) => return Ok(Protocol::Grpc),
    };
    match value.as_str() {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::HttpBinary),
        other => Err(format!("{name} is `{other}`; it may be grpc or http/protobuf")),
    }
}

/// Where a signal goes: its own endpoint as it is, else the general one with the signal's path.
fn address<'a>(signal: &str, variable: Variable<'a>) -> impl Fn(&str) -> String + 'a {
    let own = variable(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
    let general = variable("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_default();
    move |path| {
        own.clone()
            .unwrap_or_else(|| format!("{}{path}", general.trim_end_matches('/')))
    }
}

fn milliseconds(name: &str, variable: Variable<'_>) -> Option<Duration> {
    let value = variable(name)?.parse().ok()?;
    Some(Duration::from_millis(value))
}

fn resource(variable: Variable<'_>) -> Resource {
    let mut resource = Resource::builder();
    if variable("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(SERVICE);
    }
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    resource.with_attribute(version).build()
}

#[cfg(test)]
mod tests;
