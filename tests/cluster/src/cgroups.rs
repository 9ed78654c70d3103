//! The control groups of a cluster's pods: one folder in every hierarchy, version 1 or 2.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

const ROOT: &str = "/sys/fs/cgroup";

/// Creates the folder in every hierarchy, because the kubelet wants its root to exist.
pub(crate) fn create(name: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let folder = hierarchy.join(name);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot create the cgroup {}", folder.display()));
            }
            _ => {}
        }
        // a new cpuset (version 1) has no processors and no memory until it is given some
        for setting in ["cpuset.cpus", "cpuset.mems"] {
            if is_v1(&hierarchy) && folder.join(setting).exists() {
                let value = fs::read(hierarchy.join(setting))?;
                fs::write(folder.join(setting), value)?;
            }
        }
    }
    if Path::new(ROOT).join("cgroup.controllers").exists() {
        delegate(Path::new(ROOT))?;
        delegate(&Path::new(ROOT).join(name))?;
    }
    Ok(())
}

/// Removes the folders with everything below them; their processes must have ended.
pub(crate) fn remove(name: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let folder = hierarchy.join(name);
        for attempt in 0.. {
            match remove_tree(&folder) {
                Ok(()) => break,
                // the kernel takes a moment to let go of the last process
                Err(_) if attempt < 100 => thread::sleep(Duration::from_millis(50)),
                Err(error) => bail!("cannot remove the cgroup {}: {error}", folder.display()),
            }
        }
    }
    Ok(())
}

/// Version 2 has one hierarchy at the root; version 1 a folder per controller (some are links to others).
fn hierarchies() -> Result<Vec<PathBuf>> {
    let root = Path::new(ROOT);
    if root.join("cgroup.controllers").exists() {
        return Ok(vec![root.to_owned()]);
    }
    let entries = fs::read_dir(root)
        .with_context(|| format!("no control groups at {ROOT}"))?
        .flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(folders
        .map(|entry| entry.path())
        .filter(|path| path.join("cgroup.procs").exists())
        .collect())
}

fn is_v1(hierarchy: &Path) -> bool {
    !hierarchy.join("cgroup.controllers").exists()
}

/// Lets the groups below use every controller that this one may use (version 2).
fn delegate(group: &Path) -> Result<()> {
    let available = fs::read_to_string(group.join("cgroup.controllers"))?;
    for controller in available.split_whitespace() {
        let file = group.join("cgroup.subtree_control");
        fs::write(&file, format!("+{controller}")).with_context(|| {
            format!(
                "cannot delegate the controller {controller} in {}",
                file.display()
            )
        })?;
    }
    Ok(())
}

/// Removes a tree of control groups: only the folders, deepest first; the files in them are the kernel's.
fn remove_tree(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_of_empty_folders_is_removed_and_a_missing_one_is_no_error() {
        let parent = tempfile::tempdir().unwrap();
        let tree = parent.path().join("fraudops0");
        fs::create_dir_all(tree.join("kubepods/besteffort/pod1")).unwrap();
        fs::create_dir_all(tree.join("kubepods/burstable")).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        remove_tree(&tree).unwrap();
    }
}
