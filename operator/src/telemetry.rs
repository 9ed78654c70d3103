//! Logs to standard error, and traces over OTLP when an endpoint is configured.

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::warn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::cli::LogFormat;

/// Name of this program in traces, unless OTEL_SERVICE_NAME says otherwise.
const SERVICE: &str = "fraudops-operator";
/// Any of these switches traces on, as the OpenTelemetry specification has it.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
];

/// Keeps telemetry running; spans that are not exported yet leave at [`Telemetry::flush`].
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Starts logs, and traces when an OTLP endpoint is in the environment. Call once, inside a tokio runtime.
///
/// A collector that is down costs nothing but its spans.
pub fn start(format: LogFormat, filter: &str) -> anyhow::Result<Telemetry> {
    let provider = endpoint().map(|endpoint| exporting_to(&endpoint)).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE));
        layer.with_filter(EnvFilter::new("info,opentelemetry=off,tonic=off,h2=off"))
    });
    let filter = EnvFilter::try_new(filter).context("--log-filter")?;
    tracing_subscriber::registry()
        .with(traces)
        .with(lines(format).with_filter(filter))
        .try_init()
        .context("a tracing subscriber is already installed")?;
    Ok(Telemetry { provider })
}

impl Telemetry {
    /// Sends what is still waiting and stops. Takes some seconds at most when the collector does not answer.
    pub fn flush(self) {
        if let Some(Err(cause)) = self.provider.map(|provider| provider.shutdown()) {
            warn!(%cause, "the last spans were not exported");
        }
    }
}

fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let lines = fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        LogFormat::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .boxed(),
    }
}

fn endpoint() -> Option<String> {
    ENDPOINTS
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn exporting_to(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder().with_tonic().build().with_context(|| {
        format!("OTEL_EXPORTER_OTLP_ENDPOINT: can't export to {endpoint}, give http://HOST:4317")
    })?;
    let resource = Resource::builder()
        .with_service_name(std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| String::from(SERVICE)))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build())
}
