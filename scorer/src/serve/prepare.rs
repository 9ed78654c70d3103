//! From the arguments to a model that may be installed. Blocking: runs beside the serving threads.

use std::sync::Arc;

use super::companion::Beside;
use crate::{
    config::{Role, ServeArgs},
    decision::Thresholds,
    decision_log::Served,
    engine::pair::{Arm, Control, PairCounters},
    features::Schema,
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
    /// What it shares with the models before and after it.
    pub lasting: Arc<Lasting>,
    /// Counts the features of scored payments.
    pub features: Arc<PairCounters>,
    /// A second model that scores the same payments.
    pub companion: Option<Beside>,
    /// The model, for people.
    pub card: Card,
}

/// What stays when one model takes the place of another.
pub struct Lasting {
    /// The rules of the manifest.
    policy: Policy,
    /// The lists of the rules.
    pub lists: Arc<Lists>,
    /// Seals receipts, where there are keys.
    pub sealer: Option<Arc<Sealer>>,
    /// A Redis that shares answers among pods.
    pub redis: Option<Arc<RedisSettings>>,
    /// Key of the digests of requests.
    pub digests: DigestKey,
}

impl Lasting {
    fn open(arguments: &ServeArgs) -> Result<Self, ModelError> {
        let policy = Policy::parse(&arguments.policy)
            .map_err(|error| ModelError::new(Reason::PolicyInvalid, error))?;
        let lists = Lists::open(&policy.lists, &arguments.lists)
            .map_err(|error| ModelError::new(Reason::ListInvalid, error.to_string()))?;
        let (sealer, redis) = secrets(arguments)?;
        Ok(Self {
            policy,
            lists: Arc::new(lists),
            digests: redis
                .as_ref()
                .map_or_else(DigestKey::random, |redis| redis.key().clone()),
            sealer,
            redis,
        })
    }
}

/// Prepares one model after the other.
pub struct Preparer {
    arguments: ServeArgs,
    threads: usize,
    lasting: Option<Arc<Lasting>>,
    /// The switch of the companion.
    control: Option<Arc<Control>>,
    /// Of the model that was prepared last.
    schema: Option<Arc<Schema>>,
}

impl Preparer {
    /// Nothing is prepared.
    pub fn new(arguments: &ServeArgs, threads: usize) -> Self {
        Self {
            arguments: arguments.clone(),
            threads,
            lasting: None,
            control: None,
            schema: None,
        }
    }

    /// Everything between the content of the file and engines that may serve. Blocking.
    pub fn prepare(&mut self, bytes: Vec<u8>) -> Result<Candidate, ModelError> {
        let arguments = &self.arguments;
        let verified = model::examine(bytes)?;
        if let Some(schema) = &self.schema {
            check_inputs(schema, &verified.schema)?;
        }
        let thresholds = thresholds(arguments, &verified)?;
        let lasting = match &self.lasting {
            Some(lasting) => Arc::clone(lasting),
            None => Arc::clone(self.lasting.insert(Arc::new(Lasting::open(arguments)?))),
        };
        let rules = compile(&lasting, &verified)?;
        let trial = trial::Trial {
            file: &arguments.model,
            library: arguments.onnxruntime.as_deref(),
            wanted: Wanted {
                choice: arguments.engine,
                thresholds: Some(thresholds),
            },
            limits: trial::Limits::default(),
        };
        let loaded = trial.load(&verified, self.threads)?;
        let companion = Beside::load(arguments, &verified, self.threads, &mut self.control);
        self.schema = Some(Arc::clone(&verified.schema));
        let judged = Judged {
            verified: &verified,
            thresholds,
            rules,
        };
        Ok(candidate(arguments, judged, loaded, lasting, companion))
    }
}

/// A model that has passed everything, and what was made for it.
struct Judged<'a> {
    verified: &'a Verified,
    thresholds: Thresholds,
    rules: Rules,
}

fn candidate(
    arguments: &ServeArgs,
    judged: Judged<'_>,
    loaded: Loaded,
    lasting: Arc<Lasting>,
    companion: Option<Beside>,
) -> Candidate {
    let Judged {
        verified,
        thresholds,
        rules,
    } = judged;
    let version = version(arguments, verified);
    let card = Card::new(verified, version.clone(), thresholds, &loaded);
    let profiles: Vec<Profile> = verified.metadata.features.iter().map(Profile::of).collect();
    let policy = pipeline::Policy {
        thresholds,
        on_model_error: arguments.on_model_error,
        deadline: arguments.deadline,
        block_status: arguments.block_status,
        name: card.name.clone(),
        features: verified.schema.inputs().map(str::to_owned).collect(),
        version_json: serde_json::Value::from(version.as_str()).to_string(),
        hash: hash(arguments, verified),
        schema: Arc::clone(&verified.schema),
        rules,
        reasons: Reasons::new(&profiles),
        served: Served::new(&card.name, &version, &card.sha256),
        version,
    };
    let threads = loaded.engines.len();
    Candidate {
        loaded,
        policy: Arc::new(policy),
        lasting,
        companion,
        features: PairCounters::new(&profiles, thresholds, arm(arguments.role), threads),
        card,
    }
}

/// Requests must stay what they are: clients, rules and the companion know the inputs of the model that serves.
fn check_inputs(serving: &Schema, other: &Schema) -> Result<(), ModelError> {
    if other.inputs().eq(serving.inputs()) {
        return Ok(());
    }
    let inputs = serving.inputs().zip(other.inputs());
    let column = inputs.take_while(|(ours, theirs)| ours == theirs).count();
    let name = |schema: &Schema| schema.input(column).unwrap_or("nothing").to_owned();
    let message = format!(
        "its inputs are not those of the model that serves: column {column} is {}, it was {}; a model with other inputs \
         needs a restart",
        name(other),
        name(serving)
    );
    Err(ModelError::new(Reason::FeatureMismatch, message))
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

fn compile(lasting: &Lasting, verified: &Verified) -> Result<Rules, ModelError> {
    let fields = FieldTypes::new(verified.schema.inputs());
    Rules::compile(&lasting.policy.rules, &lasting.lists, &fields)
        .map_err(|error| ModelError::new(Reason::RuleInvalid, error.to_string()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Input, Missing};

    fn schema(names: &[&str]) -> Schema {
        let inputs = names.iter().map(|name| Input {
            name,
            missing: Missing::Reject,
            median: None,
        });
        Schema::of(&inputs.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn another_model_must_read_the_same_inputs_in_the_same_order() {
        let serving = schema(&["A", "B"]);
        assert_eq!(check_inputs(&serving, &schema(&["A", "B"])), Ok(()));
        for (other, words) in [
            (&["A", "C"][..], "column 1 is C, it was B"),
            (&["B", "A"], "column 0 is B, it was A"),
            (&["A"], "column 1 is nothing, it was B"),
            (&["A", "B", "C"], "column 2 is C, it was nothing"),
        ] {
            let error = check_inputs(&serving, &schema(other)).unwrap_err();
            assert_eq!(error.reason, Reason::FeatureMismatch);
            assert!(error.message.contains(words), "{error}");
        }
    }
}
