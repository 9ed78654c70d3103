//! `fetch`: from registries, web servers and directories, good ones and bad ones.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    origin::{Origin, Reply},
    server::fixture,
    volume::{Volume, manifest, model, pinned, pull, registry, sha256, tagged},
};

#[test]
fn a_pinned_artifact_needs_no_other_digest() {
    let (volume, origin) = (Volume::new(), Origin::http(registry));
    let output = pull(&volume, &origin, &pinned(&origin), &[]);
    volume.assert_fetched(&output);
}

#[test]
fn a_tag_needs_the_digest_of_the_file() {
    let (volume, origin) = (Volume::new(), Origin::http(registry));
    let output = pull(&volume, &origin, &tagged(&origin), &[]);
    volume.assert_failed(&output, "InvalidURI");
    let output = pull(
        &volume,
        &origin,
        &tagged(&origin),
        &["--sha256", &sha256(&model())],
    );
    volume.assert_fetched(&output);
    let output = pull(
        &Volume::new(),
        &origin,
        &tagged(&origin),
        &["--sha256", &sha256(b"other")],
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("DigestMismatch: "));
}

#[test]
fn a_file_that_is_there_already_is_not_fetched_again() {
    let (volume, origin) = (Volume::new(), Origin::http(registry));
    let arguments = ["--sha256", &sha256(&model())];
    volume.assert_fetched(&pull(&volume, &origin, &tagged(&origin), &arguments));
    let before = origin.paths().len();
    volume.assert_fetched(&pull(&volume, &origin, &tagged(&origin), &arguments));
    assert_eq!(origin.paths().len(), before);
}

