//! Text exposition of counters that keep themselves: Prometheus' text format and OpenMetrics.

use std::fmt::{Display, Write as _};

/// The two formats. They differ here in how the family of a counter is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// Writes families to the end of a page. Every sample carries the label `model`.
#[derive(Debug)]
pub struct Exposition<'a> {
    out: &'a mut String,
    format: Format,
    model: String,
}

impl<'a> Exposition<'a> {
    /// Appends to `out`; `model` is the value of the label on every sample.
    pub fn new(out: &'a mut String, format: Format, model: &str) -> Self {
        Self {
            out,
            format,
            model: escape(model),
        }
    }

    /// Begins a counter; `name` ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str) {
        let family = match self.format {
            Format::Prometheus => name,
            Format::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
        };
        self.family(family, "counter", help);
    }

    /// Begins a gauge.
    pub fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, "gauge", help);
    }

    /// Begins a histogram; its samples are [`Self::histogram_sample`].
    pub fn histogram(&mut self, name: &str, help: &str) {
        self.family(name, "histogram", help);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample; values of labels are escaped.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.out, "{name}{{model=\"{}\"", self.model);
        for (label, text) in labels {
            let _ = write!(self.out, ",{label}=\"{}\"", escape(text));
        }
        let _ = writeln!(self.out, "}} {value}");
    }

    /// The samples of one histogram: `bins` has one more count than `bounds`, and the counts are not cumulative; `sum` is in
    /// units of 1e-9 and written without rounding.
    pub fn histogram_sample(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        bounds: &[f64],
        bins: &[u64],
        sum: u64,
    ) {
        let mut total = 0;
        let ends = bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (end, count) in ends.zip(bins) {
            total += count;
            let with_bound = [labels, &[("le", end.as_str())]].concat();
            self.sample(&format!("{name}_bucket"), &with_bound, total);
        }
        let (whole, fraction) = (sum / 1_000_000_000, sum % 1_000_000_000);
        self.sample(
            &format!("{name}_sum"),
            labels,
            format_args!("{whole}.{fraction:09}"),
        );
        self.sample(&format!("{name}_count"), labels, total);
    }
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formats_name_the_family_of_a_counter_differently() {
        for (format, family) in [(Format::Prometheus, "x_total"), (Format::OpenMetrics, "x")] {
            let mut page = String::new();
            let mut exposition = Exposition::new(&mut page, format, "a\"b");
            exposition.counter("x_total", "Things.");
            exposition.sample("x_total", &[("k", "v\\")], 3);
            let expected = format!(
                "# HELP {family} Things.\n# TYPE {family} counter\nx_total{{model=\"a\\\"b\",k=\"v\\\\\"}} 3\n"
            );
            assert_eq!(page, expected);
        }
    }

    #[test]
    fn a_histogram_is_cumulative_and_its_sum_is_exact() {
        let mut page = String::new();
        let mut exposition = Exposition::new(&mut page, Format::Prometheus, "m");
        exposition.histogram_sample("h", &[], &[0.5, 1.0], &[1, 2, 3], 1_000_000_001);
        let lines: Vec<_> = page.lines().collect();
        assert_eq!(lines[0], "h_bucket{model=\"m\",le=\"0.5\"} 1");
        assert_eq!(lines[2], "h_bucket{model=\"m\",le=\"+Inf\"} 6");
        assert_eq!(lines[3], "h_sum{model=\"m\"} 1.000000001");
        assert_eq!(lines[4], "h_count{model=\"m\"} 6");
    }
}
