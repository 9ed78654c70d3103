//! Debian's docker-registry on loopback, and other servers that tests start as processes.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{server::poll, volume::sha256};

/// A server that was started for one test; dropped, it is killed.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    pub directory: TempDir,
}

impl Process {
    /// Starts `program` with the arguments that `arguments` makes of a folder and a free port. None, with a word to
    /// whoever reads the log, when the program is not there.
    pub fn start(program: &str, arguments: impl Fn(&Path, u16) -> Vec<String>) -> Option<Self> {
        let program = find(program)?;
        let directory = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let folder = directory.path().join("data");
        fs::create_dir(&folder).unwrap();
        let child = Command::new(program)
            .args(arguments(&folder, address.port()))
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let process = Self {
            child,
            address,
            directory,
        };
        poll("the server", || TcpStream::connect(address).is_ok());
        Some(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that `tests/stores.sh` installs, or that the machine has.
pub fn find(program: &str) -> Option<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/stores/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(ours)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|file| file.exists());
    if found.is_none() {
        eprintln!("SKIPPED: {program} is not there; tests/stores.sh installs it");
    }
    found
}

/// A registry with pushed artifacts.
pub struct Registry(pub Process);

impl Registry {
    pub fn start() -> Option<Self> {
        Process::start("docker-registry", |folder, port| {
            let config = folder.join("../config.yml");
            let text = format!(
                "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
                 http: {{ addr: 127.0.0.1:{port} }}\n",
                folder.display()
            );
            fs::write(&config, text).unwrap();
            vec!["serve".into(), config.display().to_string()]
        })
        .map(Self)
    }

    /// Pushes a model as `fraud/card:TAG`; answers the digest of its manifest, without the algorithm.
    pub fn push(&self, tag: &str, model: &[u8]) -> String {
        self.push_blob(b"{}");
        self.push_blob(model);
        let layer = json!({
            "mediaType": "application/vnd.cncf.model.weight.v1.raw", "digest": format!("sha256:{}", sha256(model)),
            "size": model.len(), "annotations": {"org.cncf.model.filepath": "card.onnx"},
        });
        let config = json!({
            "mediaType": "application/vnd.cncf.model.config.v1+json", "digest": format!("sha256:{}", sha256(b"{}")), "size": 2,
        });
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}).to_string();
        self.push_manifest(tag, kind, &manifest);
        sha256(manifest.as_bytes())
    }

    pub fn push_manifest(&self, tag: &str, kind: &str, manifest: &str) {
        let url = self.url(&format!("manifests/{tag}"));
        let header = format!("content-type: {kind}");
        self.curl(&["-X", "PUT", "-H", &header, &url], Some(manifest.as_bytes()));
    }

    /// A manifest or index, by tag.
    pub fn manifest(&self, tag: &str) -> String {
        let accept =
            "accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
        self.curl(&["-H", accept, &self.url(&format!("manifests/{tag}"))], None)
    }

    fn push_blob(&self, content: &[u8]) {
        let head = self.curl(&["-D", "-", "-X", "POST", &self.url("blobs/uploads/")], None);
        let location = head
            .lines()
            .find_map(|line| {
                line.split_once(": ")
                    .filter(|(n, _)| n.eq_ignore_ascii_case("location"))
            })
            .map(|(_, value)| value.trim())
            .expect("the registry says where to upload");
        let base = if location.starts_with('/') {
            format!("http://{}", self.0.address)
        } else {
            String::new()
        };
        let url = format!("{base}{location}&digest=sha256:{}", sha256(content));
        let kind = "content-type: application/octet-stream";
        self.curl(&["-X", "PUT", "-H", kind, &url], Some(content));
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/v2/fraud/card/{path}", self.0.address)
    }

    fn curl(&self, arguments: &[&str], body: Option<&[u8]>) -> String {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--fail", "--noproxy", "*"])
            .args(arguments);
        if let Some(body) = body {
            let file = self.0.directory.path().join("body");
            fs::write(&file, body).unwrap();
            command.arg("--data-binary").arg(format!("@{}", file.display()));
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
