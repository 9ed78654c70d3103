//! `fetch` with a cache that pods of a node share, and volumes that are full.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::{
    origin::{Origin, Reply},
    resuming::noise,
    server::fixture,
    volume::{Volume, model, pinned, pull, registry, sha256, tagged},
};

fn entry(cache: &TempDir) -> PathBuf {
    let digest = sha256(&model());
    cache.path().join("sha256").join(&digest[..2]).join(digest)
}

fn with_cache<'a>(cache: &'a TempDir, more: &[&'a str]) -> Vec<&'a str> {
    let place = cache.path().to_str().unwrap();
    [&["--cache", place], more].concat()
}

#[test]
fn the_second_pod_of_a_node_takes_the_file_from_the_cache() {
    let (cache, origin) = (tempfile::tempdir().unwrap(), Origin::http(registry));
    for _ in 0..2 {
        let volume = Volume::new();
        volume.assert_fetched(&pull(
            &volume,
            &origin,
            &pinned(&origin),
            &with_cache(&cache, &[]),
        ));
    }
    let blobs = origin.paths().iter().filter(|p| p.contains("/blobs/")).count();
    assert_eq!(blobs, 1);
    assert_eq!(fs::read(entry(&cache)).unwrap(), model());
}

#[test]
fn a_cached_file_whose_digest_is_known_needs_no_server() {
    let (cache, origin) = (tempfile::tempdir().unwrap(), Origin::http(registry));
    let digest = sha256(&model());
    let arguments = with_cache(&cache, &["--sha256", &digest]);
    let first = Volume::new();
    first.assert_fetched(&pull(&first, &origin, &tagged(&origin), &arguments));
    let asked = origin.paths().len();
    for uri in [
        tagged(&origin),
        "https://gone.invalid/m.onnx".to_owned(),
        "s3://gone/m.onnx".to_owned(),
    ] {
        let volume = Volume::new();
        volume.assert_fetched(&volume.fetch(&uri, &arguments));
    }
    assert_eq!(origin.paths().len(), asked);
}

#[test]
fn a_poisoned_file_is_dropped_and_fetched_anew() {
    let (cache, origin) = (tempfile::tempdir().unwrap(), Origin::http(registry));
    let path = entry(&cache);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"evil").unwrap();
    let volume = Volume::new();
    let output = pull(&volume, &origin, &pinned(&origin), &with_cache(&cache, &[]));
    volume.assert_fetched(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("unusable and dropped"));
    assert_eq!(fs::read(&path).unwrap(), model(), "the right file took its place");
}

/// Runs `fetch` with a file system of 1 MB on `place`; answers the files that are left there, too.
fn in_a_megabyte(volume: &Volume, place: &Path, mut fetch: Command) -> Option<(Output, String)> {
    fetch.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let left = volume.directory.path().join("left");
    let script = "mount -t tmpfs -o size=1m tmpfs \"$0\" || exit 99; left=$1; shift; \"$@\"; code=$?; \
                  find \"$0\" -type f >\"$left\"; exit $code";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(place)
        .arg(&left)
        .arg(fetch.get_program())
        .args(fetch.get_args())
        .envs(fetch.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(99) || stderr.starts_with("unshare:") {
        eprintln!("SKIPPED: no file system can be mounted here: {stderr}");
        return None;
    }
    Some((output, fs::read_to_string(left).unwrap()))
}

/// A local file of 3 MB.
fn large(volume: &Volume) -> (String, String) {
    let (path, content) = (volume.directory.path().join("large"), noise(3_000_000, 5));
    fs::write(&path, &content).unwrap();
    (format!("file://{}", path.display()), sha256(&content))
}

#[test]
fn a_volume_that_runs_full_is_named_and_left_empty() {
    let volume = Volume::new();
    let (uri, digest) = large(&volume);
    let place = volume.directory.path().join("model");
    let Some((output, left)) = in_a_megabyte(&volume, &place, volume.command(&uri, &["--sha256", &digest]))
    else {
        return;
    };
    let message = volume.assert_failed(&output, "WriteFailed");
    assert!(message.contains("No space left on device"), "{message}");
    assert_eq!(left, "");
}

#[test]
fn a_cache_that_runs_full_stops_nothing_and_is_left_empty() {
    let (volume, cache) = (Volume::new(), tempfile::tempdir().unwrap());
    let content = noise(3_000_000, 6);
    let served = content.clone();
    let origin = Origin::https(move |_| Reply::ok(served.clone()));
    let uri = format!("https://localhost:{}/m.onnx", origin.address.port());
    let digest = sha256(&content);
    let mut fetch = volume.command(&uri, &with_cache(&cache, &["--sha256", &digest]));
    fetch.env("SSL_CERT_FILE", origin.certificate());
    let outcome = in_a_megabyte(&volume, cache.path(), fetch);
    let Some((output, left)) = outcome else { return };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("not in the node's cache") && stderr.contains("No space left"),
        "{stderr}"
    );
    volume.assert_content(&content);
    assert_eq!(left, "");
}

#[test]
fn local_files_are_not_cached() {
    let (volume, cache) = (Volume::new(), tempfile::tempdir().unwrap());
    let uri = format!("file://{}", fixture("tiny.onnx").display());
    let digest = sha256(&model());
    volume.assert_fetched(&volume.fetch(&uri, &with_cache(&cache, &["--sha256", &digest])));
    assert!(!entry(&cache).exists());
}
