//! `fetch` from clouds' stores: Versity's S3 server (it checks signatures), Azurite (it checks shared keys) and
//! fake-gcs-server. A test whose server is not installed says so and passes by.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use object_store::{ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder};
use ring::hmac;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    origin::{Origin, Reply},
    proxy::Proxy,
    registry::Process,
    resuming::noise,
    volume::{Volume, sha256},
};

const ACCESS_KEY: &str = "test-access-key";
const SECRET_KEY: &str = "test-secret-key-0123456789";
/// Azurite's account and key are part of its documentation.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const KEY: &str = "card/2026 11.onnx";

/// A mounted Secret.
struct Secret(TempDir);

impl Secret {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        Self(directory)
    }

    fn s3(address: SocketAddr, secret_key: &str) -> Self {
        Self::new(&[
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", secret_key),
            ("AWS_ENDPOINT_URL", &format!("http://{address}")),
        ])
    }

    fn azure(address: SocketAddr, account_key: &str) -> Self {
        Self::new(&[
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", account_key),
            ("AZURE_STORAGE_ENDPOINT", &format!("http://{address}/{ACCOUNT}")),
        ])
    }

    fn google(address: SocketAddr) -> Self {
        let base = format!("http://{address}");
        let key = json!({"gcs_base_url": base, "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""});
        Self::new(&[("key.json", &key.to_string())])
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }
}

fn upload(store: &dyn ObjectStore, content: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime
        .block_on(store.put(&KEY.into(), content.to_vec().into()))
        .unwrap();
}

fn with_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// An S3 server with one object in the bucket `models`.
fn s3(content: &[u8]) -> Option<Process> {
    let server = Process::start("versitygw", |folder, port| {
        fs::create_dir(folder.join("models")).unwrap();
        let (port, folder) = (format!("127.0.0.1:{port}"), folder.display().to_string());
        [
            "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--port", &port, "--quiet", "posix", &folder,
        ]
        .map(str::to_owned)
        .to_vec()
    })?;
    with_ring();
    let store = AmazonS3Builder::new()
        .with_access_key_id(ACCESS_KEY)
        .with_secret_access_key(SECRET_KEY)
        .with_endpoint(format!("http://{}", server.address))
        .with_allow_http(true)
        .with_bucket_name("models");
    upload(&store.build().unwrap(), content);
    Some(server)
}

/// An Azure server with one blob in the container `models`.
fn azure(content: &[u8]) -> Option<Process> {
    let server = Process::start("azurite-blob", |folder, port| {
        let (port, folder) = (port.to_string(), folder.display().to_string());
        let host = [
            "--silent",
            "--skipApiVersionCheck",
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            &port,
        ];
        [&host[..], &["--location", &folder]]
            .concat()
            .iter()
            .map(|s| (*s).to_owned())
            .collect()
    })?;
    create_container(server.address);
    with_ring();
    let store = MicrosoftAzureBuilder::new()
        .with_account(ACCOUNT)
        .with_access_key(ACCOUNT_KEY)
        .with_endpoint(format!("http://{}/{ACCOUNT}", server.address))
        .with_allow_http(true)
        .with_container_name("models");
    upload(&store.build().unwrap(), content);
    Some(server)
}

/// Makes the container `models`; the request is signed with the account's key ("Shared Key" of Azure's REST API).
fn create_container(address: SocketAddr) {
    let date = jiff::Timestamp::now()
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string();
    let headers = [format!("x-ms-date:{date}"), "x-ms-version:2021-12-02".to_owned()];
    let text = format!(
        "PUT{}{}\n/{ACCOUNT}/{ACCOUNT}/models\nrestype:container",
        "\n".repeat(12),
        headers.join("\n")
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(ACCOUNT_KEY).unwrap());
    let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--noproxy",
            "*",
            "-X",
            "PUT",
        ])
        .args(["-H", &headers[0], "-H", &headers[1], "-H", "content-length: 0"])
        .args(["-H", &format!("authorization: SharedKey {ACCOUNT}:{signature}")])
        .arg(format!("http://{address}/{ACCOUNT}/models?restype=container"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// A server of Google Cloud Storage's protocol with one object in the bucket `models`.
fn google(content: &[u8]) -> Option<Process> {
    Process::start("fake-gcs-server", |folder, port| {
        let object = folder.join("models").join(KEY);
        fs::create_dir_all(object.parent().unwrap()).unwrap();
        fs::write(&object, content).unwrap();
        let (port, folder) = (port.to_string(), folder.display().to_string());
        let host = [
            "-scheme",
            "http",
            "-host",
            "127.0.0.1",
            "-port",
            &port,
            // The host of Google's other protocol, which serves the bytes.
            "-public-host",
            "127.0.0.1",
            "-backend",
            "memory",
        ];
        [&host[..], &["-data", &folder]]
            .concat()
            .iter()
            .map(|s| (*s).to_owned())
            .collect()
    })
}

/// Fetches `uri` from the server at `address`, which speaks plain HTTP.
fn fetch(
    volume: &Volume,
    uri: &str,
    secret: &Secret,
    address: SocketAddr,
    digest: &str,
) -> std::process::Output {
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
