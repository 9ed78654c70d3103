//! What the `scorer` container gets from the manifest beside its flags: environment, mounts, volumes.

use std::collections::BTreeSet;

use fraudops_crds::fraud_model::ModelVersion;
use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, EnvVar, Pod, Volume, VolumeMount};

use super::{
    config_map, meta, policy,
    source::{item, mount, mounted_secret, secret_volume},
};
use crate::reconcile::validate::ValidModel;

const RECEIPT_KEYS_DIR: &str = "/etc/fraudops/receipt-keys";
const REDIS_DIR: &str = "/etc/fraudops/redis";
const LISTS_DIR: &str = "/etc/fraudops/lists";
const TOKENS_DIR: &str = "/etc/fraudops/tokens";
const TLS_DIR: &str = "/etc/fraudops/tls";
const DECISION_LOG_DIR: &str = "/etc/fraudops/decision-log";
/// What the names of the volumes of lists begin with.
const LIST_VOLUME: &str = "list-";
/// Variables that make the scorer ask who calls.
const TOKENS: &str = "FRAUDOPS_TOKENS";
const TLS_CLIENT_SAN: &str = "FRAUDOPS_TLS_CLIENT_SAN";

/// Whether a scorer pod asks who calls: for a token, or for a client certificate.
pub fn asks_who_calls(pod: &Pod) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut variables = containers
        .filter(|container| container.name == "scorer")
        .flat_map(|container| container.env.iter().flatten());
    variables.any(|variable| [TOKENS, TLS_CLIENT_SAN].contains(&variable.name.as_str()))
}

/// The ConfigMaps that a scorer pod has mounted as lists.
pub fn mounted_lists(pod: &Pod) -> BTreeSet<&str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let lists = volumes.filter(|volume| volume.name.starts_with(LIST_VOLUME));
    lists
        .filter_map(|volume| Some(volume.config_map.as_ref()?.name.as_str()))
        .collect()
}

/// The spec's environment, the policy, and where the mounted Secrets are.
pub(super) fn env(model: &ValidModel, version: &ModelVersion) -> Vec<EnvVar> {
    let mut env = model.scorer.env.clone();
    env.push(ours("FRAUDOPS_RECEIPT_KEYS", RECEIPT_KEYS_DIR));
    if let Some(redis) = &model.idempotency.redis {
        env.push(ours("FRAUDOPS_REDIS", REDIS_DIR));
        env.push(ours("FRAUDOPS_REDIS_TIMEOUT", &redis.timeout));
    }
    env.extend(access(model, version));
    env.extend(decision_log(model));
    env.extend(policy::policy(model).map(|policy| ours("FRAUDOPS_POLICY", &policy)));
    env
}

fn ours(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: Some(value.into()),
        value_from: None,
    }
}

fn access(model: &ValidModel, version: &ModelVersion) -> Vec<EnvVar> {
    let mut env = vec![];
    if model.access.tokens_secret_ref.is_some() {
        env.push(ours(TOKENS, TOKENS_DIR));
    }
    if let Some(rate) = &model.access.rate_limit {
        env.push(ours("FRAUDOPS_RATE_LIMIT", &rate.requests_per_second.to_string()));
        let burst = rate.burst.map(|burst| burst.to_string());
        env.extend(burst.map(|burst| ours("FRAUDOPS_RATE_BURST", &burst)));
    }
    // Traefik is in front of the pods then, and says where a request came from.
    if model.ingress.is_some() {
        env.push(ours("FRAUDOPS_TRUST_FORWARDED", "true"));
    }
    if version.mtls {
        env.push(ours("FRAUDOPS_TLS", TLS_DIR));
        env.push(ours(TLS_CLIENT_SAN, &clients(model)));
    }
    env
}

/// Names of which a client's certificate must carry one. Traefik's is always among them, so that a route can be added
/// without a moment in which pods refuse it.
fn clients(model: &ValidModel) -> String {
    let mut names = vec![meta::traefik_client(model)];
    names.extend(
        model
            .access
            .mtls
            .iter()
            .flat_map(|mtls| mtls.allowed_sans.iter().cloned()),
    );
    names.join(",")
}

