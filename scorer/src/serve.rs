//! The life of the server: bind, load beside the serving threads, serve, drain, leave.

mod companion;
mod prepare;
mod services;

use std::{
    cell::OnceCell,
    future::pending,
    io,
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::Router;
use http::Request;
use http_body_util::Either;
use hyper::body::Incoming;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    task::{LocalSet, spawn_local},
    time::{sleep, timeout},
};
use tower::ServiceExt;

use prepare::{Candidate, prepare};
use services::Services;

use crate::{
    config::{GrpcListen, ServeArgs},
    decision_log::DecisionLog,
    dumps,
    feedback::Ledger,
    http::{
        Bridge, DEFAULT_ROOM, Facts, Gate, Grpc, Install, Limits, Listening, Site, Tls, TlsOptions,
        Transport, Wiring, Worker, accept, admin_routes, bridge, run,
    },
    metrics::{Metrics, ModelLabels},
    model::{ModelError, Reason},
    rules::Watch,
    state::State,
    telemetry::{Exporter, Lossy, Tracing, seed},
};

const MAX_BODY_BYTES: usize = 256 * 1024;
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_DEFAULT_WORKERS: usize = 4;
const ADMIN_CONNECTIONS: usize = 64;
/// How often the files of --tls are looked at.
const TLS_POLL: Duration = Duration::from_secs(10);
/// A request over gRPC, from its head to its answer.
const GRPC_TIMEOUT: Duration = Duration::from_secs(5);
/// The exit code that a shell gives for SIGTERM.
const TERMINATED: u8 = 143;

/// Serves until SIGTERM. The exit code is 0 after a complete drain.
pub fn serve(arguments: ServeArgs, logs: Arc<Lossy>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(LocalSet::new().run_until(Server::start(arguments, logs)?.live()))
}

struct Server {
    arguments: ServeArgs,
    started: Instant,
    state: Arc<State>,
    metrics: Arc<Metrics>,
    gate: watch::Sender<Gate>,
    listening: Listening,
    admin: Listening,
    ledger: Arc<Ledger>,
    log: DecisionLog,
    transport: Transport,
    grpc: Option<Listening>,
    /// Brings rows from the gRPC thread to the others, and says there which model serves.
    bridge: Option<Bridge>,
    /// Keeps the lists of the rules up to date.
    lists: OnceCell<Watch>,
}

/// How a serving thread ended.
type Ended = (usize, io::Result<()>);

