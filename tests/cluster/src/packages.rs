//! What Debian must provide: installed when we are root, named when we are not.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};
use nix::unistd::Uid;

use crate::{paths, progress, shell};

/// A file that proves that a package is there.
const NODE: [(&str, &str); 13] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("nft", "nftables"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("socat", "socat"),
    ("docker-registry", "docker-registry"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
    ("setpriv", "util-linux"),
];

const BUILD: [(&str, &str); 3] = [
    ("buildah", "buildah"),
    ("gcc", "gcc"),
    ("/usr/lib/x86_64-linux-gnu/libc.a", "libc6-dev"),
];

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// What running a node takes.
pub(crate) fn ensure_for_node() -> Result<()> {
    ensure(&NODE)
}

/// What building images takes.
pub(crate) fn ensure_for_images() -> Result<()> {
    ensure(&BUILD)
}

/// Python with pip.
pub(crate) fn ensure_pip() -> Result<()> {
    ensure(&[("python3", "python3")])?;
    if shell::run(&["python3", "-m", "pip", "--version"]).is_err() {
        install(&["python3-pip"])?;
    }
    Ok(())
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    Uid::effective().is_root()
}

/// The path of a program, also where only root looks.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    if name.starts_with('/') {
        return Path::new(name).exists().then(|| name.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(more)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

fn ensure(wanted: &[(&str, &'static str)]) -> Result<()> {
    let mut missing: Vec<_> = wanted
        .iter()
        .filter(|(file, _)| find(file).is_none())
        .map(|(_, package)| *package)
        .collect();
    missing.dedup();
    if missing.is_empty() {
        Ok(())
    } else {
        install(&missing)
    }
}

fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !is_root() || find("apt-get").is_none() {
        bail!("missing programs; as root: apt-get install --no-install-recommends {list}");
    }
    progress::step(&format!("install Debian packages: {list}"), || {
        let _lock = paths::lock("apt")?;
        let _quiet = NoServices::begin()?;
        shell::run(&["apt-get", "update", "-q"])?;
        let mut command = Command::new("apt-get");
        command
            .args(["install", "-q", "-y", "--no-install-recommends"])
            .args(packages);
        shell::output(command.env("DEBIAN_FRONTEND", "noninteractive"))?;
        Ok(())
    })
}

/// While it lives, Debian's packages don't start the services that they bring (containerd, docker-registry).
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn begin() -> Result<Self> {
        let ours = !Path::new(POLICY).exists();
        if ours {
            paths::write(Path::new(POLICY), "#!/bin/sh\nexit 101\n")?;
            fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            fs::remove_file(POLICY).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_name_and_a_file_by_path() {
        assert!(find("sh").is_some());
        assert!(find("/bin/sh").is_some());
        assert_eq!(find("a-program-that-nobody-has"), None);
        assert_eq!(find("/a/file/that/nobody/has"), None);
    }
}
