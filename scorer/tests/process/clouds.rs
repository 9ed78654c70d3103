//! The clouds' stores on loopback, each with one object, and Secrets for them.

use std::{fs, net::SocketAddr, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use object_store::{ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder};
use ring::hmac;
use serde_json::json;
use tempfile::TempDir;

use crate::registry::Process;

pub const ACCESS_KEY: &str = "test-access-key";
pub const SECRET_KEY: &str = "test-secret-key-0123456789";
/// Azurite's account and key are part of its documentation.
const ACCOUNT: &str = "devstoreaccount1";
pub const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
pub const KEY: &str = "card/2026 11.onnx";

/// A mounted Secret.
pub struct Secret(TempDir);

impl Secret {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        Self(directory)
    }

    pub fn s3(address: SocketAddr, secret_key: &str) -> Self {
        Self::new(&[
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", secret_key),
            ("AWS_ENDPOINT_URL", &format!("http://{address}")),
        ])
    }

    pub fn azure(address: SocketAddr, account_key: &str) -> Self {
        Self::new(&[
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", account_key),
            ("AZURE_STORAGE_ENDPOINT", &format!("http://{address}/{ACCOUNT}")),
        ])
    }

    pub fn google(address: SocketAddr) -> Self {
        let base = format!("http://{address}");
        let key = json!({"gcs_base_url": base, "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""});
        Self::new(&[("key.json", &key.to_string())])
    }

    pub fn path(&self) -> &str {
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
pub fn s3(content: &[u8]) -> Option<Process> {
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
pub fn azure(content: &[u8]) -> Option<Process> {
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
pub fn google(content: &[u8]) -> Option<Process> {
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
