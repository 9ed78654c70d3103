//! The typed writer of one scrape, in Prometheus' text format 0.0.4 or in OpenMetrics 1.0.
//!
//! The two differ in the names of counters' families, in escapes, and in what only OpenMetrics has: units, times of
//! creation, exemplars and an end mark. Who collects does not see which one is written.

use std::fmt::{self, Display, Write as _};

use super::Exemplar;

/// Something that has counters to show. A module with metrics of its own registers one.
///
/// Families are for one collector only: a name that two of them write makes the page invalid.
pub trait Collect: Send + Sync {
    /// Writes all families, every series of them, also those at zero.
    fn collect(&self, out: &mut Exposition);
}

/// Names and values of a sample's labels. Both come from code or configuration, never from a request.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The answer's `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// One scrape on its way.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    page: String,
    /// Labels of every sample, as they are written.
    constant: String,
    /// When all counters of this process began, in Unix seconds, if that is to be said.
    created: Option<f64>,
    families: Vec<String>,
}

impl Exposition {
    /// An empty page. `created` is the Unix time at which the counters began.
    pub fn new(format: Format, created: f64) -> Self {
        Self {
            format,
            page: String::with_capacity(16 * 1024),
            constant: String::new(),
            created: Some(created),
            families: Vec::new(),
        }
    }

    /// From here on every sample carries these labels too.
    pub fn label_all(&mut self, labels: Labels<'_>) {
        self.constant.clear();
        for (name, value) in labels {
            push_label(&mut self.constant, name, value);
        }
    }

    /// From here on nothing is said of when counters began: a reader would take it that they were zero then.
    pub fn leave_out_creation(&mut self) {
        self.created = None;
    }

    /// A family of counters; `name` with or without `_total`.
    pub fn counter<'a>(&'a mut self, name: &'a str, help: &str) -> Counter<'a> {
        let name = name.strip_suffix("_total").unwrap_or(name);
        match self.format {
            Format::Text => self.family(name, "_total", "counter", help),
            Format::OpenMetrics => self.family(name, "", "counter", help),
        }
        Counter { out: self, name }
    }

    /// A family of gauges.
    pub fn gauge<'a>(&'a mut self, name: &'a str, help: &str) -> Gauge<'a> {
        self.family(name, "", "gauge", help);
        Gauge { out: self, name }
    }

    /// One fact in labels; `name` with or without `_info`.
    pub fn info(&mut self, name: &str, help: &str, labels: Labels<'_>) {
        let name = name.strip_suffix("_info").unwrap_or(name);
        match self.format {
            Format::Text => self.family(name, "_info", "gauge", help),
            Format::OpenMetrics => self.family(name, "", "info", help),
        }
        self.sample(name, "_info", labels, Number::Whole(1));
    }

    /// A family of histograms.
    pub fn histogram<'a>(&'a mut self, name: &'a str, help: &str) -> Histograms<'a> {
        self.family(name, "", "histogram", help);
        Histograms { out: self, name }
    }

    /// The whole page.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.page.push_str("# EOF\n");
        }
        self.page
    }

    fn family(&mut self, name: &str, suffix: &str, kind: &str, help: &str) {
        debug_assert!(
            !self.families.iter().any(|known| known == name),
            "{name} is written twice"
        );
        self.families.push(name.to_owned());
        let _ = writeln!(self.page, "# TYPE {name}{suffix} {kind}");
        if let (Format::OpenMetrics, Some(unit)) = (self.format, unit(name)) {
            let _ = writeln!(self.page, "# UNIT {name} {unit}");
        }
        let _ = write!(self.page, "# HELP {name}{suffix} ");
        escape(&mut self.page, help, self.format == Format::OpenMetrics);
        self.page.push('\n');
    }

    /// Everything of a line before its value.
    fn series(&mut self, name: &str, suffix: &str, labels: Labels<'_>, le: Option<f64>) {
        let _ = write!(self.page, "{name}{suffix}");
        if self.constant.is_empty() && labels.is_empty() && le.is_none() {
            return;
        }
        let opened = self.page.len();
        self.page.push_str(&self.constant);
        for (name, value) in labels {
            push_label(&mut self.page, name, value);
        }
        match le {
            // With a point, as OpenMetrics has it: a series keeps its identity when the format changes.
            Some(bound) if bound.is_finite() => {
                let _ = write!(self.page, "le=\"{bound:?}\",");
            }
            Some(_) => self.page.push_str("le=\"+Inf\","),
            None => {}
        }
        self.page.pop();
        self.page.insert(opened, '{');
        self.page.push('}');
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: Labels<'_>, value: Number) {
        self.series(name, suffix, labels, None);
        let _ = writeln!(self.page, " {value}");
    }

    fn counted(&mut self, name: &str, suffix: &str, labels: Labels<'_>, le: Option<f64>, point: &Point<'_>) {
        self.series(name, suffix, labels, le);
        let _ = write!(self.page, " {}", point.value);
        if let (Format::OpenMetrics, Some(exemplar)) = (self.format, point.exemplar) {
            let _ = write!(self.page, " # {exemplar}");
        }
        self.page.push('\n');
    }

    fn created(&mut self, name: &str, labels: Labels<'_>) {
        if let (Format::OpenMetrics, Some(created)) = (self.format, self.created) {
            self.sample(name, "_created", labels, Number::Real(created));
        }
    }
}

