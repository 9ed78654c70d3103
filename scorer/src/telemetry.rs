//! Logs and traces. Neither is on the path of a request that was not sampled.

use std::{
    cell::Cell,
    io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState,
        Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span},
};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

const SERVICE: &str = "fraudops-scorer";

/// Share of the requests without a parent that are traced, unless OTEL_TRACES_SAMPLER says otherwise.
const DEFAULT_RATIO: f64 = 0.01;

/// Starts logging to stderr. `filter` is `info` or finer, as RUST_LOG would have it.
pub fn start_logs(format: LogFormat, filter: &str) {
    // The registry client prints tokens at debug level: that must not be reachable by a filter.
    let parsed = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let parsed = [
        "oci_client=warn",
        "hyper_util=warn",
        "reqwest=warn",
        "rustls=warn",
        "ort=warn",
    ]
    .into_iter()
    .filter_map(|directive| directive.parse().ok())
    .fold(parsed, EnvFilter::add_directive);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(io::stderr)
        // A log that cannot be written is lost. Otherwise it would be reported on stderr, which panics when that is closed.
        .log_internal_errors(false)
        .with_target(false);
    // A second start in one process keeps the first.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.try_init(),
    };
    std::panic::set_hook(Box::new(|info| {
        // Without the message: it may quote what a client sent.
        let place = info.location().map(|l| format!("{}:{}", l.file(), l.line()));
        tracing::error!(at = place.as_deref().unwrap_or("unknown"), "a panic was caught");
    }));
}

/// A number that differs between threads, processes and starts.
pub fn seed(index: usize) -> u64 {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos() as u64;
    nanos ^ (u64::from(std::process::id()) << 40) ^ ((index as u64) << 56)
}

