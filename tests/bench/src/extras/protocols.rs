//! The rows about ways to ask: batches, the Open Inference Protocol, HTTP/2, gRPC, TLS.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};

use super::{Extras, NOT_OFFERED, Row, per_second, row};
use crate::{
    bench::{CONNECTIONS, Shape},
    client::Client,
    grpc, h2load,
    ports::{self, local},
    process::Process,
    scorer::Setup,
    subjects::ours,
};

/// Connections of what may be large: the scorer answers 32 of these at a time on a thread, and 503 beyond that.
const LARGE: u32 = 16;

impl Extras<'_> {
    /// One row for each way, measured where this build offers it.
    pub(super) fn protocols(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for size in [1, 16, 256] {
            rows.push(self.batch(size)?);
        }
        rows.push(self.inference_over_http()?);
        rows.push(self.clear_text_http2()?);
        rows.push(self.grpc()?);
        rows.push(self.tls()?);
        Ok(rows)
    }

    /// A server without idempotency, because what follows sends the same bodies again and again.
    fn repeated(&self) -> Result<Process> {
        let setup = Setup {
            policy: false,
            ..self.plain()
        };
        let subject = ours(self.scorer, &setup);
        self.bench
            .start(&subject.command, &self.bench.cores.one, &subject)
    }

    fn batch(&self, size: usize) -> Result<Row> {
        let what = format!(
            "POST /predict/batch, {size} transaction{}",
            if size == 1 { "" } else { "s" }
        );
        let bodies = self.bench.payloads.batches(size, 64);
        let process = self.repeated()?;
        if Client::connect(process.address)?.post("/predict/batch", &bodies[0])? != 200 {
            process.stop()?;
            return Ok(row(&what, NOT_OFFERED, ""));
        }
        let bodies = self.bench.lines("batch", &bodies)?;
        let shape = Shape {
            path: "/predict/batch",
            bodies: &bodies,
            connections: LARGE,
            tls: false,
        };
        let sample = self.bench.load(process, &shape)?;
        Ok(row(
            &what,
            per_second(sample.throughput.per_second * size as f64, "rows"),
            "",
        ))
    }

    fn inference_over_http(&self) -> Result<Row> {
        let what = "Open Inference Protocol v2, HTTP and JSON";
        let process = self.repeated()?;
        let path = format!("/v2/models/{}/infer", self.model_name()?);
        let request = |row: &String| {
            format!(
                "{{\"inputs\":[{{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,15],\"data\":[{row}]}}]}}"
            )
        };
        let bodies: Vec<String> = self.bench.payloads.inputs.iter().map(request).collect();
        if Client::connect(process.address)?.post(&path, &bodies[0])? != 200 {
            process.stop()?;
            return Ok(row(what, NOT_OFFERED, ""));
        }
        let bodies = self.bench.lines("oip", &bodies)?;
        let shape = Shape {
            path: &path,
            bodies: &bodies,
            connections: LARGE,
            tls: false,
        };
        let sample = self.bench.load(process, &shape)?;
        Ok(row(what, per_second(sample.throughput.per_second, "req"), ""))
    }

    fn clear_text_http2(&self) -> Result<Row> {
        let what = "POST /predict over HTTP/2 without TLS";
        let process = self.repeated()?;
        let body = self.bench.work.join("h2.json");
        fs::write(&body, self.bench.payloads.numbered(7_000_000_000))?;
        let url = format!("http://{}/predict", process.address);
        let offered = Command::new("curl")
            .args([
                "--silent",
                "--fail",
                "--http2-prior-knowledge",
                "--output",
                "/dev/null",
                "--json",
            ])
            .arg(format!("@{}", body.display()))
            .arg(&url)
            .status()
            .context("curl cannot be started")?
            .success();
        let figure = if offered {
            let json = ["content-type: application/json"];
            per_second(h2load::run(&url, &body, &json, self.bench.plan.measure)?, "req")
        } else {
            NOT_OFFERED.to_owned()
        };
        process.stop()?;
        Ok(row(what, figure, ""))
    }

    fn grpc(&self) -> Result<Row> {
        let what = "Open Inference Protocol v2, gRPC";
        if !self.scorer.offers("--grpc-listen") {
            return Ok(row(what, NOT_OFFERED, ""));
        }
        let process = self.repeated()?;
        let body = self.bench.work.join("grpc.bin");
        let inputs: Vec<f32> = self.bench.payloads.inputs[0]
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        fs::write(&body, grpc::infer(&self.model_name()?, &inputs))?;
        let url = format!("http://{}{}", local(ports::GRPC), grpc::METHOD);
        let headers = ["content-type: application/grpc", "te: trailers"];
        let rate = h2load::run(&url, &body, &headers, self.bench.plan.measure)?;
        process.stop()?;
        Ok(row(what, per_second(rate, "req"), ""))
    }

    /// The name that the running scorer's model card has.
    fn model_name(&self) -> Result<String> {
        let mut client = Client::connect(local(ports::ADMIN))?;
        ensure!(client.get("/model")? == 200, "the scorer shows no model card");
        let card: serde_json::Value = serde_json::from_slice(client.body())?;
        Ok(card["name"].as_str().context("the model has no name")?.to_owned())
    }

    fn tls(&self) -> Result<Row> {
        let what = "TLS on kept connections, req/s against none";
        if !self.scorer.offers("--tls") {
            return Ok(row(what, NOT_OFFERED, ""));
        }
        let folder = self.bench.work.join("tls");
        fs::create_dir_all(&folder)?;
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args([
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=IP:127.0.0.1,DNS:localhost",
            ])
            .arg("-keyout")
            .arg(folder.join("tls.key"))
            .arg("-out")
            .arg(folder.join("tls.crt"))
            .output()
            .context("openssl cannot be started")?;
        ensure!(
            made.status.success(),
            "openssl: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let bodies = self.bench.usual()?;
        let shape = Shape {
            path: "/predict",
            bodies: &bodies,
            connections: CONNECTIONS,
            tls: true,
        };
        let encrypted = || {
            let setup = Setup {
                tls: Some(folder.clone()),
                ..self.plain()
            };
            let subject = ours(self.scorer, &setup);
            let log = self.bench.work.join("tls.log");
            let cores = &self.bench.cores.one;
            let process = Process::start_behind_tls(&subject.command, cores, subject.address, &log)?;
            self.bench.load(process, &shape)
        };
        let (_, ratio) = self.against(encrypted, || self.usual(&self.plain(), CONNECTIONS))?;
        Ok(row(what, format!("{ratio:.2}×"), ""))
    }
}
