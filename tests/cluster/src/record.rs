//! The record of a cluster in its state folder: what `down` needs, written before there is anything to clean up.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{network::Network, paths, process::Process};

const FILE: &str = "cluster.json";

/// What is known about a cluster from outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    /// The network's slot; none on the API-only rung.
    pub(crate) slot: Option<u8>,
    /// The process whose death ends everything.
    pub(crate) supervisor: Option<Process>,
    /// The first process inside the node; it is the last one to go.
    pub(crate) init: Option<Process>,
    /// Whether `up` came to its end.
    pub(crate) ready: bool,
}

impl Record {
    /// A record of a cluster that is about to be started.
    pub(crate) fn new(name: &str, network: Option<Network>) -> Self {
        Self {
            name: name.to_owned(),
            slot: network.map(Network::slot),
            supervisor: None,
            init: None,
            ready: false,
        }
    }

    /// Reads the record of a cluster; none when there is no such cluster.
    pub(crate) fn read(name: &str) -> Result<Option<Self>> {
        let path = folder(name)?.join(FILE);
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(None);
        };
        serde_json::from_str(&text)
            .map(Some)
            .with_context(|| format!("{} is damaged", path.display()))
    }

    /// Writes the record, whole or not at all.
    pub(crate) fn write(&self) -> Result<()> {
        let folder = folder(&self.name)?;
        paths::create_dir(&folder)?;
        let fresh = folder.join(".cluster.json.new");
        paths::write(&fresh, serde_json::to_string_pretty(self)?)?;
        fs::rename(&fresh, folder.join(FILE))
            .with_context(|| format!("cannot write the record of {}", self.name))
    }

    /// Its network; none on the API-only rung.
    pub(crate) fn network(&self) -> Option<Network> {
        self.slot.and_then(Network::new)
    }

    /// Whether its processes live.
    pub(crate) fn is_running(&self) -> bool {
        self.supervisor.is_some_and(Process::is_running)
    }
}

/// The state folder of a cluster. The name must be one that fits a host name.
pub(crate) fn folder(name: &str) -> Result<PathBuf> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty()
        || name.len() > 32
        || !name.chars().all(is_plain)
        || name.starts_with('-')
        || name.ends_with('-')
    {
        bail!(
            "{name:?} is no name for a cluster: use up to 32 lower-case letters, digits and dashes, such as demo"
        );
    }
    if RESERVED.contains(&name) {
        bail!("{name:?} is taken by a folder of the test cluster itself: choose another name");
    }
    Ok(paths::root().join(name))
}

/// Folders below `target/testcluster` that are no clusters.
const RESERVED: [&str; 7] = ["bin", "build", "buildah", "debs", "images", "locks", "manifests"];

/// The names of all clusters that have left a record, running or not.
pub(crate) fn all() -> Vec<String> {
    let entries = fs::read_dir(paths::root()).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter(|entry| entry.path().join(FILE).exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_the_folder_or_hide_a_part_of_it_are_refused() {
        for name in ["", "..", "a/b", "Demo", "-a", "a-", "bin", "images"] {
            assert!(folder(name).is_err(), "{name:?}");
        }
        assert!(folder("demo-2").unwrap().ends_with("target/testcluster/demo-2"));
    }
}
