//! The Go programs of the cluster: what they are, and building them once.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{go, paths, progress, shell};

/// A program and where its source is pinned.
#[derive(Clone, Copy, Debug)]
struct GoProgram {
    name: &'static str,
    /// Folder below `go/`, a Go module. Programs of one module have their libraries in the same versions, compiled once.
    module: &'static str,
    package: &'static str,
    /// Linker flags beyond those of every build.
    linker_flags: &'static str,
}

const KUBERNETES_VERSION: &str = "-X k8s.io/component-base/version.gitVersion=v1.35.4 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35";

const PROGRAMS: [GoProgram; 10] = [
    program("etcd", "kubernetes", "./etcd"),
    kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    kubernetes(
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
    ),
    kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    kubernetes("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
    kubernetes("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
    program("helm", "addons", "helm.sh/helm/v4/cmd/helm"),
    program("cert-manager", "addons", "./cert-manager"),
    program("coredns", "addons", "./coredns"),
];

const fn program(name: &'static str, module: &'static str, package: &'static str) -> GoProgram {
    GoProgram {
        name,
        module,
        package,
        linker_flags: "",
    }
}

const fn kubernetes(name: &'static str, package: &'static str) -> GoProgram {
    GoProgram {
        linker_flags: KUBERNETES_VERSION,
        ..program(name, "kubernetes", package)
    }
}

/// What the API-only rung needs.
pub(crate) const API_ONLY: [&str; 2] = ["etcd", "kube-apiserver"];

/// The names of all programs.
pub(crate) fn all() -> Vec<&'static str> {
    PROGRAMS.iter().map(|program| program.name).collect()
}

/// The path of a program, built or not.
pub(crate) fn path(name: &str) -> PathBuf {
    paths::bin().join(name)
}

/// What a program is built from, as a hash.
pub(crate) fn stamp_of(name: &str) -> Result<String> {
    let program = find(name)?;
    stamp(&program, &module_folder(&program))
}

/// Builds what is missing or stale, one at a time. Minutes the first time, milliseconds afterwards.
pub(crate) fn ensure(names: &[&str]) -> Result<()> {
    if stale(names)?.is_empty() {
        return Ok(());
    }
    let _lock = paths::lock("build")?;
    let stale = stale(names)?; // another process may have built while we waited
    if stale.len() > 2 {
        progress::announce(
            "building the cluster's programs: ten to fifteen minutes the first time on two cores, seconds later",
        );
    }
    for program in stale {
        progress::step(&format!("build {}", program.name), || build(program))?;
    }
    Ok(())
}

fn stale(names: &[&str]) -> Result<Vec<GoProgram>> {
    let mut stale = Vec::new();
    for name in names {
        let built = fs::read_to_string(stamp_path(name)).unwrap_or_default();
        if !path(name).exists() || built != stamp_of(name)? {
            stale.push(find(name)?);
        }
    }
    Ok(stale)
}

fn find(name: &str) -> Result<GoProgram> {
    let found = PROGRAMS.iter().find(|program| program.name == name).copied();
    found.with_context(|| format!("no program is called {name}; there are {}", all().join(", ")))
}

fn build(program: GoProgram) -> Result<()> {
    paths::create_dir(&paths::bin())?;
    let fresh = paths::bin().join(format!(".{}.new", program.name));
    let flags = format!("-s -w {}", program.linker_flags);
    let mut command = go::command(program.module)?;
    command
        .args(["build", "-trimpath", "-ldflags", &flags])
        .arg("-gcflags=all=-dwarf=false") // what the linker would strip takes a seventh of the time to compile
        .arg("-o")
        .arg(&fresh)
        .arg(program.package);
    shell::output(&mut command)?;
    // a running program keeps its old file
    fs::rename(&fresh, path(program.name)).with_context(|| format!("cannot move {}", fresh.display()))?;
    paths::write(&stamp_path(program.name), stamp_of(program.name)?)
}

fn module_folder(program: &GoProgram) -> PathBuf {
    paths::sources().join("go").join(program.module)
}

fn stamp_path(name: &str) -> PathBuf {
    paths::bin().join(format!(".{name}.stamp"))
}

/// A hash of everything that decides how a program is built: package, flags, and the files of its module.
fn stamp(program: &GoProgram, module: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for part in [program.name, program.package, program.linker_flags] {
        hash.update(part);
        hash.update([0]);
    }
    for file in [
        Path::new("go.mod"),
        Path::new("go.sum"),
        &Path::new(program.package).join("main.go"),
    ] {
        let content = fs::read(module.join(file)).unwrap_or_default(); // no main.go of a foreign package
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }
    Ok(format!("{:x}", hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    #[test]
    fn a_stamp_changes_with_the_module_the_flags_and_nothing_else() {
        let program = program("p", "m", ".");
        let before = module(&[("go.mod", "module a"), ("main.go", "package main")]);
        let same = module(&[
            ("go.mod", "module a"),
            ("main.go", "package main"),
            ("notes.txt", "x"),
        ]);
        let other = module(&[("go.mod", "module a"), ("main.go", "package main // new")]);
        let stamp_of = |program, folder: &tempfile::TempDir| stamp(program, folder.path()).unwrap();
        assert_eq!(stamp_of(&program, &before), stamp_of(&program, &same));
        assert_ne!(stamp_of(&program, &before), stamp_of(&program, &other));
        let flagged = GoProgram {
            linker_flags: "-X v=1",
            ..program
        };
        assert_ne!(stamp_of(&program, &before), stamp_of(&flagged, &before));
    }

    #[test]
    fn every_program_has_a_module_with_its_versions_pinned() {
        for program in PROGRAMS {
            let folder = module_folder(&program);
            assert!(
                folder.join("go.mod").exists() && folder.join("go.sum").exists(),
                "{}",
                program.name
            );
        }
    }

    #[test]
    fn an_unknown_program_is_an_error_that_names_the_known_ones() {
        let error = ensure(&["kubeadm"]).unwrap_err().to_string();
        assert!(error.contains("kubeadm") && error.contains("kubelet"), "{error}");
    }
}
