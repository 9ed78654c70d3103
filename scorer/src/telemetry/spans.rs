//! Which requests are traced: decided before anything is made for a span.

use std::{
    cell::Cell,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::{counts::Counts, parent::remote_parent};

/// Share of the requests without a parent that are traced, unless OTEL_TRACES_SAMPLER says otherwise.
const DEFAULT_RATIO: f64 = 0.01;

/// Requests a second of one thread that are traced because their caller is: whoever may call could otherwise make every
/// request cost a span.
const PARENTS_PER_SECOND: u32 = 100;

/// The share of requests that starts a trace, by the sampler that OpenTelemetry's environment names.
pub fn ratio(sampler: Option<&str>, argument: Option<&str>) -> f64 {
    let given = argument
        .and_then(|a| a.parse().ok())
        .filter(|r: &f64| (0.0..=1.0).contains(r));
    match sampler {
        Some("always_on" | "parentbased_always_on") => 1.0,
        Some("always_off" | "parentbased_always_off") => 0.0,
        _ => given.unwrap_or(DEFAULT_RATIO),
    }
}

/// Decides whether a request is traced. Belongs to one thread.
pub struct Tracing {
    tracer: Option<SdkTracer>,
    ratio: f64,
    random: Cell<u64>,
    parents: Allowance,
    began: Instant,
    counts: Arc<Counts>,
}

impl Tracing {
    /// Traces nothing.
    pub fn off() -> Self {
        Self::new(None, 0.0, 1, Arc::default())
    }

    pub(super) fn new(tracer: Option<SdkTracer>, ratio: f64, seed: u64, counts: Arc<Counts>) -> Self {
        Self {
            tracer,
            ratio,
            random: Cell::new(seed | 1),
            parents: Allowance::new(PARENTS_PER_SECOND),
            began: Instant::now(),
            counts,
        }
    }

    /// A span for this prediction, if it is sampled: by its parent, else by the ratio.
    pub fn begin(&self, headers: &HeaderMap) -> Option<RequestSpan> {
        self.begin_at("/predict", "POST /predict", headers)
    }

    /// The same for another route: its path, and the span's name.
    pub fn begin_at(
        &self,
        path: &'static str,
        name: &'static str,
        headers: &HeaderMap,
    ) -> Option<RequestSpan> {
        let tracer = self.tracer.as_ref()?;
        let context = match remote_parent(headers) {
            Some(parent) if !parent.is_sampled() => return None,
            Some(parent) => {
                if !self.parents.take(self.began.elapsed()) {
                    self.counts.limited.fetch_add(1, Relaxed);
                    return None;
                }
                Context::new().with_remote_span_context(parent)
            }
            None if self.draw() < self.ratio => Context::new(),
            None => return None,
        };
        let span = tracer.span_builder(name).with_kind(SpanKind::Server);
        Some(RequestSpan {
            span: span.start_with_context(tracer, &context),
            path,
        })
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

/// So many in each second, for one thread.
struct Allowance {
    per_second: u32,
    second: Cell<u64>,
    taken: Cell<u32>,
}

impl Allowance {
    fn new(per_second: u32) -> Self {
        Self {
            per_second,
            second: Cell::new(0),
            taken: Cell::new(0),
        }
    }

    /// `now` is the time since some fixed moment.
    fn take(&self, now: Duration) -> bool {
        if self.second.replace(now.as_secs()) != now.as_secs() {
            self.taken.set(0);
        }
        let free = self.taken.get() < self.per_second;
        self.taken.set(self.taken.get() + u32::from(free));
        free
    }
}

/// The span of one sampled request.
pub struct RequestSpan {
    span: Span,
    path: &'static str,
}

impl RequestSpan {
    /// Id of the trace, for exemplars and the decision log.
    pub fn trace_id(&self) -> [u8; 16] {
        self.span.span_context().trace_id().to_bytes()
    }

    /// Notes the outcome and ends the span.
    pub fn end(mut self, status: u16, decision: Option<&'static str>, id: &HeaderValue) {
        let span = &mut self.span;
        span.set_attribute(KeyValue::new("http.request.method", "POST"));
        span.set_attribute(KeyValue::new("url.path", self.path));
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if let Ok(id) = id.to_str() {
            span.set_attribute(KeyValue::new("http.request.id", id.to_owned()));
        }
        if let Some(decision) = decision {
            span.set_attribute(KeyValue::new("fraud.decision", decision));
        }
        span.end();
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn tracing(ratio: f64) -> Tracing {
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .build();
        Tracing::new(Some(provider.tracer("test")), ratio, 7, Arc::default())
    }

    fn headers(parent: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_str(parent).unwrap());
        headers
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
        let none = HeaderMap::new();
        assert!(tracing(0.0).begin(&none).is_none() && tracing(1.0).begin(&none).is_some());
        let span = tracing(0.0)
            .begin(&headers(PARENT))
            .expect("a sampled parent wins");
        assert_eq!(span.trace_id()[..2], [0x4b, 0xf9]);
        let unsampled = headers(&PARENT.replace("-01", "-00"));
        assert!(
            tracing(1.0).begin(&unsampled).is_none(),
            "so does one that is not"
        );
        assert!(tracing(1.0).begin(&headers("nonsense")).is_some(), "a new trace");
        assert!(tracing(0.0).begin(&headers("nonsense")).is_none());
        assert!(Tracing::off().begin(&headers(PARENT)).is_none());
        let tenth = tracing(0.1);
        let hits = (0..10_000).filter(|_| tenth.draw() < 0.1).count();
        assert!((800..1200).contains(&hits), "{hits}");
    }

    #[test]
    fn callers_cannot_make_every_request_cost_a_span() {
        let tracing = tracing(0.0);
        let headers = headers(PARENT);
        let traced = (0..1000).filter(|_| tracing.begin(&headers).is_some()).count();
        // The loop may see the turn of a second or two.
        assert!((100..=300).contains(&traced), "{traced}");
        assert_eq!(tracing.counts.limited.load(Relaxed), 1000 - traced as u64);
    }

    #[test]
    fn the_allowance_is_renewed_each_second() {
        let allowance = Allowance::new(2);
        let taken: Vec<_> = [0, 100, 200, 999, 1000, 1001, 1002, 5000]
            .map(|ms| allowance.take(Duration::from_millis(ms)))
            .into();
        assert_eq!(taken, [true, true, false, false, true, true, false, true]);
    }
}