struct Point<'a> {
    value: Number,
    exemplar: Option<&'a Exemplar>,
}

/// Writes the samples of a family of counters.
pub struct Counter<'a> {
    out: &'a mut Exposition,
    name: &'a str,
}

impl Counter<'_> {
    /// One counter.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Into<Number>) -> &mut Self {
        self.sample_with(labels, value, None)
    }

    /// One counter, with a request that it counted.
    pub fn sample_with(
        &mut self,
        labels: Labels<'_>,
        value: impl Into<Number>,
        exemplar: Option<&Exemplar>,
    ) -> &mut Self {
        let value = value.into();
        let point = Point { value, exemplar };
        self.out.counted(self.name, "_total", labels, None, &point);
        self.out.created(self.name, labels);
        self
    }
}

/// Writes the samples of a family of gauges.
pub struct Gauge<'a> {
    out: &'a mut Exposition,
    name: &'a str,
}

impl Gauge<'_> {
    /// One gauge.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Into<Number>) -> &mut Self {
        self.out.sample(self.name, "", labels, value.into());
        self
    }
}

/// What one histogram has counted.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'a> {
    /// Upper bounds, ascending, without +Inf.
    pub bounds: &'a [f64],
    /// Counts of each bin, not cumulative; one more than the bounds.
    pub counts: &'a [u64],
    /// Sum of all values.
    pub sum: f64,
    /// For each bin a request that it counted; may be shorter.
    pub exemplars: &'a [Option<Exemplar>],
}

/// Writes the samples of a family of histograms.
pub struct Histograms<'a> {
    out: &'a mut Exposition,
    name: &'a str,
}

impl Histograms<'_> {
    /// One histogram.
    pub fn sample(&mut self, labels: Labels<'_>, buckets: &Buckets<'_>) -> &mut Self {
        let bounds = buckets.bounds.iter().copied().chain([f64::INFINITY]);
        let mut all = 0;
        for (bin, (bound, count)) in bounds.zip(buckets.counts).enumerate() {
            all += count;
            let point = Point {
                value: Number::Whole(all),
                exemplar: buckets.exemplars.get(bin).and_then(Option::as_ref),
            };
            self.out
                .counted(self.name, "_bucket", labels, Some(bound), &point);
        }
        self.out
            .sample(self.name, "_sum", labels, Number::Real(buckets.sum));
        self.out.sample(self.name, "_count", labels, Number::Whole(all));
        self.out.created(self.name, labels);
        self
    }
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A count.
    Whole(u64),
    /// Anything else.
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Real(value) if value.is_nan() => f.write_str("NaN"),
            Self::Real(value) if value.is_infinite() => {
                f.write_str(if *value > 0.0 { "+Inf" } else { "-Inf" })
            }
            Self::Real(value) => write!(f, "{value}"),
        }
    }
}

/// The unit that a family's name ends with.
fn unit(name: &str) -> Option<&'static str> {
    ["seconds", "bytes"]
        .into_iter()
        .find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
}

fn push_label(to: &mut String, name: &str, value: &str) {
    to.push_str(name);
    to.push_str("=\"");
    escape(to, value, true);
    to.push_str("\",");
}

/// Quotes are escaped in labels, and in OpenMetrics' help; Prometheus' help takes them as they are.
fn escape(to: &mut String, text: &str, quotes: bool) {
    for character in text.chars() {
        match character {
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '"' if quotes => to.push_str("\\\""),
            other => to.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