fn decision_log(model: &ValidModel) -> Vec<EnvVar> {
    let Some(log) = &model.decision_log else {
        return vec![];
    };
    let mut env = vec![
        ours("FRAUDOPS_DECISION_LOG", "stdout"),
        ours("FRAUDOPS_DECISION_LOG_APPROVALS", &log.approvals.to_string()),
    ];
    if log.pseudonym_key_secret_ref.is_some() {
        env.push(ours(
            "FRAUDOPS_DECISION_LOG_KEY",
            &format!("{DECISION_LOG_DIR}/key"),
        ));
    }
    env
}

/// Volume, directory and Secret of each Secret that is mounted. None is optional: a pod that would serve without one of
/// them must not start.
fn secrets(model: &ValidModel, version: &ModelVersion) -> Vec<(&'static str, &'static str, String)> {
    let keys = model.receipts.key_secret_ref.as_ref();
    let keys = keys.map_or_else(
        || meta::receipt_keys_name(&model.name),
        |secret| secret.name.clone(),
    );
    let redis = model.idempotency.redis.as_ref().map(|redis| &redis.secret_ref);
    let log = model.decision_log.as_ref();
    let pseudonyms = log.and_then(|log| log.pseudonym_key_secret_ref.as_ref());
    let tls = || meta::secret_name(&meta::server_certificate_name(&model.name));
    [
        ("receipt-keys", RECEIPT_KEYS_DIR, Some(keys)),
        ("redis", REDIS_DIR, redis.map(|secret| secret.name.clone())),
        (
            "tokens",
            TOKENS_DIR,
            model
                .access
                .tokens_secret_ref
                .as_ref()
                .map(|secret| secret.name.clone()),
        ),
        ("tls", TLS_DIR, version.mtls.then(tls)),
        (
            "decision-log",
            DECISION_LOG_DIR,
            pseudonyms.map(|secret| secret.name.clone()),
        ),
    ]
    .into_iter()
    .filter_map(|(volume, directory, secret)| Some((volume, directory, secret?)))
    .collect()
}

/// Mounts of [`volumes`].
pub(super) fn mounts(model: &ValidModel, version: &ModelVersion) -> Vec<VolumeMount> {
    let secrets = secrets(model, version);
    let mut mounts: Vec<VolumeMount> = secrets
        .iter()
        .map(|(volume, directory, _)| mount(volume, directory, true))
        .collect();
    let lists = list_maps(model).into_iter();
    mounts.extend(lists.map(|source| mount(&source.volume, &format!("{LISTS_DIR}/{}", source.list), true)));
    mounts
}

/// Keys, addresses, tokens, certificates and lists.
pub(super) fn volumes(model: &ValidModel, version: &ModelVersion) -> Vec<Volume> {
    let secrets = secrets(model, version).into_iter();
    let mut volumes: Vec<Volume> = secrets
        .map(|(volume, _, secret)| secret_volume(volume.into(), mounted_secret(&secret)))
        .collect();
    volumes.extend(list_maps(model).into_iter().map(ListMap::volume));
    volumes
}

/// Where a list's ids are.
struct ListMap<'a> {
    volume: String,
    list: &'a str,
    config_map: String,
    /// The one key of the ConfigMap that is the list's; all of them otherwise.
    key: Option<&'a str>,
}

impl ListMap<'_> {
    /// Not optional: a pod that would take everybody for unlisted must not start.
    fn volume(self) -> Volume {
        Volume {
            name: self.volume,
            config_map: Some(ConfigMapVolumeSource {
                name: self.config_map,
                items: self.key.map(|key| vec![item(key, key)]),
                default_mode: Some(0o444),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        }
    }
}

/// One for each list. Names of lists are no names of volumes: they are counted.
fn list_maps(model: &ValidModel) -> Vec<ListMap<'_>> {
    let ours = config_map::name(model);
    let sources = model.lists.iter().filter_map(|(list, source)| {
        let (config_map, key) = match &source.config_map_ref {
            Some(theirs) => (theirs.name.clone(), None),
            None => (ours.clone()?, Some(list.as_str())),
        };
        Some((list, config_map, key))
    });
    let counted = sources.enumerate();
    counted
        .map(|(i, (list, config_map, key))| ListMap {
            volume: format!("{LIST_VOLUME}{i}"),
            list,
            config_map,
            key,
        })
        .collect()
}
