//! Our scorer, with everything on that its build offers.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::ports::{self, local};

/// The program, and what belongs to it.
pub struct Scorer {
    binary: PathBuf,
    library: PathBuf,
    work: PathBuf,
    help: String,
}

/// One way to run it.
#[derive(Clone)]
pub struct Setup {
    /// The model that answers.
    pub model: PathBuf,
    /// Serving threads.
    pub workers: u16,
    /// Traces and decision log.
    pub telemetry: bool,
    /// Rules and idempotency. Off where the same transactions are sent again and again.
    pub policy: bool,
    /// A second model on the same rows.
    pub companion: Option<PathBuf>,
    /// Folder with tls.crt and tls.key.
    pub tls: Option<PathBuf>,
}

impl Setup {
    /// Everything on, one core.
    pub fn full(model: &Path) -> Self {
        Self {
            model: model.to_path_buf(),
            workers: 1,
            telemetry: true,
            policy: true,
            companion: None,
            tls: None,
        }
    }
}

impl Scorer {
    /// Asks the program what it offers.
    pub fn new(binary: &Path, library: &Path, work: &Path) -> Result<Self> {
        let output = Command::new(binary)
            .args(["serve", "--help"])
            .output()
            .with_context(|| binary.display().to_string())?;
        fs::create_dir_all(work.join("receipt-keys"))?;
        fs::write(work.join("receipt-keys/bench"), STANDARD.encode([7_u8; 32]))?;
        fs::write(work.join("decision-log-key"), STANDARD.encode([9_u8; 32]))?;
        fs::write(work.join("companion.json"), r#"{"mode":"on","sample":1.0}"#)?;
        Ok(Self {
            binary: binary.to_path_buf(),
            library: library.to_path_buf(),
            work: work.to_path_buf(),
            help: String::from_utf8_lossy(&output.stdout).into_owned(),
        })
    }

    /// Whether the build knows a flag or an environment variable.
    pub fn offers(&self, name: &str) -> bool {
        self.help
            .split(|c: char| c.is_whitespace() || "[]=,.".contains(c))
            .any(|word| word == name)
    }

    /// What [`Setup::full`] switches on, and what of it this build does not offer yet.
    pub fn features(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let all = [
            ("metrics", "--admin-listen"),
            ("traces (1 % of the requests)", "--admin-listen"),
            ("decision log", "--decision-log"),
            ("receipts", "--receipt-keys"),
            ("rules, reasons and idempotency", "FRAUDOPS_POLICY"),
        ];
        let (on, off): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, name)| self.offers(name));
        let names = |list: Vec<(&'static str, &str)>| list.into_iter().map(|(name, _)| name).collect();
        (names(on), names(off))
    }

    /// Where predictions are answered.
    pub fn address() -> SocketAddr {
        local(ports::SCORER)
    }

    /// The command that serves by this setup.
    pub fn command(&self, setup: &Setup) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg("--model").arg(&setup.model);
        command.args(["--workers", &setup.workers.to_string(), "--drain-delay", "0s"]);
        command.args(["--listen", &Self::address().to_string()]);
        command.args(["--admin-listen", &local(ports::ADMIN).to_string()]);
        command.env("ORT_DYLIB_PATH", &self.library);
        if self.offers("--grpc-listen") {
            command.args(["--grpc-listen", &local(ports::GRPC).to_string()]);
        }
        if self.offers("--receipt-keys") {
            command.arg("--receipt-keys").arg(self.work.join("receipt-keys"));
        }
        self.telemetry(&mut command, setup.telemetry);
        if setup.policy && self.offers("FRAUDOPS_POLICY") {
            command.env("FRAUDOPS_POLICY", include_str!("../policy.json"));
        }
        if let Some(companion) = &setup.companion {
            command.arg("--companion").arg(companion);
            command
                .arg("--companion-control")
                .arg(self.work.join("companion.json"));
        }
        if let Some(folder) = &setup.tls {
            command.arg("--tls").arg(folder);
        }
        command
    }

    fn telemetry(&self, command: &mut Command, on: bool) {
        if on {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", ports::collector());
        } else {
            command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
        }
        if self.offers("--decision-log") {
            let log = self.work.join("decisions.jsonl");
            command
                .arg("--decision-log")
                .arg(if on { log.as_path() } else { Path::new("off") });
        }
        if on && self.offers("--decision-log-key") {
            command
                .arg("--decision-log-key")
                .arg(self.work.join("decision-log-key"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_read_from_the_help() {
        let scorer = Scorer {
            binary: "scorer".into(),
            library: "lib".into(),
            work: "work".into(),
            help: "      --decision-log <TARGET>  Where [env: FRAUDOPS_DECISION_LOG=]\n  [env: FRAUDOPS_POLICY=]".into(),
        };
        assert!(scorer.offers("--decision-log") && scorer.offers("FRAUDOPS_POLICY"));
        assert!(!scorer.offers("--decision-log-key") && !scorer.offers("--tls"));
        let arguments = |telemetry| {
            let setup = Setup {
                telemetry,
                ..Setup::full(Path::new("m"))
            };
            let command = scorer.command(&setup);
            let all: Vec<_> = command
                .get_args()
                .map(|a| a.to_string_lossy().into_owned())
                .collect();
            all.join(" ")
        };
        assert!(
            arguments(true).ends_with("--decision-log work/decisions.jsonl"),
            "{}",
            arguments(true)
        );
        assert!(arguments(false).ends_with("--decision-log off"));
    }
}
