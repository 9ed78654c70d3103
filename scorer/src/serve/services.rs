//! What pipelines share beside the model: made once, handed to every thread.

use std::sync::{Arc, atomic::AtomicUsize};

use tokio::task::spawn_local;

use super::{Candidate, Server, companion::Beside};
use crate::{
    decision_log::Recorder,
    engine::{
        Batcher, Engine, Pulse, Settings,
        pair::{Companion, Evidence, PairCounters},
    },
    feedback::{Arm, Version},
    idempotency::{Counters, DigestKey, Idempotency, Limits, Memory, Redis, RedisSettings},
    metrics::Shard,
    model::{ModelError, Reason},
    pipeline::{Pipeline, Policy},
    receipt::Sealer,
    rules::{POLL, RuleCounters, RuleShard, Watch},
};

/// How often the keys of receipts are looked at.
const KEYS_POLL: std::time::Duration = std::time::Duration::from_secs(10);

/// What pipelines share.
pub struct Services {
    policy: Arc<Policy>,
    rules: Arc<RuleCounters>,
    sealer: Option<Arc<Sealer>>,
    digests: DigestKey,
    memory: Option<Arc<Memory>>,
    redis: Option<(Arc<RedisSettings>, Arc<AtomicUsize>)>,
    features: Arc<PairCounters>,
    pulse: Arc<Pulse>,
    queue: usize,
    shards: Vec<Arc<Shard>>,
    logs: Vec<Recorder>,
    companions: Vec<Companion>,
    /// Keeps the lists up to date for as long as it is held.
    pub watched: Watch,
}

impl Services {
    /// Makes what the candidate's pipelines share, and lets it be counted. Inside a `LocalSet`.
    ///
    /// # Errors
    /// When no thread is to be had.
    pub fn start(server: &Server, candidate: &mut Candidate) -> Result<Self, ModelError> {
        let (arguments, metrics, policy) = (&server.arguments, &server.metrics, &candidate.policy);
        let workers = candidate.loaded.engines.len();
        let rules = Arc::new(RuleCounters::new(&policy.rules, workers));
        let ttl = arguments.idempotency_ttl;
        let memory = (!ttl.is_zero()).then(|| {
            Arc::new(Memory::new(Limits {
                ttl,
                ..Limits::default()
            }))
        });
        let redis = candidate.redis.clone().map(|settings| (settings, Arc::default()));
        metrics.set_features(policy.schema.inputs().map(str::to_owned).collect());
        metrics.register(rules.clone());
        metrics.register(candidate.lists.clone());
        metrics.register(candidate.features.clone());
        if let Some(memory) = &memory {
            metrics.register(Arc::new(Counters {
                memory: Arc::clone(memory),
                connections: redis.as_ref().map(|(_, connected)| Arc::clone(connected)),
            }));
        }
        server.ledger.set(
            Arm::Answering,
            Some(Version::new(
                policy.version.clone(),
                policy.hash,
                policy.thresholds,
            )),
        );
        if let Some(sealer) = &candidate.sealer {
            let sealer = Arc::clone(sealer);
            spawn_local(async move { sealer.follow(KEYS_POLL).await });
        }
        let watched = Watch::start(Arc::clone(&candidate.lists), POLL).map_err(|error| {
            ModelError::new(
                Reason::ListInvalid,
                format!("the lists cannot be watched: {error}"),
            )
        })?;
        let pulse = Arc::<Pulse>::default();
        server.state.set_pulse(Arc::clone(&pulse));
        Ok(Self {
            policy: Arc::clone(policy),
            rules,
            sealer: candidate.sealer.clone(),
            digests: candidate.digests.clone(),
            memory,
            redis,
            features: Arc::clone(&candidate.features),
            pulse,
            queue: arguments.queue as usize,
            shards: (0..workers).map(|worker| metrics.shard(worker)).collect(),
            logs: (0..workers).map(|_| server.log.recorder()).collect(),
            companions: candidate
                .companion
                .take()
                .map_or_else(Vec::new, Beside::for_threads),
            watched,
        })
    }

    /// What turns scores into answers.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What makes the pipeline of one thread, on that thread.
    pub fn pipeline(
        &mut self,
        worker: usize,
        engine: Box<dyn Engine>,
    ) -> Box<dyn FnOnce() -> Pipeline + Send> {
        let (policy, sealer, digests) = (
            Arc::clone(&self.policy),
            self.sealer.clone(),
            self.digests.clone(),
        );
        let (memory, redis) = (self.memory.clone(), self.redis.clone());
        let shard = Arc::clone(&self.shards[worker]);
        let rules: Arc<RuleShard> = self.rules.shard(worker);
        let log = self.logs.pop().unwrap_or_else(Recorder::off);
        let settings = Settings {
            queue: self.queue,
            evidence: Some(Evidence {
                recorder: self.features.recorder(worker),
                companion: self.companions.pop(),
            }),
            pulse: Arc::clone(&self.pulse),
        };
        Box::new(move || Pipeline {
            batcher: Batcher::start_with(engine, Arc::clone(&shard), settings),
            policy,
            rules,
            idempotency: memory.map(|memory| match redis {
                None => Idempotency::in_memory(memory),
                Some((settings, connected)) => Idempotency::shared(memory, Redis::start(settings, connected)),
            }),
            digests,
            sealer,
            log,
            shard,
        })
    }
}
