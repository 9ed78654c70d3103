//! Operational logs: to stderr, and warnings and errors to the collector too.

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, Severity};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

use super::lossy::{Lines, Lossy};
use crate::config::LogFormat;

/// Whose logs are exported. Those of the libraries that export them are not, or one failure would feed the next.
const OURS: &str = "fraudops_scorer";

/// Longest text of an exported record, in bytes.
const MAX_TEXT: usize = 4096;

/// Starts logging to stderr. `filter` is `info` or finer, as RUST_LOG would have it. What comes back writes the lines: it is
/// to be flushed at the end.
pub fn start_logs(format: LogFormat, filter: &str) -> Arc<Lossy> {
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
    let lossy = Lossy::start(io::stderr());
    let writer = Arc::clone(&lossy);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || Lines(Arc::clone(&writer)))
        // A log that cannot be written is lost. Otherwise it would be reported on stderr, which panics when that is closed.
        .log_internal_errors(false)
        .with_target(false);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    let registry = tracing_subscriber::registry()
        .with(lines)
        .with(Bridge::default())
        .with(parsed);
    // A second start in one process keeps the first.
    let _ = registry.try_init();
    std::panic::set_hook(Box::new(|info| {
        // Without the message: it may quote what a client sent.
        let place = info.location().map(|l| format!("{}:{}", l.file(), l.line()));
        tracing::error!(at = place.as_deref().unwrap_or("unknown"), "a panic was caught");
    }));
    lossy
}

/// Sends warnings and errors to the collector from now on. Without `start_logs` there are none.
pub fn export_logs(logger: &SdkLogger) {
    tracing::dispatcher::get_default(|dispatch| {
        if let Some(bridge) = dispatch.downcast_ref::<Bridge>() {
            // A second exporter in one process finds the place taken, and the first goes on.
            let _ = bridge.0.set(logger.clone());
        }
    });
}

/// From `tracing` to OpenTelemetry's logs, once there is somewhere to send them.
#[derive(Default)]
pub(super) struct Bridge(OnceLock<SdkLogger>);

impl<S: Subscriber> Layer<S> for Bridge {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        let Some(logger) = self.0.get() else {
            return;
        };
        let Some(severity) = severity(*about.level()).filter(|_| about.target().starts_with(OURS)) else {
            return;
        };
        let mut record = logger.create_log_record();
        let now = SystemTime::now();
        record.set_timestamp(now);
        record.set_observed_timestamp(now);
        record.set_severity_number(severity);
        record.set_severity_text(about.level().as_str());
        record.set_target(about.target());
        event.record(&mut Fields(&mut record));
        logger.emit(record);
    }
}

fn severity(level: Level) -> Option<Severity> {
    match level {
        Level::ERROR => Some(Severity::Error),
        Level::WARN => Some(Severity::Warn),
        _ => None,
    }
}

struct Fields<'a>(&'a mut SdkLogRecord);

impl Fields<'_> {
    fn add(&mut self, field: &Field, value: AnyValue) {
        if field.name() == "message" {
            self.0.set_body(value);
        } else {
            self.0.add_attribute(field.name(), value);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let end = value.floor_char_boundary(MAX_TEXT);
        self.add(field, AnyValue::from(value[..end].to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, AnyValue::Int(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, AnyValue::Double(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, AnyValue::Boolean(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
