//! From the arguments to a model that may be installed. Blocking: runs beside the serving threads.

use std::sync::Arc;

use super::companion::Beside;
use crate::{
    config::{Role, ServeArgs},
    decision::Thresholds,
    decision_log::Served,
    engine::pair::{Arm, PairCounters},
    idempotency::{DigestKey, RedisSettings},
    model::{self, Loaded, ModelError, Profile, Reason, Verified, Wanted, trial},
    pipeline,
    policy::Policy,
    reasons::Reasons,
    receipt::{Scope, Sealer, VersionHash},
    rules::{FieldTypes, Lists, Rules},
    state::Card,
};

/// A model that is ready to be installed.
pub struct Candidate {
    /// An engine for each thread.
    pub loaded: Loaded,
    /// What turns scores into answers.
    pub policy: Arc<pipeline::Policy>,
    /// The lists of the rules.
    pub lists: Arc<Lists>,
    /// Seals receipts, where there are keys.
    pub sealer: Option<Arc<Sealer>>,
    /// A Redis that shares answers among pods.
    pub redis: Option<Arc<RedisSettings>>,
    /// Key of the digests of requests.
    pub digests: DigestKey,
    /// Counts the features of scored payments.
    pub features: Arc<PairCounters>,
    /// A second model that scores the same payments.
    pub companion: Option<Beside>,
    /// The model, for people.
    pub card: Card,
}

/// Everything between the file and engines that may serve. Blocking.
pub fn prepare(arguments: &ServeArgs, count: usize) -> Result<Candidate, ModelError> {
    let verified = model::verify(&arguments.model)?;
    let thresholds = thresholds(arguments, &verified)?;
    let (lists, rules) = rules(arguments, &verified)?;
    let trial = trial::Trial {
        file: &arguments.model,
        library: arguments.onnxruntime.as_deref(),
        wanted: Wanted {
            choice: arguments.engine,
            thresholds: Some(thresholds),
        },
        limits: trial::Limits::default(),
    };
    let (sealer, redis) = secrets(arguments)?;
    let loaded = trial.load(&verified, count)?;
    let version = version(arguments, &verified);
    let card = Card::new(&verified, version.clone(), thresholds, &loaded);
    let profiles: Vec<Profile> = verified.metadata.features.iter().map(Profile::of).collect();
    let policy = pipeline::Policy {
        thresholds,
        on_model_error: arguments.on_model_error,
        deadline: arguments.deadline,
        block_status: arguments.block_status,
        name: card.name.clone(),
        features: verified.schema.inputs().map(str::to_owned).collect(),
        version_json: serde_json::Value::from(version.as_str()).to_string(),
        hash: hash(arguments, &verified),
        schema: Arc::clone(&verified.schema),
        rules,
        reasons: Reasons::new(&profiles),
        served: Served::new(&card.name, &version, &card.sha256),
        version,
    };
    Ok(Candidate {
        loaded,
        policy: Arc::new(policy),
        lists: Arc::new(lists),
        digests: redis
            .as_ref()
            .map_or_else(DigestKey::random, |redis| redis.key().clone()),
        sealer,
        redis,
        companion: Beside::load(arguments, &verified, count),
        features: PairCounters::new(&profiles, thresholds, arm(arguments.role), count),
        card,
    })
}

fn arm(role: Role) -> Arm {
    match role {
        Role::Stable => Arm::Stable,
        Role::Candidate => Arm::Candidate,
    }
}

/// Keys of receipts, and a Redis.
type Secrets = (Option<Arc<Sealer>>, Option<Arc<RedisSettings>>);

/// What is read from mounted Secrets.
fn secrets(arguments: &ServeArgs) -> Result<Secrets, ModelError> {
    let scope = Scope {
        namespace: arguments.model_namespace.clone(),
        model: arguments.model_name.clone(),
    };
    let sealer = arguments
        .receipt_keys
        .as_deref()
        .map(|folder| Sealer::from_dir(folder, scope.clone()))
        .transpose()
        .map_err(|error| ModelError::new(Reason::ReceiptKeysInvalid, error.to_string()))?;
    let redis = arguments
        .redis
        .as_deref()
        .map(|folder| {
            RedisSettings::from_dir(folder, &scope, arguments.redis_timeout, arguments.idempotency_ttl)
        })
        .transpose()
        .map_err(|error| ModelError::new(Reason::RedisInvalid, error.to_string()))?;
    Ok((sealer.map(Arc::new), redis.map(Arc::new)))
}

fn version(arguments: &ServeArgs, verified: &Verified) -> String {
    let own = &verified.metadata.card.version;
    let version = arguments.model_version.clone().unwrap_or_else(|| own.clone());
    if version != *own {
        tracing::warn!(version, model = own, "the model's own version is another one");
    }
    version
}

/// How receipts name the version.
fn hash(arguments: &ServeArgs, verified: &Verified) -> VersionHash {
    let own = || verified.sha256[..8].parse().ok();
    arguments.version_hash.or_else(own).unwrap_or_default()
}

fn rules(arguments: &ServeArgs, verified: &Verified) -> Result<(Lists, Rules), ModelError> {
    let policy =
        Policy::parse(&arguments.policy).map_err(|error| ModelError::new(Reason::PolicyInvalid, error))?;
    let lists = Lists::open(&policy.lists, &arguments.lists)
        .map_err(|error| ModelError::new(Reason::ListInvalid, error.to_string()))?;
    let fields = FieldTypes::new(verified.schema.inputs());
    let rules = Rules::compile(&policy.rules, &lists, &fields)
        .map_err(|error| ModelError::new(Reason::RuleInvalid, error.to_string()))?;
    Ok((lists, rules))
}

fn thresholds(arguments: &ServeArgs, model: &Verified) -> Result<Thresholds, ModelError> {
    if let (Some(review), Some(block)) = (arguments.review, arguments.block) {
        return Thresholds::new(review, block)
            .map_err(|error| ModelError::new(Reason::MetadataInvalid, error));
    }
    model.metadata.thresholds.ok_or_else(|| {
        let message = "the model has no fraudops.dev/thresholds, and neither --review nor --block is given";
        ModelError::new(Reason::MetadataMissing, message)
    })
}
