//! The API-only rung: etcd and kube-apiserver on loopback, for as long as one value lives.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use kube::Client;

use crate::{
    apply,
    keeper::{self, Keeper, Program},
    kubeconfig, paths, pki,
    process::Process,
    programs,
};

const READY_WITHIN: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 3;

/// A real Kubernetes API of one's own: etcd and kube-apiserver on free loopback ports.
///
/// Drop ends it and removes its state; so does the death of the process, whatever the cause. Several can live side by
/// side. There are no controllers, no nodes and no service account admission: what you create is what you get.
#[derive(Debug)]
pub struct ApiServer {
    _keeper: Keeper,
    folder: PathBuf,
    url: String,
}

impl ApiServer {
    /// Starts one and waits until it is ready: about three seconds. Blocks the thread.
    ///
    /// The first call on a machine builds the two programs, which takes minutes.
    pub fn start() -> Result<Self> {
        programs::ensure(&programs::API_ONLY)?;
        let mut attempt = 1;
        loop {
            // a free port can be taken by somebody else before we listen on it
            match Self::start_once() {
                Err(error) if attempt == ATTEMPTS => {
                    return Err(error.context("kube-apiserver does not start"));
                }
                Err(_) => attempt += 1,
                started => return started,
            }
        }
    }

    /// The path of a kubeconfig for an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The address, `https://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client with all rights. It belongs to the tokio runtime that it is made in.
    pub async fn client(&self) -> Result<Client> {
        kubeconfig::client_from(&self.kubeconfig()).await
    }

    /// Applies the CustomResourceDefinitions of these files and waits until they are served.
    pub async fn install_crds(&self, files: &[impl AsRef<Path>]) -> Result<()> {
        apply::install_crds(&self.client().await?, files).await
    }

    fn start_once() -> Result<Self> {
        let folder = keeper::fresh_folder("api")?;
        let (url, programs) = prepare(&folder)?;
        let keeper = Keeper::start(&folder, &programs)?;
        wait_ready(&folder)?;
        Ok(Self {
            _keeper: keeper,
            folder,
            url,
        })
    }
}

/// Starts one that outlives us, with its state in that folder; returns the process whose death ends it.
pub(crate) fn start_detached(folder: &Path) -> Result<Process> {
    let (_, programs) = prepare(folder)?;
    let keeper = Keeper::start_detached(folder, &programs)?;
    wait_ready(folder).map(|()| keeper)
}

fn prepare(folder: &Path) -> Result<(String, [Program; 2])> {
    let [etcd, etcd_peer, api] = free_ports()?;
    let url = format!("https://127.0.0.1:{api}");
    write_credentials(folder, &url)?;
    Ok((url, [etcd_program(etcd, etcd_peer), api_program(etcd, api)]))
}

fn wait_ready(folder: &Path) -> Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    while !is_ready(&folder.join("kubeconfig"))? {
        keeper::check(folder, &programs::API_ONLY)?;
        if Instant::now() > deadline {
            bail!(
                "not ready after {READY_WITHIN:?}:\n{}",
                keeper::log_tail(folder, "kube-apiserver")
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
    keeper::check(folder, &programs::API_ONLY)
}

/// Whether the API server of a kubeconfig answers that it is ready; false when it can't be reached.
pub(crate) fn is_ready(kubeconfig: &Path) -> Result<bool> {
    // a thread of its own: the caller may be inside a tokio runtime, which must not be entered twice
    thread::scope(|scope| {
        let asked = scope.spawn(|| -> Result<bool> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let client = kubeconfig::client_from(kubeconfig).await?;
                let request = http_get("/readyz");
                let answer = tokio::time::timeout(Duration::from_secs(2), client.request_text(request)).await;
                Ok(matches!(answer, Ok(Ok(text)) if text == "ok"))
            })
        });
        asked
            .join()
            .unwrap_or_else(|_| bail!("the readiness check panicked"))
    })
}

fn write_credentials(folder: &Path, url: &str) -> Result<()> {
    let pki = pki::generate(&["localhost", "kubernetes.default.svc", "127.0.0.1"].map(str::to_owned))?;
    let token = pki::random_token()?;
    paths::write(&folder.join("ca.crt"), &pki.ca.cert)?;
    paths::write(&folder.join("server.crt"), &pki.server.cert)?;
    paths::write(&folder.join("server.key"), &pki.server.key)?;
    paths::write(&folder.join("sa.key"), &pki.service_account_key)?;
    paths::write(&folder.join("sa.pub"), &pki.service_account_public)?;
    paths::write(
        &folder.join("tokens.csv"),
        format!("{token},admin,1,system:masters\n"),
    )?;
    paths::write(
        &folder.join("kubeconfig"),
        kubeconfig::render("api", url, &pki.ca.cert, &token)?,
    )
}

fn etcd_program(client: u16, peer: u16) -> Program {
    let client = format!("http://127.0.0.1:{client}");
    let peer = format!("http://127.0.0.1:{peer}");
    let flags = [
        ("data-dir", "etcd"),
        ("listen-client-urls", &client),
        ("advertise-client-urls", &client),
        ("listen-peer-urls", &peer),
        ("initial-advertise-peer-urls", &peer),
        ("initial-cluster", &format!("default={peer}")),
        ("unsafe-no-fsync", "true"), // a throw-away store
        ("log-level", "warn"),
    ];
    program("etcd", &flags)
}

fn api_program(etcd: u16, port: u16) -> Program {
    let etcd = format!("http://127.0.0.1:{etcd}");
    let flags = [
        ("etcd-servers", etcd.as_str()),
        ("bind-address", "127.0.0.1"),
        ("advertise-address", "127.0.0.1"),
        ("endpoint-reconciler-type", "none"), // loopback can't be published as an endpoint
        ("secure-port", &port.to_string()),
        ("tls-cert-file", "server.crt"),
        ("tls-private-key-file", "server.key"),
        ("client-ca-file", "ca.crt"),
        ("token-auth-file", "tokens.csv"),
        ("service-cluster-ip-range", "198.19.0.0/24"),
        ("service-account-issuer", "https://kubernetes.default.svc"),
        ("service-account-key-file", "sa.pub"),
        ("service-account-signing-key-file", "sa.key"),
        ("authorization-mode", "Node,RBAC"),
        ("disable-admission-plugins", "ServiceAccount"), // nothing makes the account `default` of a namespace
        ("allow-privileged", "true"),
        ("profiling", "false"),
    ];
    program("kube-apiserver", &flags)
}

fn program(name: &'static str, flags: &[(&str, &str)]) -> Program {
    let mut command = vec![programs::path(name).to_string_lossy().into_owned()];
    command.extend(flags.iter().map(|(flag, value)| format!("--{flag}={value}")));
    Program { name, command }
}

/// Ports that were free a moment ago, all different.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

fn http_get(path: &str) -> http::Request<Vec<u8>> {
    let mut request = http::Request::new(Vec::new());
    *request.uri_mut() = http::Uri::try_from(path).unwrap_or_default();
    request
}
