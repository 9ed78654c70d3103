//! Parsers of single values. Each refusal says what a right value looks like.

use std::ops::Deref;
use std::time::Duration;

use jiff::SignedDuration;
use tracing_subscriber::EnvFilter;

use crate::neighbours::Pods;

/// A comma-separated list, sorted and without repetitions; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Deref for Names {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl FromIterator<String> for Names {
    fn from_iter<I: IntoIterator<Item = String>>(items: I) -> Self {
        let mut names: Vec<String> = items.into_iter().collect();
        names.sort();
        names.dedup();
        Self(names)
    }
}

/// A namespace: an RFC 1123 label.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let well_formed = (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    well_formed.then(|| text.to_owned()).ok_or_else(|| {
        format!("\"{text}\" is not a namespace: use lower-case letters, digits and \"-\", at most 63")
    })
}

/// Namespaces, separated by commas.
pub(super) fn namespaces(text: &str) -> Result<Names, String> {
    list(text, namespace)
}

/// An image reference; only what can never be one is refused.
pub(super) fn image(text: &str) -> Result<String, String> {
    let graphic = !text.is_empty() && text.len() <= 512 && text.chars().all(|c| c.is_ascii_graphic());
    graphic.then(|| text.to_owned()).ok_or_else(|| {
        format!("\"{text}\" is not an image: give REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST")
    })
}

/// Registries as HOST or HOST:PORT, separated by commas.
pub(super) fn registries(text: &str) -> Result<Names, String> {
    list(text, |host| {
        let bare = !host.contains("://") && !host.contains('/');
        let authority = host
            .parse::<http::uri::Authority>()
            .ok()
            .filter(|_| bare && !host.contains('@'));
        authority
            .map(|authority| authority.to_string())
            .ok_or_else(|| format!("\"{host}\" is not a registry: give HOST:PORT without scheme and path"))
    })
}

/// Pods: `any`, or labels with or without a namespace.
pub(super) fn pods(text: &str) -> Result<Pods, String> {
    text.parse()
}

/// A filter of log lines.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text)
        .map(|_| text.to_owned())
        .map_err(|err| format!("{err}; give a level (error, warn, info, debug, trace) or target=level pairs"))
}

/// A name for the holder of the Lease.
pub(super) fn identity(text: &str) -> Result<String, String> {
    let graphic = (1..=200).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    graphic
        .then(|| text.to_owned())
        .ok_or_else(|| String::from("give 1 to 200 printable ASCII characters without spaces"))
}

/// How long a Lease holds.
pub(super) fn lease_duration(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_secs(5), Duration::from_secs(300))
}

/// Time between two visits of an unchanged model.
pub(super) fn resync(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_secs(10), Duration::from_secs(24 * 3600))
}

/// Time that an unused version keeps its pods.
pub(super) fn removal_delay(text: &str) -> Result<Duration, String> {
    duration(text, Duration::ZERO, Duration::from_secs(600))
}

fn list(text: &str, item: impl Fn(&str) -> Result<String, String>) -> Result<Names, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(item)
        .collect()
}

fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let parsed: SignedDuration = text
        .parse()
        .map_err(|_| format!("\"{text}\" is not a time: write 15s, 5m or 1h30m"))?;
    let value = Duration::try_from(parsed).map_err(|_| String::from("a time can't be negative"))?;
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(format!(
        "{text} is out of range: give {}s to {}s",
        least.as_secs(),
        most.as_secs()
    ))
}
