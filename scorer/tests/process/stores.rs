//! `fetch` from clouds' stores: Versity's S3 server (it checks signatures), Azurite (it checks shared keys) and
//! fake-gcs-server. A test whose server is not installed says so and passes by.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::{
    clouds::{ACCESS_KEY, ACCOUNT_KEY, KEY, SECRET_KEY, Secret, azure, google, s3},
    origin::{Origin, Reply},
    proxy::Proxy,
    registry::Process,
    resuming::noise,
    volume::{Volume, sha256},
};

/// Fetches `uri` from the server at `address`, which speaks plain HTTP.
fn fetch(volume: &Volume, uri: &str, secret: &Secret, address: SocketAddr, digest: &str) -> Output {
    let host = address.to_string();
    let arguments = [
        "--insecure-registry",
        &host,
        "--sha256",
        digest,
        "--credentials",
        secret.path(),
        "--retries",
        "0",
    ];
    volume.fetch(uri, &arguments)
}

/// What holds for every store: the object comes, what is not there is not found, other bytes are refused, and a download
/// goes on where its connection broke.
fn check_store(scheme: &str, server: &Process, content: &[u8], secret: impl Fn(SocketAddr) -> Secret) {
    let (address, digest) = (server.address, sha256(content));
    let uri = format!("{scheme}://models/{KEY}");
    let volume = Volume::new();
    let output = fetch(&volume, &uri, &secret(address), address, &digest);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    volume.assert_content(content);

    let volume = Volume::new();
    let gone = fetch(
        &volume,
        &format!("{scheme}://models/gone.onnx"),
        &secret(address),
        address,
        &digest,
    );
    volume.assert_failed(&gone, "NotFound");
    let other = fetch(&volume, &uri, &secret(address), address, &sha256(b"other"));
    volume.assert_failed(&other, "DigestMismatch");
    let unnamed = volume.fetch(
        &uri,
        &["--sha256", &digest, "--credentials", secret(address).path()],
    );
    let message = volume.assert_failed(&unnamed, "AddressRefused");
    assert!(message.contains("is not https"), "{message}");

    let proxy = Proxy::cutting(address, &[1_000_000, 500_000]);
    let output = fetch(&volume, &uri, &secret(proxy.address), proxy.address, &digest);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    volume.assert_content(content);
    assert!(proxy.connections() >= 3);
    let more = proxy.relayed() - content.len();
    assert!(
        more < 20_000,
        "{more} bytes beyond the file came: heads, or parts twice"
    );
}

#[test]
fn an_object_of_s3_is_fetched_with_a_signature() {
    let content = noise(3_000_000, 11);
    let Some(server) = s3(&content) else { return };
    check_store("s3", &server, &content, |address| Secret::s3(address, SECRET_KEY));
    let volume = Volume::new();
    let wrong = Secret::s3(server.address, "wrong-secret-key");
    let output = fetch(
        &volume,
        &format!("s3://models/{KEY}"),
        &wrong,
        server.address,
        &sha256(&content),
    );
    let message = volume.assert_failed(&output, "Unauthorized");
    assert!(
        message.contains("refuses these credentials") && !message.contains("wrong-secret-key"),
        "{message}"
    );
}

#[test]
fn a_blob_of_azure_is_fetched_with_a_signature() {
    let content = noise(3_000_000, 12);
    let Some(server) = azure(&content) else { return };
    check_store("az", &server, &content, |address| {
        Secret::azure(address, ACCOUNT_KEY)
    });
    let volume = Volume::new();
    let wrong = Secret::azure(server.address, &STANDARD.encode("wrong"));
    let output = fetch(
        &volume,
        &format!("az://models/{KEY}"),
        &wrong,
        server.address,
        &sha256(&content),
    );
    volume.assert_failed(&output, "Unauthorized");
}

#[test]
fn an_object_of_google_is_fetched() {
    let content = noise(3_000_000, 13);
    let Some(server) = google(&content) else { return };
    check_store("gs", &server, &content, Secret::google);
}