#[test]
fn credentials_and_tokens_open_a_private_registry_and_are_never_logged() {
    let (volume, secret) = (Volume::new(), tempfile::tempdir().unwrap());
    let origin = Origin::http(|asked| {
        let bearer = asked.authorization.as_deref() == Some("Bearer t0ken-secret");
        match asked.path.as_str() {
            path if path.starts_with("/token?") => match asked.authorization.as_deref() {
                Some("Basic Ym9iOnBhc3N3b3Jk") => Reply::ok(r#"{"token":"t0ken-secret"}"#),
                _ => Reply::status(401),
            },
            _ if bearer => registry(asked),
            _ => Reply::status(401),
        }
    });
    // The challenge must name the origin itself, whose port is known only now.
    let challenged = Origin::http({
        let realm = format!(
            "Bearer realm=\"http://{}/token\",service=\"test\"",
            origin.address
        );
        move |asked| {
            let allowed = asked.authorization.as_deref() == Some("Bearer t0ken-secret");
            if allowed {
                registry(asked)
            } else {
                Reply::status(401).header("www-authenticate", realm.clone())
            }
        }
    });
    let config = json!({"auths": {challenged.address.to_string(): {"auth": "Ym9iOnBhc3N3b3Jk"}}});
    fs::write(secret.path().join("config.json"), config.to_string()).unwrap();
    let tokens = origin.address.to_string();
    let docker = [
        "--docker-config",
        secret.path().to_str().unwrap(),
        "--log-filter",
        "trace",
        "--insecure-registry",
        &tokens,
    ];
    let output = pull(&volume, &challenged, &pinned(&challenged), &docker);
    volume.assert_fetched(&output);
    let stderr = String::from_utf8_lossy(&output.stderr);
    for word in ["password", "t0ken-secret", "Ym9iOnBhc3N3b3Jk"] {
        assert!(!stderr.contains(word), "{word} is in the log:\n{stderr}");
    }
    let other = Volume::new();
    let output = pull(
        &other,
        &challenged,
        &pinned(&challenged),
        &["--insecure-registry", &tokens],
    );
    let message = other.assert_failed(&output, "Unauthorized");
    assert!(message.contains("pull secret"), "{message}");
    let asked = origin.paths().len();
    let output = pull(&other, &challenged, &pinned(&challenged), &docker[..4]);
    other.assert_failed(&output, "AddressRefused");
    assert_eq!(
        origin.paths().len(),
        asked,
        "no password goes to a server without TLS that nobody named"
    );
}

#[test]
fn basic_credentials_are_sent_when_the_registry_asks_for_them() {
    let (volume, secret) = (Volume::new(), tempfile::tempdir().unwrap());
    let origin = Origin::http(|asked| match asked.authorization.as_deref() {
        Some("Basic Ym9iOnBhc3N3b3Jk") => registry(asked),
        _ => Reply::status(401).header("www-authenticate", "Basic realm=\"test\""),
    });
    let config = json!({"auths": {origin.address.to_string(): {"username": "bob", "password": "password"}}});
    fs::write(secret.path().join(".dockerconfigjson"), config.to_string()).unwrap();
    let output = pull(
        &volume,
        &origin,
        &pinned(&origin),
        &["--docker-config", secret.path().to_str().unwrap()],
    );
    volume.assert_fetched(&output);
}

#[test]
fn failures_that_stay_are_named_at_once() {
    for (status, reason) in [(401, "Unauthorized"), (403, "Unauthorized"), (404, "NotFound")] {
        let (volume, origin) = (Volume::new(), Origin::http(move |_| Reply::status(status)));
        let output = pull(&volume, &origin, &pinned(&origin), &[]);
        volume.assert_failed(&output, reason);
        assert!(origin.paths().len() <= 2, "{:?}", origin.paths());
    }
}

#[test]
fn errors_that_pass_are_tried_again() {
    let (volume, failures) = (Volume::new(), AtomicUsize::new(2));
    let origin = Origin::http(move |asked| {
        let fails = asked.path.contains("/blobs/")
            && failures
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok();
        match fails {
            true if asked.path.len() % 2 == 0 => Reply::status(503),
            true => Reply {
                cut: Some(1000),
                ..registry(asked)
            },
            false => registry(asked),
        }
    });
    let output = pull(&volume, &origin, &pinned(&origin), &["--retries", "2"]);
    volume.assert_fetched(&output);
    assert_eq!(origin.paths().iter().filter(|p| p.contains("/blobs/")).count(), 3);
}

#[test]
fn a_truncated_file_is_never_put_in_place() {
    let (volume, origin) = (
        Volume::new(),
        Origin::http(|asked| match asked.path.contains("/blobs/") {
            true => Reply {
                cut: Some(1000),
                ..registry(asked)
            },
            false => registry(asked),
        }),
    );
    let output = pull(&volume, &origin, &pinned(&origin), &["--retries", "1"]);
    let message = volume.assert_failed(&output, "Unreachable");
    assert!(message.contains("tried 2 times"), "{message}");
    let origin = Origin::http(|asked| match asked.path.contains("/blobs/") {
        true => Reply {
            cut: Some(1000),
            lengthless: true,
            ..registry(asked)
        },
        false => registry(asked),
    });
    let output = pull(&volume, &origin, &pinned(&origin), &["--retries", "0"]);
    volume.assert_failed(&output, "DigestMismatch");
}

#[test]
fn a_file_that_is_too_large_is_refused_whether_or_not_it_says_so() {
    let volume = Volume::new();
    let origin = Origin::http(registry);
    volume.assert_failed(
        &pull(&volume, &origin, &pinned(&origin), &["--max-bytes", "5000"]),
        "TooLarge",
    );
    assert!(
        !origin.paths().iter().any(|p| p.contains("/blobs/")),
        "the manifest says it already"
    );
    let endless = Origin::https(|_| Reply {
        lengthless: true,
        ..Reply::ok(vec![0; 10_000_000])
    });
    let uri = format!("https://localhost:{}/model.onnx", endless.address.port());
    let arguments = ["--sha256", &sha256(b"x"), "--max-bytes", "1000000"];
    let output = volume.fetch_with(&uri, &arguments, &[("SSL_CERT_FILE", endless.certificate())]);
    volume.assert_failed(&output, "TooLarge");
    let manifest = Origin::http(|asked| match asked.path.as_str() {
        "/v2/" => Reply::ok("{}"),
        _ => Reply::ok(vec![b' '; 5_000_000]),
    });
    volume.assert_failed(&pull(&volume, &manifest, &pinned(&manifest), &[]), "TooLarge");
}

#[test]
fn wrong_bytes_are_a_digest_mismatch() {
    let volume = Volume::new();
    let forged_blob = Origin::http(|asked| match asked.path.contains("/blobs/") {
        true => Reply::ok(b"forged".to_vec()),
        false => registry(asked),
    });
    let output = pull(&volume, &forged_blob, &pinned(&forged_blob), &[]);
    let message = volume.assert_failed(&output, "DigestMismatch");
    assert!(
        message.contains(&sha256(&model())) && message.contains(&sha256(b"forged")),
        "{message}"
    );
    let forged_manifest = Origin::http(|asked| match asked.path.contains("/manifests/") {
        true => Reply::ok(manifest() + " "),
        false => registry(asked),
    });
    volume.assert_failed(
        &pull(&volume, &forged_manifest, &pinned(&forged_manifest), &[]),
        "DigestMismatch",
    );
}

#[test]
fn an_artifact_without_an_onnx_file_is_no_model() {
    let volume = Volume::new();
    let image = || {
        let mut value: Value = serde_json::from_str(&manifest()).unwrap();
        value["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip");
        value["layers"][0]["annotations"] = json!({});
        value.to_string()
    };
    let origin = Origin::http(move |asked| match asked.path.contains("/manifests/") {
        true => Reply::ok(image()),
        false => registry(asked),
    });
    let output = pull(
        &volume,
        &origin,
        &tagged(&origin),
        &["--sha256", &sha256(&model())],
    );
    volume.assert_failed(&output, "NotAModel");
}

#[test]
fn a_server_that_hangs_or_is_gone_ends_in_time() {
    let volume = Volume::new();
    let origin = Origin::http(|asked| Reply {
        hang: true,
        ..registry(asked)
    });
    let begun = Instant::now();
    let output = pull(&volume, &origin, &pinned(&origin), &["--timeout", "700ms"]);
    volume.assert_failed(&output, "Timeout");
    assert!(begun.elapsed() < Duration::from_secs(5));
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let uri = format!("oci://{gone}/fraud/tiny@sha256:{}", sha256(b"x"));
    let output = volume.fetch(
        &uri,
        &["--retries", "1", "--insecure-registry", &gone.to_string()],
    );
    volume.assert_failed(&output, "Unreachable");
}

#[test]
fn https_is_verified_and_follows_three_redirects_within_https() {
    let origin = Origin::https(|asked| {
        let hops: u32 = asked.path.trim_start_matches('/').parse().unwrap_or(0);
        match hops {
            0 => Reply::ok(model()),
            hops => Reply::status(302).header("location", format!("/{}", hops - 1)),
        }
    });
    let uri = |hops: u32| format!("https://localhost:{}/{hops}", origin.address.port());
    let arguments = ["--sha256", &sha256(&model()), "--retries", "0"];
    let trust = [("SSL_CERT_FILE", origin.certificate())];
    for hops in [0, 3] {
        let volume = Volume::new();
        volume.assert_fetched(&volume.fetch_with(&uri(hops), &arguments, &trust));
    }
    let volume = Volume::new();
    let message = volume.assert_failed(&volume.fetch_with(&uri(4), &arguments, &trust), "Unreachable");
    assert!(message.contains("redirects"), "{message}");
    let other = Origin::https(registry);
    let output = volume.fetch_with(&uri(0), &arguments, &[("SSL_CERT_FILE", other.certificate())]);
    volume.assert_failed(&output, "Unreachable");
}

#[test]
fn a_redirect_out_of_https_is_not_followed() {
    let plain = Origin::http(|_| Reply::ok(model()));
    let location = format!("http://{}/model.onnx", plain.address);
    let origin = Origin::https(move |_| Reply::status(302).header("location", location.clone()));
    let volume = Volume::new();
    let uri = format!(
        "https://localhost:{}/model.onnx?signature=secret",
        origin.address.port()
    );
    let trust = [("SSL_CERT_FILE", origin.certificate())];
    let output = volume.fetch_with(&uri, &["--sha256", &sha256(&model()), "--retries", "0"], &trust);
    let message = volume.assert_failed(&output, "Unreachable");
    assert!(!message.contains("secret"), "{message}");
    assert!(plain.paths().is_empty());
}

#[test]
fn a_local_file_is_copied_and_checked() {
    let volume = Volume::new();
    let uri = format!("file://{}", fixture("tiny.onnx").display());
    volume.assert_failed(
        &volume.fetch(&uri, &["--sha256", &sha256(b"other")]),
        "DigestMismatch",
    );
    volume.assert_failed(&volume.fetch(&uri, &[]), "InvalidURI");
    volume.assert_failed(
        &volume.fetch("file:///nowhere.onnx", &["--sha256", &sha256(b"x")]),
        "NotFound",
    );
    volume.assert_failed(
        &volume.fetch("ftp://x/y", &["--sha256", &sha256(b"x")]),
        "InvalidURI",
    );
    volume.assert_fetched(&volume.fetch(&uri, &["--sha256", &sha256(&model())]));
}

#[test]
fn a_volume_that_cannot_be_written_is_named() {
    let volume = Volume::new();
    fs::remove_dir(volume.directory.path().join("model")).unwrap();
    let uri = format!("file://{}", fixture("tiny.onnx").display());
    let output = volume.fetch(&uri, &["--sha256", &sha256(&model())]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        fs::read_to_string(&volume.log)
            .unwrap()
            .starts_with("WriteFailed: ")
    );
}
