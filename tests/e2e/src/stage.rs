//! The prepared cluster: where it is, what was put on it, and the programs that a user would call.

use std::{
    collections::HashMap,
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use fraudops_testcluster::Cluster;

/// Names the prepared cluster: `tests/stage.sh NAME up` makes it, and writes what it prepared to its folder.
const CLUSTER_NAME: &str = "E2E_CLUSTER";

fn cluster_name() -> String {
    env::var(CLUSTER_NAME).unwrap_or_else(|_| "e2e".to_owned())
}

/// A model on this machine and in the cluster's registry.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// `spec.model.version`.
    pub version: String,
    /// `spec.model.uri`: in the registry of the stage, pinned by digest.
    pub uri: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The file itself.
    pub path: PathBuf,
}

/// The prepared cluster. Cheap to make: it only reads a file.
#[derive(Clone, Debug)]
pub struct Stage {
    facts: HashMap<String, String>,
    root: PathBuf,
}

impl Stage {
    /// The stage that `make e2e` prepared, with the operator installed by Helm (once per test run).
    pub fn ready() -> Result<Self> {
        static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
        let stage = Self::read()?;
        let installed = INSTALLED.get_or_init(|| stage.install_operator().map_err(|e| format!("{e:#}")));
        installed
            .clone()
            .map_err(|e| anyhow!("the operator could not be installed: {e}"))?;
        Ok(stage)
    }

    fn read() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .canonicalize()?;
        let file = root.join(format!("target/testcluster/{}/stage.env", cluster_name()));
        let text = fs::read_to_string(&file).with_context(|| {
            format!(
                "no prepared cluster ({} is missing): run `make e2e`, which prepares one",
                file.display()
            )
        })?;
        let facts = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Ok(Self { facts, root })
    }

    /// The cluster as a thing that can be broken; none when it is not ours (CLUSTER=current).
    pub fn own_cluster(&self) -> Result<Option<Cluster>> {
        match env::var("CLUSTER").as_deref() {
            Ok("current") => Ok(None),
            _ => Cluster::attach(&cluster_name()).map(Some),
        }
    }

    /// A fact of the stage file.
    pub fn fact(&self, key: &str) -> Result<&str> {
        self.facts.get(key).map(String::as_str).with_context(|| {
            format!("{key} is missing in the stage file: prepare the cluster again with `make e2e`")
        })
    }

    /// A path in the repository.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// One of the two committed models of the quickstart, in the cluster's registry.
    pub fn model(&self, version: &str) -> Result<ModelFile> {
        let path = self.path(&format!("examples/quickstart/model/card-fraud-{version}.onnx"));
        self.push(&path, version)
    }

    /// The first quickstart model with other scores in its golden rows: a file that is whole, but lies.
    pub fn model_with_wrong_golden_rows(&self) -> Result<ModelFile> {
        let honest = self.path("examples/quickstart/model/card-fraud-2026.11.1.onnx");
        let lying = self.path("target/testcluster/e2e/wrong-golden.onnx");
        let mut script = Command::new(self.fact("PYTHON")?);
        script
            .arg(self.path("tests/e2e/wrong_golden.py"))
            .args([&honest, &lying]);
        run(script)?;
        self.push(&lying, "wrong-golden")
    }

    /// The second quickstart model, changed so that it passes every check and then `errs` or is `slow`.
    pub fn misbehaving_model(&self, how: &str) -> Result<ModelFile> {
        let honest = self.path("examples/quickstart/model/card-fraud-2026.11.2.onnx");
        let changed = self.path(&format!("target/testcluster/e2e/{how}.onnx"));
        let mut script = Command::new(self.fact("PYTHON")?);
        script
            .arg(self.path("tests/e2e/misbehaving.py"))
            .arg(how)
            .args([&honest, &changed]);
        run(script)?;
        self.push(&changed, how)
    }

    /// Pushes a model into the cluster's registry, as a user does.
    fn push(&self, path: &Path, version: &str) -> Result<ModelFile> {
        let reference = format!("{}/fraud/card:{version}", self.fact("REGISTRY")?);
        let mut push = Command::new(self.fact("TRAINING")?);
        push.arg("push").arg("--plain-http").arg(path).arg(reference);
        let uri = run(push)?.trim().to_owned();
        let sum = run(command("sha256sum", &[&path.to_string_lossy()]))?;
        let sha256 = sum
            .split_whitespace()
            .next()
            .context("sha256sum printed nothing")?
            .to_owned();
        Ok(ModelFile {
            version: version.to_owned(),
            uri,
            sha256,
            path: path.to_owned(),
        })
    }

    /// The probability that ONNX Runtime in Python computes for a transaction.
    pub fn predict_in_python(&self, model: &ModelFile, transaction: &Path) -> Result<f64> {
        let mut predict = Command::new(self.fact("TRAINING")?);
        predict.arg("predict").args([&model.path, transaction]);
        let answer: Vec<f64> = serde_json::from_str(&run(predict)?)?;
        answer
            .first()
            .copied()
            .context("`fraudops-training predict` printed no probability")
    }

    /// `kubectl` on the stage's cluster; an error carries what it printed.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        run(self.tool("KUBECTL", args)?)
    }

    /// `kubectl` that is given `input`, its output with its exit code.
    pub fn kubectl_with_input(&self, args: &[&str], input: &str) -> Result<Output> {
        let mut child = self
            .tool("KUBECTL", args)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child
            .stdin
            .take()
            .context("kubectl has no stdin")?
            .write_all(input.as_bytes())?;
        Ok(child.wait_with_output()?)
    }

    /// `helm` on the stage's cluster.
    pub fn helm(&self, args: &[&str]) -> Result<String> {
        run(self.tool("HELM", args)?)
    }

    fn tool(&self, fact: &str, args: &[&str]) -> Result<Command> {
        let mut tool = command(self.fact(fact)?, args);
        tool.env("KUBECONFIG", self.fact("KUBECONFIG")?)
            .current_dir(&self.root);
        Ok(tool)
    }

    /// The very command that the demo and the README show, with the values of this stage.
    fn install_operator(&self) -> Result<()> {
        let values = self.fact("HELM_VALUES")?;
        self.helm(&[
            "upgrade",
            "--install",
            "fraudops",
            "charts/fraudops",
            "--namespace",
            "fraudops-system",
            "--create-namespace",
            "--values",
            values,
            "--wait",
            "--timeout",
            "120s",
        ])?;
        Ok(())
    }
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

fn run(mut command: Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let (stdout, stderr) = (
        String::from_utf8(output.stdout)?,
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{stdout}{stderr}",
        output.status
    );
    if stdout.len() > 16 << 20 {
        bail!("{command:?} printed more than 16 MiB");
    }
    Ok(stdout)
}
