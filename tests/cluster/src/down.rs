//! Removing a cluster, whatever state it is in: running, half started, or left over from a crash.

use std::{fs, io, path::Path, thread, time::Duration};

use anyhow::{Context, Result};

use crate::{
    cgroups,
    network::{self, Network},
    node, paths,
    record::{self, Record},
};

/// Removes the cluster and everything that it left on the machine. Whether there was one.
pub(crate) fn down(name: &str) -> Result<bool> {
    let _lock = paths::lock(&format!("cluster-{name}"))?;
    remove(name)
}

/// The same for a caller that holds the cluster's lock.
pub(crate) fn remove(name: &str) -> Result<bool> {
    let Some(record) = Record::read(name)? else {
        return Ok(false);
    };
    for process in [record.supervisor, record.init].into_iter().flatten() {
        process.kill()?;
    }
    if let Some(network) = record.network() {
        remove_network(network)?;
        cgroups::remove(&network.link())?;
    }
    remove_folder(&record::folder(name)?)?;
    Ok(true)
}

/// The link takes its routes with it; the route for all clusters goes with the last link.
fn remove_network(network: Network) -> Result<()> {
    let link = network.link();
    if has_link(&link) {
        // the kernel may be removing it just now, together with its other end
        if let Err(error) = node::ip(&format!("link delete {link}")) {
            thread::sleep(Duration::from_millis(200));
            if has_link(&link) {
                return Err(error);
            }
        }
    }
    let links = node::ip("-brief link show type veth")?;
    if !links.lines().any(|line| line.starts_with("fraudops")) {
        node::ip(&format!("route delete unreachable {}", network::ALL)).ok(); // it may be gone already
    }
    Ok(())
}

fn has_link(link: &str) -> bool {
    Path::new("/sys/class/net").join(link).exists()
}

fn remove_folder(folder: &Path) -> Result<()> {
    for attempt in 0.. {
        match fs::remove_dir_all(folder) {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            // a process that was killed a moment ago may still have written
            Err(_) if attempt < 20 => thread::sleep(Duration::from_millis(100)),
            Err(error) => return Err(error).with_context(|| format!("cannot remove {}", folder.display())),
        }
    }
    Ok(())
}
