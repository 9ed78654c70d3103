//! Which format a scraper wants, by its `Accept` header (RFC 9110, section 12.5.1).

use super::Format;

/// How well a header's range fits a format: the more specific range decides, then its weight.
type Fit = (u8, f32);

impl Format {
    /// The format that these `Accept` headers prefer. Prometheus' text format when they have no preference, or want neither:
    /// a page in the wrong format says more than a 406.
    pub fn accepted<'a>(headers: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut open, mut text) = ((0, 0.0), (0, 0.0));
        for range in headers.into_iter().flat_map(|header| header.split(',')) {
            let Some(range) = Range::parse(range) else {
                continue;
            };
            better(&mut open, range.fit("application", "openmetrics-text", "1.0.0"));
            better(&mut text, range.fit("text", "plain", "0.0.4"));
        }
        if open.1 > text.1 || (open.1 == text.1 && open.0 > text.0 && open.1 > 0.0) {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }
}

fn better(best: &mut Fit, fit: Option<Fit>) {
    if let Some(fit) = fit
        && (fit.0 > best.0 || (fit.0 == best.0 && fit.1 > best.1))
    {
        *best = fit;
    }
}

struct Range {
    kind: String,
    subtype: String,
    version: Option<String>,
    weight: f32,
}

impl Range {
    /// None when it cannot be read: such a range asks for nothing.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut range = Self {
            kind: kind.trim().to_ascii_lowercase(),
            subtype: subtype.trim().to_ascii_lowercase(),
            version: None,
            weight: 1.0,
        };
        for parameter in parts.filter(|part| !part.is_empty()) {
            let (name, value) = parameter.split_once('=')?;
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => range.weight = value.parse().ok().filter(|q| (0.0..=1.0).contains(q))?,
                "version" => range.version = Some(value.to_owned()),
                _ => {} // charset, escaping: one of each only
            }
        }
        Some(range)
    }

    fn fit(&self, kind: &str, subtype: &str, version: &str) -> Option<Fit> {
        let specificity = match (self.kind.as_str(), self.subtype.as_str(), self.version.as_deref()) {
            (k, s, Some(v)) if k == kind && s == subtype && v == version => 4,
            (k, s, None) if k == kind && s == subtype => 3,
            (k, "*", _) if k == kind => 2,
            ("*", "*", _) => 1,
            _ => return None,
        };
        Some((specificity, self.weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_decides() {
        use Format::{OpenMetrics, Text};
        for (accept, format) in [
            ("", Text),
            ("*/*", Text),
            ("text/plain", Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text ; Version=\"1.0.0\"", OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Text),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=0,*/*", Text),
            ("application/openmetrics-text;q=0.4,text/plain;q=0.5", Text),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.4", OpenMetrics),
            ("application/openmetrics-text,*/*", OpenMetrics),
            ("application/openmetrics-text;q=2", Text),
            ("application/openmetrics-text;q=much", Text),
            ("application/json", Text),
            // Prometheus 3.
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                OpenMetrics,
            ),
            // Prometheus with `scrape_protocols: [PrometheusText0.0.4]`.
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.2", Text),
        ] {
            assert_eq!(Format::accepted([accept]), format, "{accept}");
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        let headers = ["text/plain;q=0.1", "application/openmetrics-text;q=0.9"];
        assert_eq!(Format::accepted(headers), Format::OpenMetrics);
        assert_eq!(Format::accepted([]), Format::Text);
    }
}
