//! A real Redis on this machine, at the address where the pods of a cluster of ours reach it.

use std::{
    net::{IpAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

const PASSWORD: &str = "of-this-test-only";

/// Debian's redis-server, ended when dropped.
pub struct Redis {
    /// The port that it listens on.
    pub port: u16,
    address: IpAddr,
    process: Child,
}

impl Redis {
    /// Starts one that keeps nothing on disk. It may not answer at once: who uses it connects again.
    pub fn start(address: IpAddr) -> Result<Self> {
        let free = TcpListener::bind((address, 0))?;
        let port = free.local_addr()?.port();
        drop(free);
        let process = Command::new("redis-server")
            .args(["--bind", &address.to_string(), "--port", &port.to_string()])
            .args(["--requirepass", PASSWORD, "--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server does not start (tests/setup.sh installs it)")?;
        Ok(Self {
            port,
            address,
            process,
        })
    }

    /// What goes into the Secret.
    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@{}:{}", self.address, self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
