//! What is measured: the scorer, its ceiling, and its peers. Each answers the same `POST /predict`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;

use crate::{
    ports::{self, local},
    scorer::{Scorer, Setup},
};

/// A server that can be started.
pub struct Subject {
    /// Short name, for files and `--left-out`.
    pub key: &'static str,
    /// Name in the tables.
    pub title: &'static str,
    /// How it is started.
    pub command: Command,
    /// Where it answers.
    pub address: SocketAddr,
    /// Why it cannot be measured here.
    pub left_out: Option<String>,
}

/// Where the peers' parts are.
#[derive(Args, Clone, Debug)]
pub struct Places {
    /// The constant answer of axum.
    #[arg(long)]
    pub ceiling: PathBuf,
    /// Python with the peers' packages.
    #[arg(long)]
    pub python: PathBuf,
    /// Folder with server.js and its node_modules.
    #[arg(long)]
    pub node: PathBuf,
    /// The model of the scorer and of the peers with ONNX Runtime.
    #[arg(long)]
    pub model: PathBuf,
    /// The pickled pipeline of the reference's stack.
    #[arg(long)]
    pub reference_model: PathBuf,
    /// A peer that cannot be measured here, with the reason.
    #[arg(long, value_name = "KEY=REASON")]
    pub left_out: Vec<String>,
}

/// The servers of the first table.
pub struct Subjects {
    /// Ours, everything on.
    pub scorer: Subject,
    /// axum with a constant.
    pub ceiling: Subject,
    /// The reference system's stack.
    pub reference: Subject,
    /// FastAPI with ONNX Runtime.
    pub fastapi: Subject,
    /// fastify with ONNX Runtime.
    pub fastify: Subject,
}

impl Subjects {
    /// All of them.
    pub fn new(places: &Places, scorer: &Scorer) -> Self {
        Self {
            scorer: ours(scorer, &Setup::full(&places.model)),
            ceiling: ceiling(places),
            reference: reference(places, true),
            fastapi: fastapi(places),
            fastify: fastify(places),
        }
    }

    /// All of them, in the order in which each round measures them.
    pub fn all(&self) -> [&Subject; 5] {
        [
            &self.scorer,
            &self.ceiling,
            &self.fastify,
            &self.fastapi,
            &self.reference,
        ]
    }
}

/// The scorer by a setup.
pub fn ours(scorer: &Scorer, setup: &Setup) -> Subject {
    Subject {
        key: "scorer",
        title: "fraudops-scorer",
        command: scorer.command(setup),
        address: Scorer::address(),
        left_out: None,
    }
}

fn ceiling(places: &Places) -> Subject {
    let address = local(ports::CEILING);
    let mut command = Command::new(&places.ceiling);
    command.arg(address.to_string());
    Subject {
        key: "ceiling",
        title: "axum answering a constant",
        command,
        address,
        left_out: None,
    }
}

/// The reference system's stack; without telemetry it is no longer what that system runs, but a fair question.
pub fn reference(places: &Places, telemetry: bool) -> Subject {
    let mut subject = uvicorn(
        places,
        "reference",
        "FastAPI + scikit-learn (the reference system's stack)",
        ports::REFERENCE,
    );
    subject.command.env("MODEL_PATH", &places.reference_model);
    subject
        .command
        .env("TELEMETRY", if telemetry { "on" } else { "off" });
    subject
        .command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", ports::collector());
    subject.command.env("OTEL_EXPORTER_OTLP_TIMEOUT", "1"); // seconds, or its end waits for the collector
    subject
        .command
        .env("METRICS_PORT", (ports::REFERENCE + 1).to_string());
    if !telemetry {
        subject.command.arg("--no-access-log");
    }
    subject
}

fn fastapi(places: &Places) -> Subject {
    let mut subject = uvicorn(
        places,
        "with_onnxruntime",
        "FastAPI + onnxruntime, uvicorn",
        ports::FASTAPI,
    );
    subject
        .command
        .arg("--no-access-log")
        .env("MODEL_PATH", &places.model);
    subject
}

fn fastify(places: &Places) -> Subject {
    let address = local(ports::FASTIFY);
    let mut command = Command::new("node");
    command
        .arg("server.js")
        .arg(address.port().to_string())
        .arg(&places.model);
    command.current_dir(&places.node);
    Subject {
        key: "fastify",
        title: "Node fastify + onnxruntime-node",
        command,
        address,
        left_out: reason(places, "fastify"),
    }
}

fn uvicorn(places: &Places, key: &'static str, title: &'static str, port: u16) -> Subject {
    let mut command = Command::new(&places.python);
    let application = format!("{key}:app");
    command.args([
        "-m",
        "uvicorn",
        &application,
        "--host",
        "127.0.0.1",
        "--port",
        &port.to_string(),
    ]);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/python"));
    // One core is what it gets; libraries that count the machine's would start threads for nothing.
    command.env("OMP_NUM_THREADS", "1");
    Subject {
        key,
        title,
        command,
        address: local(port),
        left_out: reason(places, "python"),
    }
}

fn reason(places: &Places, key: &str) -> Option<String> {
    let entry = |entry: &String| Some(entry.strip_prefix(key)?.strip_prefix('=')?.to_owned());
    places.left_out.iter().find_map(entry)
}
