//! What pipelines share beside the model: made once, handed to every thread.

use std::{
    mem,
    rc::Rc,
    sync::{Arc, atomic::AtomicUsize},
};

use tokio::{sync::oneshot, task::spawn_local};

use super::{Candidate, Server, companion::Beside, prepare::Lasting};
use crate::{
    decision_log::Recorder,
    engine::{
        Batcher, Engine, Pulse, Settings,
        pair::{Evidence, PairCounters},
    },
    feedback::{Arm, Version},
    http::{Install, MakePipeline},
    idempotency::{Counters, Idempotency, Limits, Memory, Redis, RedisSettings},
    metrics::{Current, Shard},
    model::{ModelError, Reason},
    pipeline::{Pipeline, Policy},
    rules::{POLL, RuleCounters, Watch},
};

/// How often the keys of receipts are looked at.
const KEYS_POLL: std::time::Duration = std::time::Duration::from_secs(10);

/// What pipelines share, also those of models that follow one another.
pub struct Services {
    lasting: Arc<Lasting>,
    rules: Arc<RuleCounters>,
    memory: Option<Arc<Memory>>,
    redis: Option<(Arc<RedisSettings>, Arc<AtomicUsize>)>,
    features: Arc<Current<PairCounters>>,
    /// Of the model that came last.
    pulse: Arc<Pulse>,
    queue: usize,
    shards: Vec<Arc<Shard>>,
    /// Taken by the first pipeline of each thread, which hands its own to the next.
    logs: Vec<Recorder>,
    /// Keeps the lists up to date.
    _watched: Watch,
}

/// A pipeline on its way to its thread, and who is told when it serves.
type Installing = (Install, oneshot::Receiver<()>);

impl Services {
    /// Makes what the pipelines share, and lets it be counted. Inside a `LocalSet`.
    ///
    /// # Errors
    /// When no thread is to be had.
    pub fn start(server: &Server, candidate: &Candidate) -> Result<Self, ModelError> {
        let (arguments, metrics, policy) = (&server.arguments, &server.metrics, &candidate.policy);
        let lasting = Arc::clone(&candidate.lasting);
        let watched = Watch::start(Arc::clone(&lasting.lists), POLL).map_err(|error| {
            ModelError::new(
                Reason::ListInvalid,
                format!("the lists cannot be watched: {error}"),
            )
        })?;
        let workers = candidate.loaded.engines.len();
        let rules = Arc::new(RuleCounters::new(&policy.rules, workers));
        let ttl = arguments.idempotency_ttl;
        let memory = (!ttl.is_zero()).then(|| {
            Arc::new(Memory::new(Limits {
                ttl,
                ..Limits::default()
            }))
        });
        let redis = lasting.redis.clone().map(|settings| (settings, Arc::default()));
        let features = Arc::new(Current::new(Arc::clone(&candidate.features)));
        metrics.set_features(policy.schema.inputs().map(str::to_owned).collect());
        metrics.register(rules.clone());
        metrics.register(lasting.lists.clone());
        metrics.register(features.clone());
        if let Some(memory) = &memory {
            metrics.register(Arc::new(Counters {
                memory: Arc::clone(memory),
                connections: redis.as_ref().map(|(_, connected)| Arc::clone(connected)),
            }));
        }
        if let Some(sealer) = &lasting.sealer {
            let sealer = Arc::clone(sealer);
            spawn_local(async move { sealer.follow(KEYS_POLL).await });
        }
        Ok(Self {
            lasting,
            rules,
            memory,
            redis,
            features,
            pulse: Arc::default(),
            queue: arguments.queue as usize,
            shards: (0..workers).map(|worker| metrics.shard(worker)).collect(),
            logs: (0..workers).map(|_| server.log.recorder()).collect(),
            _watched: watched,
        })
    }

    /// A pipeline for each thread. Takes the engines out of the candidate, and its companion.
    pub fn installs(&mut self, candidate: &mut Candidate) -> Vec<Installing> {
        self.pulse = Arc::default();
        let companion = candidate.companion.take();
        let mut companions = companion.map_or_else(Vec::new, Beside::for_threads);
        let engines = mem::take(&mut candidate.loaded.engines);
        let engines = engines.into_iter().enumerate();
        let installs = engines.map(|(worker, engine)| {
            let (done, installed) = oneshot::channel();
            let settings = Settings {
                queue: self.queue,
                evidence: Some(Evidence {
                    recorder: candidate.features.recorder(worker),
                    companion: companions.pop(),
                }),
                pulse: Arc::clone(&self.pulse),
            };
            let pipeline = self.pipeline(worker, Box::new(engine), settings, &candidate.policy);
            (Install { pipeline, done }, installed)
        });
        installs.collect()
    }

    /// The candidate serves on every thread.
    pub fn serve(&self, server: &Server, candidate: &Candidate) {
        let policy = &candidate.policy;
        self.features.set(Arc::clone(&candidate.features));
        server.state.set_pulse(Arc::clone(&self.pulse));
        let version = Version::new(policy.version.clone(), policy.hash, policy.thresholds);
        server.ledger.set(Arm::Answering, Some(version));
    }

    fn pipeline(
        &mut self,
        worker: usize,
        engine: Box<dyn Engine>,
        settings: Settings,
        policy: &Arc<Policy>,
    ) -> MakePipeline {
        let (policy, lasting) = (Arc::clone(policy), Arc::clone(&self.lasting));
        let (memory, redis) = (self.memory.clone(), self.redis.clone());
        let shard = Arc::clone(&self.shards[worker]);
        let rules = self.rules.shard(worker);
        let log = self.logs.pop();
        Box::new(move |before| Pipeline {
            batcher: Batcher::start_with(engine, Arc::clone(&shard), settings),
            policy,
            rules,
            idempotency: match before {
                Some(before) => before.idempotency.clone(),
                None => memory.map(|memory| Rc::new(idempotency(memory, redis))),
            },
            digests: lasting.digests.clone(),
            sealer: lasting.sealer.clone(),
            log: match before {
                Some(before) => Rc::clone(&before.log),
                None => Rc::new(log.unwrap_or_else(Recorder::off)),
            },
            shard,
        })
    }
}

fn idempotency(memory: Arc<Memory>, redis: Option<(Arc<RedisSettings>, Arc<AtomicUsize>)>) -> Idempotency {
    match redis {
        None => Idempotency::in_memory(memory),
        Some((settings, connected)) => Idempotency::shared(memory, Redis::start(settings, connected)),
    }
}
