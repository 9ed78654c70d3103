//! The life of the server: bind, load beside the serving threads, serve, drain, leave.

mod companion;
mod loader;
mod prepare;
mod reload;
mod seen;
mod services;

use std::{
    io,
    pin::pin,
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
    sync::{mpsc, watch},
    task::{LocalSet, spawn_local},
    time::{sleep, timeout},
};
use tower::ServiceExt;

use loader::{Loader, News};
use prepare::Candidate;
use reload::Service;

use crate::{
    access::{Access, TOKENS_POLL},
    config::{GrpcListen, ServeArgs},
    decision_log::DecisionLog,
    dumps,
    feedback::Ledger,
    http::{
        Bridge, DEFAULT_ROOM, Gate, Grpc, Install, Limits, Listening, Peer, Site, Tls, TlsOptions, Transport,
        Wiring, Worker, accept, admin_routes, bridge, refusal, refuses_admin, run,
    },
    metrics::Metrics,
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
    // All of it inside: --tls looks after its files from the start.
    let life = async { Server::start(arguments, logs)?.live().await };
    runtime.block_on(LocalSet::new().run_until(life))
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
    /// Who may call; everybody when absent.
    access: Option<Arc<Access>>,
    grpc: Option<Listening>,
    /// Brings rows from the gRPC thread to the others, and says there which model serves.
    bridge: Option<Bridge>,
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
        let access = Arc::new(Access::new(&arguments.access).context("--tokens")?);
        metrics.register(access.counts());
        access
            .watch(TOKENS_POLL)
            .context("the tokens cannot be watched")?;
        let grpc_address = grpc
            .as_ref()
            .map_or_else(|| "off".to_owned(), |grpc| grpc.address.to_string());
        tracing::info!(listen = %listening.address, admin = %admin.address, grpc = grpc_address, workers, "listening");
        warn_of_access(&arguments, &access);
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
            access: access.is_needed().then_some(access),
            grpc,
            bridge: None,
        })
    }

    async fn live(mut self) -> anyhow::Result<ExitCode> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // Without --reload SIGHUP ends the process, as it does with any that has no use for it.
        let reload = self.arguments.reload;
        let hangup = reload.map(|_| signal(SignalKind::hangup())).transpose()?;
        let exporter = Exporter::from_env().unwrap_or_else(|error| {
            tracing::error!(%error, "traces cannot be exported");
            None
        });
        self.start_admin();
        let (installs, mut ended, count) = self.start_workers(exporter.as_ref())?;
        let news = self.load_beside(installs.len(), hangup);
        // Held to the end: lists change while the process drains, too.
        let mut service = pin!(Service::new(&self, installs).follow(news));
        tokio::select! {
            () = &mut service => {}
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
            let handler = admin_handler(router.clone(), self.access.clone(), site.limits.body_timeout);
            spawn_local(accept(socket, site.clone(), handler));
        }
    }

    fn start_workers(
        &mut self,
        exporter: Option<&Exporter>,
    ) -> anyhow::Result<(
        Vec<mpsc::UnboundedSender<Install>>,
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
            let (install, installed) = mpsc::unbounded_channel();
            installs.push(install);
            let (state, metrics) = (Arc::clone(&self.state), Arc::clone(&self.metrics));
            let tracing = exporter.map_or_else(Tracing::off, |e| e.tracing(seed(index)));
            let tell = tell.clone();
            let (ledger, access) = (Arc::clone(&self.ledger), self.access.clone());
            let wiring = Wiring {
                listener,
                transport: self.transport.clone(),
                gate: self.gate.subscribe(),
                installs: installed,
                jobs: jobs.next(),
            };
            thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    let worker = move || {
                        Worker::new(index, limits, state, metrics, ledger, tracing, max_batch).guarded(access)
                    };
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
            access: self.access.clone(),
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

    /// Starts the thread that prepares models; it looks for another one at each SIGHUP, too.
    fn load_beside(&self, threads: usize, hangup: Option<Signal>) -> mpsc::Receiver<News> {
        let (tell, news) = mpsc::channel(1);
        let (ask, asked) = std::sync::mpsc::channel();
        let loader = Loader::new(&self.arguments, threads);
        if let Some(hangup) = hangup {
            reload::ask_on(hangup, ask);
        }
        // Without a thread the sender is dropped, and that is reported.
        let _ = thread::Builder::new()
            .name("loader".to_owned())
            .spawn(move || loader.run(&tell, &asked));
        news
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

/// What is known of access at start, where it may be less than somebody thinks.
fn warn_of_access(arguments: &ServeArgs, access: &Access) {
    if access.is_open() && arguments.tls_client_san.is_empty() {
        tracing::warn!(
            "feedback and predictions are open to whoever reaches the ports: give --tokens, or --tls-client-san"
        );
    }
    if access.is_closed() {
        tracing::warn!("--tokens has no token: nobody may call");
    }
}

fn admin_handler(
    router: Router,
    access: Option<Arc<Access>>,
    body_timeout: Duration,
) -> impl Fn(Peer, Request<Incoming>) -> AdminAnswer + Clone {
    move |peer, request| {
        let (router, access) = (router.clone(), access.clone());
        Box::pin(async move {
            let denied = access.and_then(|access| refuses_admin(&access, &request, &peer));
            if let Some(denied) = denied {
                let (head, body) = request.into_parts();
                let refusal = refusal(head.uri.path(), denied);
                return peer.answer_unread(&head, body, refusal, body_timeout);
            }
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