/// The exporter of traces, if an endpoint is configured.
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Reads the OTEL_ environment. Must be called inside the runtime that outlives it.
    pub fn from_env() -> Result<Option<Self>, String> {
        let set = |name| std::env::var(name).is_ok_and(|value| !value.is_empty());
        if !set("OTEL_EXPORTER_OTLP_ENDPOINT") && !set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            return Ok(None);
        }
        let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().build();
        let exporter = exporter.map_err(|error| error.to_string())?;
        let mut resource = Resource::builder();
        if !set("OTEL_SERVICE_NAME") {
            resource = resource.with_service_name(SERVICE);
        }
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::AlwaysOn) // who is sampled is decided before a span exists
            .with_resource(resource.with_attribute(version).build())
            .build();
        Ok(Some(Self(provider)))
    }

    /// What a serving thread makes spans with.
    pub fn tracing(&self, seed: u64) -> Tracing {
        let variable = |name| std::env::var(name).ok();
        let ratio = ratio(
            variable("OTEL_TRACES_SAMPLER").as_deref(),
            variable("OTEL_TRACES_SAMPLER_ARG").as_deref(),
        );
        Tracing {
            tracer: Some(Arc::new(self.0.tracer(SERVICE))),
            ratio,
            random: Cell::new(seed | 1),
        }
    }

    /// Sends what is left, for at most a second.
    pub fn shutdown(&self) {
        if let Err(error) = self.0.shutdown_with_timeout(Duration::from_secs(1)) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// The share of requests that starts a trace, by the sampler that OpenTelemetry's environment names.
fn ratio(sampler: Option<&str>, argument: Option<&str>) -> f64 {
    let given = argument
        .and_then(|a| a.parse().ok())
        .filter(|r: &f64| (0.0..=1.0).contains(r));
    match sampler {
        Some("always_on" | "parentbased_always_on") => 1.0,
        Some("always_off" | "parentbased_always_off") => 0.0,
        _ => given.unwrap_or(DEFAULT_RATIO),
    }
}

/// Decides whether a request is traced, before anything is made for it.
pub struct Tracing {
    tracer: Option<Arc<SdkTracer>>,
    ratio: f64,
    random: Cell<u64>,
}

impl Tracing {
    /// Traces nothing.
    pub fn off() -> Self {
        Self {
            tracer: None,
            ratio: 0.0,
            random: Cell::new(1),
        }
    }

    /// A span for this request, if it is sampled: by its parent, else by the ratio.
    pub fn begin(&self, headers: &HeaderMap) -> Option<RequestSpan> {
        let tracer = self.tracer.as_ref()?;
        let parent = headers
            .get("traceparent")
            .and_then(|value| parse_parent(value.as_bytes()));
        let context = match parent {
            Some(parent) if parent.is_sampled() => Context::new().with_remote_span_context(parent),
            Some(_) => return None,
            None if self.draw() < self.ratio => Context::new(),
            None => return None,
        };
        let span = tracer.span_builder("POST /predict").with_kind(SpanKind::Server);
        Some(RequestSpan(span.start_with_context(tracer.as_ref(), &context)))
    }

    /// A number in 0..1 (xorshift64).
    fn draw(&self) -> f64 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        (x >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The span of one sampled request.
pub struct RequestSpan(Span);

impl RequestSpan {
    /// Notes the outcome and ends the span.
    pub fn end(mut self, status: u16, decision: Option<&'static str>, id: &HeaderValue) {
        self.0.set_attribute(KeyValue::new("http.request.method", "POST"));
        self.0.set_attribute(KeyValue::new("url.path", "/predict"));
        self.0
            .set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if let Ok(id) = id.to_str() {
            self.0
                .set_attribute(KeyValue::new("http.request.id", id.to_owned()));
        }
        if let Some(decision) = decision {
            self.0.set_attribute(KeyValue::new("fraud.decision", decision));
        }
        self.0.end();
    }
}

/// W3C traceparent, version 00 and later ones that begin alike.
fn parse_parent(header: &[u8]) -> Option<SpanContext> {
    let text = std::str::from_utf8(header).ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let sizes = [version.len(), trace.len(), span.len(), flags.len()];
    if sizes != [2, 32, 16, 2] || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_parent_is_read_and_broken_ones_are_ignored() {
        assert!(parse_parent(PARENT.as_bytes()).unwrap().is_sampled());
        for bad in [
            "",
            "00",
            &PARENT[..54],
            &format!("{PARENT}-x"),
            &PARENT.replace('4', "0").replace(char::is_alphabetic, "0"),
        ] {
            let zero_is_invalid = parse_parent(bad.as_bytes()).is_none_or(|c| c.is_valid());
            assert!(zero_is_invalid, "{bad}");
        }
        assert!(parse_parent(b"00-00000000000000000000000000000000-00f067aa0ba902b7-01").is_none());
        assert!(parse_parent(format!("{PARENT}-x").as_bytes()).is_none());
    }

    #[test]
    fn the_ratio_follows_the_environment_of_opentelemetry() {
        assert_eq!(ratio(None, None), DEFAULT_RATIO);
        assert_eq!(ratio(Some("parentbased_traceidratio"), Some("0.5")), 0.5);
        assert_eq!(ratio(Some("always_on"), None), 1.0);
        assert_eq!(ratio(Some("always_off"), Some("1")), 0.0);
        assert_eq!(ratio(Some("traceidratio"), Some("seven")), DEFAULT_RATIO);
    }

    #[test]
    fn sampling_follows_the_parent_else_the_ratio() {
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .build();
        let tracing = |ratio| Tracing {
            tracer: Some(Arc::new(provider.tracer("test"))),
            ratio,
            random: Cell::new(7),
        };
        let mut headers = HeaderMap::new();
        assert!(tracing(0.0).begin(&headers).is_none() && tracing(1.0).begin(&headers).is_some());
        headers.insert("traceparent", HeaderValue::from_static(PARENT));
        assert!(tracing(0.0).begin(&headers).is_some(), "a sampled parent wins");
        headers.insert(
            "traceparent",
            HeaderValue::from_str(&PARENT.replace("-01", "-00")).unwrap(),
        );
        assert!(tracing(1.0).begin(&headers).is_none(), "so does one that is not");
        assert!(Tracing::off().begin(&headers).is_none());
        let tenth = tracing(0.1);
        let hits = (0..10_000).filter(|_| tenth.draw() < 0.1).count();
        assert!((800..1200).contains(&hits), "{hits}");
    }
}
