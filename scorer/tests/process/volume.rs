//! What the tests of `fetch` share: a volume to fetch into, a model, and a registry that has it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    origin::{Asked, Origin, Reply},
    server::{fixture, scorer},
};

/// A directory to fetch into, as the pod's volume.
pub struct Volume {
    pub directory: TempDir,
    pub log: PathBuf,
}

impl Volume {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("model")).unwrap();
        let log = directory.path().join("termination-log");
        fs::write(&log, "").unwrap();
        Self { directory, log }
    }

    pub fn target(&self) -> PathBuf {
        self.directory.path().join("model/model.onnx")
    }

    pub fn fetch(&self, uri: &str, arguments: &[&str]) -> Output {
        self.fetch_with(uri, arguments, &[])
    }

    pub fn fetch_with(&self, uri: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = self.command(uri, arguments);
        command.envs(environment.iter().copied()).output().unwrap()
    }

    /// The command, not yet started.
    pub fn command(&self, uri: &str, arguments: &[&str]) -> Command {
        let mut command = scorer();
        command
            .args(["fetch", "--uri", uri, "--to"])
            .arg(self.target())
            .arg("--termination-log")
            .arg(&self.log);
        let stores = ["AWS_", "AZURE_", "GOOGLE_"];
        for (name, _) in std::env::vars().filter(|(name, _)| stores.iter().any(|s| name.starts_with(s))) {
            command.env_remove(name);
        }
        command.args(arguments).env("NO_PROXY", "*");
        command
    }

    pub fn assert_fetched(&self, output: &Output) {
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        self.assert_content(&model());
    }

    /// Checks that the volume holds this file alone, readable by everybody and writable by nobody.
    pub fn assert_content(&self, content: &[u8]) {
        assert!(fs::read(self.target()).unwrap() == content, "other bytes came");
        assert_eq!(
            fs::metadata(self.target()).unwrap().permissions().mode() & 0o777,
            0o444
        );
        assert_eq!(self.files(), ["model.onnx"]);
    }

    /// Checks exit code, termination log and that nothing is left; answers the message.
    pub fn assert_failed(&self, output: &Output, reason: &str) -> String {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let line = fs::read_to_string(&self.log).unwrap();
        assert!(
            line.starts_with(&format!("{reason}: ")) && !line.contains('\n'),
            "{line}"
        );
        assert!(stderr.contains(&line), "{stderr}");
        assert!(self.files().is_empty(), "{:?}", self.files());
        line
    }

    pub fn files(&self) -> Vec<String> {
        let list = fs::read_dir(self.directory.path().join("model")).unwrap();
        list.map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

pub fn model() -> Vec<u8> {
    fs::read(fixture("tiny.onnx")).unwrap()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

pub fn manifest() -> String {
    let layer = json!({
        "mediaType": "application/vnd.cncf.model.weight.v1.raw",
        "digest": format!("sha256:{}", sha256(&model())),
        "size": model().len(),
        "annotations": {"org.cncf.model.filepath": "tiny.onnx"},
    });
    let config = json!({"mediaType": "application/vnd.cncf.model.config.v1+json", "digest": format!("sha256:{}", sha256(b"{}")), "size": 2});
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer]})
        .to_string()
}

/// A registry with one artifact, as `repo:1` and by digest.
pub fn registry(asked: &Asked) -> Reply {
    let by_digest = format!(
        "/v2/fraud/tiny/manifests/sha256:{}",
        sha256(manifest().as_bytes())
    );
    let blob = format!("/v2/fraud/tiny/blobs/sha256:{}", sha256(&model()));
    match asked.path.as_str() {
        "/v2/" => Reply::ok("{}"),
        path if path == by_digest || path == "/v2/fraud/tiny/manifests/1" => {
            Reply::ok(manifest()).header("content-type", "application/vnd.oci.image.manifest.v1+json")
        }
        path if path == blob => Reply::ok(model()),
        _ => Reply::status(404),
    }
}

pub fn pinned(origin: &Origin) -> String {
    format!(
        "oci://{}/fraud/tiny@sha256:{}",
        origin.address,
        sha256(manifest().as_bytes())
    )
}

pub fn tagged(origin: &Origin) -> String {
    format!("oci://{}/fraud/tiny:1", origin.address)
}

/// Fetches from a registry that speaks plain HTTP.
pub fn pull(volume: &Volume, origin: &Origin, uri: &str, arguments: &[&str]) -> Output {
    let host = origin.address.to_string();
    let all: Vec<_> = [&["--insecure-registry", &host], arguments].concat();
    volume.fetch(uri, &all)
}