impl Server {
    fn start(arguments: ServeArgs, logs: Arc<Lossy>) -> anyhow::Result<Self> {
        let cores = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MAX_DEFAULT_WORKERS);
        let workers = arguments.workers.map_or(cores, usize::from);
        let bind = |address, count| {
            Listening::bind(address, count).with_context(|| format!("cannot listen on {address}"))
        };
        let listening = bind(arguments.listen, workers)?;
        let admin = bind(arguments.admin_listen, 1)?;
        let metrics = Arc::new(Metrics::new(workers + 1));
        let state = Arc::new(State::new(Arc::clone(&metrics)));
        let gate = watch::Sender::new(Gate::Open);
        let ledger = Arc::new(Ledger::default());
        let log = DecisionLog::open(&arguments.decision_log).context("the decision log cannot be opened")?;
        metrics.register(Arc::<Ledger>::clone(&ledger));
        metrics.register(log.counts());
        metrics.register(logs);
        let grpc = match arguments.grpc_listen {
            GrpcListen::Off => None,
            GrpcListen::On(address) => Some(bind(address, 1)?),
        };
        let transport = transport(&arguments)?;
        let grpc_address = grpc
            .as_ref()
            .map_or_else(|| "off".to_owned(), |grpc| grpc.address.to_string());
        tracing::info!(listen = %listening.address, admin = %admin.address, grpc = grpc_address, workers, "listening");
        tracing::info!(flags = %arguments.effective, "configuration");
        if let Err(error) = dumps::forbid() {
            tracing::warn!(%error, "core dumps cannot be forbidden");
        }
        Ok(Self {
            arguments,
            started: Instant::now(),
            state,
            metrics,
            gate,
            listening,
            admin,
            ledger,
            log,
            transport,
            grpc,
            bridge: None,
            lists: OnceCell::new(),
        })
    }

    async fn live(mut self) -> anyhow::Result<ExitCode> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let exporter = Exporter::from_env().unwrap_or_else(|error| {
            tracing::error!(%error, "traces cannot be exported");
            None
        });
        self.start_admin();
        let (installs, mut ended, count) = self.start_workers(exporter.as_ref())?;
        let loaded = self.load_beside(count);
        let service = async {
            match loaded.await {
                Ok(Ok(candidate)) => {
                    self.install(candidate, installs).await;
                    return pending::<()>().await;
                }
                Ok(Err(error)) => self.fail(error),
                Err(_) => self.fail(ModelError::new(
                    Reason::NotOnnx,
                    "the verification of the model crashed",
                )),
            }
            pending::<()>().await;
        };
        tokio::select! {
            () = service => {}
            () = stop(&mut terminate, &mut interrupt) => {}
            Some((worker, outcome)) = ended.recv() => {
                // A thread that is gone takes its share of the connections with it: better a restart.
                anyhow::bail!("serving thread {worker} ended: {outcome:?}");
            }
        }
        let code = tokio::select! {
            biased;
            () = stop(&mut terminate, &mut interrupt) => ExitCode::from(TERMINATED),
            () = self.drain(ended, count) => ExitCode::SUCCESS,
        };
        if let Some(exporter) = exporter {
            exporter.shutdown();
        }
        self.log.close();
        Ok(code)
    }

    fn limits(&self) -> Limits {
        Limits {
            connections: self.arguments.max_connections as usize,
            body: MAX_BODY_BYTES,
            head_timeout: self.arguments.header_timeout,
            body_timeout: self.arguments.body_timeout,
            idle_timeout: self.arguments.idle_timeout,
            write_timeout: WRITE_TIMEOUT,
        }
    }

    /// The admin port lives on the main thread, with counters of its own that nobody sees.
    fn start_admin(&mut self) {
        let router = admin_routes(Arc::clone(&self.state));
        let metrics = Arc::new(Metrics::new(1));
        let site = Site {
            limits: Limits {
                connections: ADMIN_CONNECTIONS,
                ..self.limits()
            },
            shard: metrics.shard(0),
            metrics,
            gate: watch::Sender::new(Gate::Open).subscribe(),
        };
        for socket in self.admin.sockets.drain(..) {
            spawn_local(accept(socket, site.clone(), admin_handler(router.clone())));
        }
    }

    fn start_workers(
        &mut self,
        exporter: Option<&Exporter>,
    ) -> anyhow::Result<(
        Vec<oneshot::Sender<Install>>,
        mpsc::UnboundedReceiver<Ended>,
        usize,
    )> {
        let (tell, ended) = mpsc::unbounded_channel();
        let mut installs = Vec::new();
        let limits = self.limits();
        let max_batch = usize::from(self.arguments.max_batch);
        let (bridge, jobs) = bridge(self.listening.sockets.len(), DEFAULT_ROOM);
        let mut jobs = jobs.into_iter();
        for (index, listener) in self.listening.sockets.drain(..).enumerate() {
            let (install, installed) = oneshot::channel();
            installs.push(install);
            let (state, metrics) = (Arc::clone(&self.state), Arc::clone(&self.metrics));
            let tracing = exporter.map_or_else(Tracing::off, |e| e.tracing(seed(index)));
            let tell = tell.clone();
            let ledger = Arc::clone(&self.ledger);
            let wiring = Wiring {
                listener,
                transport: self.transport.clone(),
                gate: self.gate.subscribe(),
                install: installed,
                jobs: jobs.next(),
            };
            thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    let worker =
                        move || Worker::new(index, limits, state, metrics, ledger, tracing, max_batch);
                    let outcome =
                        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(worker, wiring)));
                    let outcome = outcome.unwrap_or_else(|_| Err(io::Error::other("it panicked")));
                    let _ = tell.send((index, outcome));
                })?;
        }
        let mut count = installs.len();
        if let Some(listening) = self.grpc.take() {
            self.start_grpc(listening, &bridge, count, tell)?;
            count += 1;
        }
        self.bridge = Some(bridge);
        Ok((installs, ended, count))
    }

    /// gRPC has a thread of its own; rows go from there to the serving threads.
    fn start_grpc(
        &self,
        listening: Listening,
        bridge: &Bridge,
        index: usize,
        tell: mpsc::UnboundedSender<Ended>,
    ) -> io::Result<()> {
        let grpc = Grpc {
            bridge: bridge.clone(),
            state: Arc::clone(&self.state),
            max_batch: usize::from(self.arguments.max_batch),
            timeout: GRPC_TIMEOUT,
        };
        let site = Site {
            limits: self.limits(),
            metrics: Arc::clone(&self.metrics),
            shard: self.metrics.shard(index),
            gate: self.gate.subscribe(),
        };
        let transport = self.transport.clone();
        for socket in listening.sockets {
            let (grpc, site, transport, tell) = (grpc.clone(), site.clone(), transport.clone(), tell.clone());
            thread::Builder::new().name("grpc".to_owned()).spawn(move || {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    grpc.run(transport, socket, site)
                }));
                let outcome = outcome.unwrap_or_else(|_| Err(io::Error::other("it panicked")));
                let _ = tell.send((index, outcome));
            })?;
        }
        Ok(())
    }

    fn load_beside(&self, count: usize) -> oneshot::Receiver<Result<Candidate, ModelError>> {
        let (tell, loaded) = oneshot::channel();
        let arguments = self.arguments.clone();
        let load = move || {
            let _ = tell.send(prepare(&arguments, count));
        };
        // Without a thread the sender is dropped, and that is reported.
        let _ = thread::Builder::new().name("loader".to_owned()).spawn(load);
        loaded
    }

    async fn install(&self, mut candidate: Candidate, installs: Vec<oneshot::Sender<Install>>) {
        let mut services = match Services::start(self, &mut candidate) {
            Ok(services) => services,
            Err(error) => return self.fail(error),
        };
        let Candidate { loaded, card, .. } = candidate;
        let mut pending = Vec::new();
        for (index, (engine, install)) in loaded.engines.into_iter().zip(installs).enumerate() {
            let (done, installed) = oneshot::channel();
            pending.push(installed);
            let pipeline = services.pipeline(index, Box::new(engine));
            let _ = install.send(Install { pipeline, done });
        }
        for installed in pending {
            if installed.await.is_err() {
                return; // the thread has ended, and its end is reported
            }
        }
        if let Some(bridge) = &self.bridge {
            bridge.announce(Some(Facts {
                name: services.policy().name.clone(),
                version: services.policy().version.clone(),
                width: services.policy().schema.width(),
            }));
        }
        let took = self.started.elapsed();
        let (version, sha256, algorithm) =
            (card.version.clone(), card.sha256.clone(), card.algorithm.clone());
        let engine = card.engine.as_str();
        tracing::info!(
            model = card.name,
            version,
            sha256,
            algorithm,
            engine,
            ?took,
            "ready"
        );
        self.metrics.set_model_name(&card.name);
        self.metrics.set_model(
            ModelLabels {
                version,
                sha256,
                algorithm,
            },
            took,
        );
        let _ = self.lists.set(services.watched);
        self.state.set_ready(card);
    }

    fn fail(&self, error: ModelError) {
        tracing::error!(
            reason = error.reason.as_str(),
            message = error.message,
            "the model cannot be served"
        );
        self.state.set_failed(error);
    }

    async fn drain(&self, mut ended: mpsc::UnboundedReceiver<Ended>, count: usize) {
        let begun = Instant::now();
        tracing::info!(delay = ?self.arguments.drain_delay, "draining");
        self.state.set_draining();
        self.gate.send_replace(Gate::Draining);
        let all = async {
            sleep(self.arguments.drain_delay).await;
            self.gate.send_replace(Gate::Closed);
            for _ in 0..count {
                ended.recv().await;
            }
        };
        if timeout(self.arguments.shutdown_timeout, all).await.is_err() {
            tracing::warn!(
                connections = self.metrics.open(),
                "left with connections that did not finish"
            );
        }
        tracing::info!(took = ?begun.elapsed(), "stopped");
    }
}

/// What the serving and gRPC ports speak. Inside a `LocalSet`.
fn transport(arguments: &ServeArgs) -> anyhow::Result<Transport> {
    let Some(directory) = arguments.tls.clone() else {
        return Ok(Transport::default());
    };
    let options = TlsOptions {
        directory,
        clients: arguments.tls_client_san.clone(),
    };
    let (tls, reloader) = Tls::load(options).context("--tls")?;
    spawn_local(reloader.run(TLS_POLL));
    Ok(Transport {
        tls: Some(tls),
        ..Transport::default()
    })
}

fn admin_handler(router: Router) -> impl Fn(Request<Incoming>) -> AdminAnswer + Clone {
    move |request| {
        let router = router.clone();
        Box::pin(async move {
            let Ok(answer) = router.oneshot(request).await;
            answer.map(Either::Right)
        })
    }
}

type AdminAnswer = std::pin::Pin<Box<dyn Future<Output = http::Response<crate::http::Body>>>>;

async fn stop(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