#[test]
fn without_credentials_nobody_is_asked() {
    let origin = Origin::http(|_| Reply::status(500));
    let (volume, begun) = (Volume::new(), Instant::now());
    let endpoint = format!("http://{}", origin.address);
    for (uri, variable, wanted) in [
        ("s3://models/m", "AWS_METADATA_ENDPOINT", "AWS_ACCESS_KEY_ID"),
        ("gs://models/m", "GOOGLE_BASE_URL", "service account"),
        (
            "az://models/m",
            "AZURE_STORAGE_ENDPOINT",
            "AZURE_STORAGE_ACCOUNT_NAME",
        ),
    ] {
        let output = volume.fetch_with(uri, &["--sha256", &sha256(b"x")], &[(variable, &endpoint)]);
        let message = volume.assert_failed(&output, "Unauthorized");
        assert!(message.contains(wanted), "{message}");
    }
    assert!(origin.paths().is_empty());
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_metadata_service_gives_credentials_when_it_is_asked() {
    let content = noise(10_000, 14);
    let Some(server) = s3(&content) else { return };
    let metadata = Origin::http(|asked| {
        match asked.path.as_str() {
        "/latest/api/token" => Reply::ok("imds-token"),
        "/latest/meta-data/iam/security-credentials/" => Reply::ok("role"),
        "/latest/meta-data/iam/security-credentials/role" => Reply::ok(
            json!({"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": "", "Code": "Success",
                   "Expiration": "2099-01-01T00:00:00Z", "LastUpdated": "2026-01-01T00:00:00Z", "Type": "AWS-HMAC"})
            .to_string(),
        ),
        _ => Reply::status(404),
    }
    });
    let volume = Volume::new();
    let environment = [
        ("AWS_METADATA_ENDPOINT", format!("http://{}", metadata.address)),
        ("AWS_ENDPOINT_URL", format!("http://{}", server.address)),
    ];
    let (host, digest) = (server.address.to_string(), sha256(&content));
    let arguments = [
        "--insecure-registry",
        &host,
        "--sha256",
        &digest,
        "--instance-metadata",
    ];
    let environment = environment
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let output = volume.fetch_with(&format!("s3://models/{KEY}"), &arguments, &environment);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    volume.assert_content(&content);
    assert_eq!(metadata.paths().len(), 3);
}

#[test]
fn a_role_is_assumed_with_the_token_of_the_pods_own_identity() {
    let content = noise(10_000, 16);
    let Some(server) = s3(&content) else { return };
    let sts = Origin::https(|asked| {
        let wanted = [
            "Action=AssumeRoleWithWebIdentity",
            "WebIdentityToken=pods-token",
            "RoleArn=arn",
        ];
        if !wanted.iter().all(|part| asked.path.contains(part)) {
            return Reply::status(400);
        }
        Reply::ok(format!(
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
             <AccessKeyId>{ACCESS_KEY}</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey>\
             <SessionToken></SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
             </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        ))
    });
    let volume = Volume::new();
    let token = volume.directory.path().join("token");
    fs::write(&token, "pods-token").unwrap();
    let endpoint = format!("http://{}", server.address);
    let sts_endpoint = format!("https://localhost:{}", sts.address.port());
    // As the webhook of IRSA sets them.
    let environment = [
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/models"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", &sts_endpoint),
        ("AWS_ENDPOINT_URL", &endpoint),
        ("SSL_CERT_FILE", sts.certificate()),
    ];
    let (host, digest) = (server.address.to_string(), sha256(&content));
    let arguments = [
        "--insecure-registry",
        &host,
        "--sha256",
        &digest,
        "--retries",
        "0",
    ];
    let output = volume.fetch_with(&format!("s3://models/{KEY}"), &arguments, &environment);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    volume.assert_content(&content);
}

#[test]
fn a_web_server_gets_the_token_or_the_password_of_the_secret() {
    for (files, header) in [
        (&[("token", "t0ken\n")][..], "Bearer t0ken"),
        (&[("username", "bob"), ("password", "word")], "Basic Ym9iOndvcmQ="),
    ] {
        let (volume, secret) = (Volume::new(), Secret::new(files));
        let content = noise(1000, 15);
        let served = content.clone();
        let origin = Origin::https(
            move |asked| match asked.authorization.as_deref() == Some(header) {
                true => Reply::ok(served.clone()),
                false => Reply::status(401),
            },
        );
        let uri = format!("https://localhost:{}/m.onnx", origin.address.port());
        let arguments = ["--sha256", &sha256(&content), "--credentials", secret.path()];
        let trust = [("SSL_CERT_FILE", origin.certificate())];
        let output = volume.fetch_with(&uri, &arguments, &trust);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        volume.assert_content(&content);
        let other = Volume::new();
        other.assert_failed(&other.fetch_with(&uri, &arguments[..2], &trust), "Unauthorized");
    }
}

#[test]
fn a_secret_that_cannot_be_read_is_named() {
    let (volume, secret) = (Volume::new(), Secret::new(&[]));
    fs::write(Path::new(secret.path()).join("AWS_ACCESS_KEY_ID"), [0xff]).unwrap();
    let arguments = ["--sha256", &sha256(b"x"), "--credentials", secret.path()];
    let message = volume.assert_failed(&volume.fetch("s3://models/m", &arguments), "Unauthorized");
    assert!(message.contains("AWS_ACCESS_KEY_ID"), "{message}");
}
