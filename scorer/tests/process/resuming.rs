//! `fetch` over connections that break: it goes on where it stopped, and begins anew when the file has changed.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{
    origin::{Asked, Origin, Reply},
    proxy::Proxy,
    registry::Registry,
    volume::{Volume, sha256},
};

/// `len` bytes without a pattern that a wrong join could hide in.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn a_blob_of_a_registry_goes_on_where_the_connection_broke() {
    let Some(registry) = Registry::start() else { return };
    let (volume, model) = (Volume::new(), noise(4_000_000, 1));
    let digest = registry.push("1", &model);
    let proxy = Proxy::cutting(registry.0.address, &[1_000_000, 1_500_000]);
    let uri = format!("oci://{}/fraud/card@sha256:{digest}", proxy.address);
    let host = proxy.address.to_string();
    let output = volume.fetch(&uri, &["--insecure-registry", &host, "--retries", "0"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    volume.assert_content(&model);
    assert_eq!(proxy.connections(), 3);
    let more = proxy.relayed() - model.len();
    assert!(
        more < 20_000,
        "{more} bytes beyond the file came: heads, or parts twice"
    );
}

/// A file with an ETag, as a server sends it that knows ranges; the first answer breaks off.
fn ranged(asked: &Asked, first: bool, content: &[u8], etag: &str) -> Reply {
    let same = asked.header("if-range").is_none_or(|tag| tag == etag);
    let range = asked.header("range").filter(|_| same);
    let from = range.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let reply = match from {
        Some(from) => Reply {
            status: 206,
            ..Reply::ok(&content[from..])
        }
        .header(
            "content-range",
            format!("bytes {from}-{}/{}", content.len() - 1, content.len()),
        ),
        None => Reply::ok(content),
    };
    Reply {
        cut: first.then_some(100_000),
        ..reply.header("etag", etag)
    }
}

fn fetch_over_https(origin: &Origin, volume: &Volume, content: &[u8]) {
    let uri = format!("https://localhost:{}/model.onnx", origin.address.port());
    let arguments = ["--sha256", &sha256(content), "--retries", "0"];
    let output = volume.fetch_with(&uri, &arguments, &[("SSL_CERT_FILE", origin.certificate())]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    volume.assert_content(content);
}

fn second_request(origin: &Origin) -> (Option<String>, Option<String>) {
    let asked = origin.asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    let header = |name| asked[1].header(name).map(str::to_owned);
    (header("range"), header("if-range"))
}

#[test]
fn a_file_of_a_web_server_goes_on_where_the_connection_broke() {
    let (volume, content, count) = (Volume::new(), noise(300_000, 2), AtomicUsize::new(0));
    let served = content.clone();
    let origin = Origin::https(move |asked| {
        ranged(asked, count.fetch_add(1, Ordering::SeqCst) == 0, &served, "\"a\"")
    });
    fetch_over_https(&origin, &volume, &content);
    let (range, if_range) = second_request(&origin);
    assert_eq!(range.as_deref(), Some("bytes=100000-"));
    assert_eq!(if_range.as_deref(), Some("\"a\""));
}

#[test]
fn a_file_that_changed_meanwhile_is_fetched_anew() {
    let (volume, old, new) = (Volume::new(), noise(300_000, 3), noise(300_000, 4));
    let (served, count) = (new.clone(), AtomicUsize::new(0));
    let origin = Origin::https(move |asked| match count.fetch_add(1, Ordering::SeqCst) {
        0 => ranged(asked, true, &old, "\"old\""),
        _ => ranged(asked, false, &served, "\"new\""),
    });
    fetch_over_https(&origin, &volume, &new);
    assert_eq!(second_request(&origin).1.as_deref(), Some("\"old\""));
}
