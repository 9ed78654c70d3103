//! The machine that the cluster runs on: a set of Linux namespaces with one link to the host.
//!
//! Every process of the cluster is a descendant of one `unshare`, so killing that one ends all of them, and with them
//! go their mounts, firewall rules and network. What stays behind is removed by [`crate::down`].

mod init;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    network::{self, Network},
    packages, paths,
    process::Process,
    shell,
};

/// Where the state folder appears inside the node; short, because socket paths are limited to 108 bytes.
pub(crate) const INSIDE: &str = "/run/node";

/// A running node, seen from outside.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    folder: PathBuf,
    init: Process,
}

impl Node {
    /// Makes the namespaces; returns the process whose death ends the node. No network yet.
    pub(crate) fn start(folder: &Path, name: &str) -> Result<Process> {
        for part in ["log/pods", "pid", "conf", "data"] {
            paths::create_dir(&folder.join(part))?;
        }
        paths::write(&folder.join("conf/init.sh"), init::SCRIPT)?;
        let log = File::create(folder.join("log/node.log")).context("cannot create log/node.log")?;
        let supervisor = Command::new("setsid")
            .args([
                "unshare",
                "--net",
                "--mount",
                "--pid",
                "--uts",
                "--ipc",
                "--fork",
                "--mount-proc",
            ])
            .args(["--kill-child=SIGKILL", "sh"])
            .arg(folder.join("conf/init.sh"))
            .arg(folder)
            .arg(name)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start setsid")?;
        Process::find(supervisor.id() as i32).context("the node's first process ended at once")
    }

    /// Finds the node of a supervisor, waiting until its namespaces are complete.
    pub(crate) fn attach(folder: &Path, supervisor: Process) -> Result<Self> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !folder.join("conf/init.done").exists() {
            if !supervisor.is_running() || Instant::now() > deadline {
                let log = paths::read(&folder.join("log/node.log")).unwrap_or_default();
                bail!("the node's namespaces could not be made (this takes root):\n{log}");
            }
            thread::sleep(Duration::from_millis(10));
        }
        let init = supervisor.child().context("the node's first process is gone")?;
        Ok(Self {
            folder: folder.to_owned(),
            init,
        })
    }

    /// The node's first process.
    pub(crate) fn init(&self) -> Process {
        self.init
    }

    /// Finds a running node by what its record says.
    pub(crate) fn of_record(folder: &Path, init: Process) -> Self {
        Self {
            folder: folder.to_owned(),
            init,
        }
    }

    /// Hands a docker-archive to containerd, under the names that the archive gives.
    pub(crate) fn load_image(&self, archive: &Path) -> Result<()> {
        let file =
            File::open(archive).with_context(|| format!("cannot open the image {}", archive.display()))?;
        let words = [
            "ctr",
            "-a",
            "/run/containerd.sock",
            "-n",
            "k8s.io",
            "images",
            "import",
            "-",
        ];
        shell::output(self.command(&words).stdin(file)).map(drop)
    }

    /// Connects the node with the host: one veth pair, and routes to its pods and Services.
    pub(crate) fn connect(&self, network: Network) -> Result<()> {
        let (host, node) = (network.host(), network.node());
        let (link, pid) = (network.link(), self.init.pid.to_string());
        ip(&format!("link set {link}-in netns {pid} name up0"))?;
        ip(&format!("address add {host}/30 dev {link}"))?;
        ip(&format!("link set {link} up"))?;
        self.run(&["ip", "address", "add", &format!("{node}/30"), "dev", "up0"])?;
        self.run(&["ip", "link", "set", "up0", "up"])?;
        for range in [network.pods(), network.services()] {
            ip(&format!("route replace {range} via {node} dev {link}"))?;
        }
        Ok(())
    }

    /// A command inside the node, in its namespaces and with the state folder as working directory.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.init.pid.to_string(),
            "--net",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
        ]);
        command
            .arg(format!("--wdns={INSIDE}"))
            .arg("--")
            .args(words)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command inside the node to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Result<String> {
        shell::output(&mut self.command(words))
    }

    /// Starts a program inside the node; it logs to `log/<name>.log` and ends with the node.
    pub(crate) fn spawn(&self, name: &str, words: &[String]) -> Result<()> {
        let words = shell::quote_all(words);
        let script = format!("setsid {words} >>log/{name}.log 2>&1 </dev/null &\necho $! >pid/{name}\n");
        paths::write(&self.folder.join(format!("conf/{name}.sh")), script)?;
        self.restart(name)
    }

    /// Starts a program again that was started here before.
    pub(crate) fn restart(&self, name: &str) -> Result<()> {
        let script = format!("conf/{name}.sh");
        if !self.folder.join(&script).exists() {
            bail!("the cluster has no component {name}");
        }
        self.run(&["sh", &script]).map(drop)
    }

    /// Kills a program that was started here.
    pub(crate) fn kill(&self, name: &str) -> Result<()> {
        let script = "pid=$(cat pid/$0) && kill -9 $pid && while [ -d /proc/$pid ]; do sleep 0.05; done";
        self.run(&["sh", "-c", script, name]).map(drop)
    }

    /// An error with the end of its log when a program that was started here has ended.
    pub(crate) fn check(&self, name: &str) -> Result<()> {
        let alive = format!("test -d /proc/$(cat pid/{name})");
        if self.run(&["sh", "-c", &alive]).is_err() {
            bail!("{name} ended:\n{}", self.log_tail(name));
        }
        Ok(())
    }

    /// The last lines that a program wrote.
    pub(crate) fn log_tail(&self, name: &str) -> String {
        let path = self.folder.join(format!("log/{name}.log"));
        shell::run(&["tail", "-n", "20", &path.to_string_lossy()]).unwrap_or_default()
    }
}

/// Takes the first free network by creating its link, which only one process can.
pub(crate) fn reserve(name: &str) -> Result<Network> {
    let mut reason = String::new();
    for network in Network::candidates(name) {
        let link = network.link();
        match ip(&format!("link add {link} type veth peer name {link}-in")) {
            Ok(_) => return Ok(network),
            Err(error) if error.to_string().contains("File exists") => {}
            Err(error) => {
                reason = format!("{error:#}");
                break;
            }
        }
    }
    bail!(
        "no network for the cluster {name}: {}",
        if reason.is_empty() {
            "all are taken"
        } else {
            &reason
        }
    )
}

/// Keeps what is meant for a pod or a cluster that is gone on this machine: routes to living clusters are more specific.
pub(crate) fn keep_inside() -> Result<()> {
    ip(&format!("route replace unreachable {}", network::ALL)).map(drop)
}

/// Runs `ip` on the host.
pub(crate) fn ip(words: &str) -> Result<String> {
    let program = packages::find("ip").context("the program ip is missing: apt-get install iproute2")?;
    let program = program.to_string_lossy().into_owned();
    let words: Vec<&str> = std::iter::once(program.as_str())
        .chain(words.split_whitespace())
        .collect();
    shell::run(&words)
}
