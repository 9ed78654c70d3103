//! What the `scorer` container gets from the manifest beside its flags: environment, mounts, volumes.

use k8s_openapi::api::core::v1::{ConfigMapVolumeSource, EnvVar, Volume, VolumeMount};

use super::{
    meta, policy,
    source::{mount, mounted_secret, secret_volume},
};
use crate::reconcile::validate::ValidModel;

const RECEIPT_KEYS_DIR: &str = "/etc/fraudops/receipt-keys";
const REDIS_DIR: &str = "/etc/fraudops/redis";
const LISTS_DIR: &str = "/etc/fraudops/lists";

/// The spec's environment, the policy, and where the mounted Secrets are.
pub(super) fn env(model: &ValidModel) -> Vec<EnvVar> {
    let ours = |name: &str, value: &str| EnvVar {
        name: name.into(),
        value: Some(value.into()),
        value_from: None,
    };
    let mut env = model.scorer.env.clone();
    env.push(ours("FRAUDOPS_RECEIPT_KEYS", RECEIPT_KEYS_DIR));
    if let Some(redis) = &model.idempotency.redis {
        env.push(ours("FRAUDOPS_REDIS", REDIS_DIR));
        env.push(ours("FRAUDOPS_REDIS_TIMEOUT", &redis.timeout));
    }
    env.extend(policy::policy(model).map(|policy| ours("FRAUDOPS_POLICY", &policy)));
    env
}

/// Mounts of [`volumes`].
pub(super) fn mounts(model: &ValidModel) -> Vec<VolumeMount> {
    let mut mounts = vec![mount("receipt-keys", RECEIPT_KEYS_DIR, true)];
    if model.idempotency.redis.is_some() {
        mounts.push(mount("redis", REDIS_DIR, true));
    }
    let lists = list_maps(model);
    mounts.extend(lists.map(|(volume, list, _)| mount(&volume, &format!("{LISTS_DIR}/{list}"), true)));
    mounts
}

/// Keys, addresses and lists. None is optional: a pod that would serve without one of them must not start.
pub(super) fn volumes(model: &ValidModel) -> Vec<Volume> {
    let keys = model.receipts.key_secret_ref.as_ref();
    let keys = keys.map_or_else(
        || meta::receipt_keys_name(&model.name),
        |secret| secret.name.clone(),
    );
    let mut volumes = vec![secret_volume("receipt-keys".into(), mounted_secret(&keys))];
    if let Some(redis) = &model.idempotency.redis {
        volumes.push(secret_volume(
            "redis".into(),
            mounted_secret(&redis.secret_ref.name),
        ));
    }
    volumes.extend(list_maps(model).map(|(name, _, config_map)| Volume {
        name,
        config_map: Some(ConfigMapVolumeSource {
            name: config_map.to_owned(),
            default_mode: Some(0o444),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }));
    volumes
}

/// Volume, list and ConfigMap of each list that has one. Names of lists are no names of volumes: they are counted.
fn list_maps(model: &ValidModel) -> impl Iterator<Item = (String, &str, &str)> {
    let maps = model.lists.iter().filter_map(|(list, source)| {
        let config_map = source.config_map_ref.as_ref()?;
        Some((list.as_str(), config_map.name.as_str()))
    });
    maps.enumerate()
        .map(|(i, (list, config_map))| (format!("list-{i}"), list, config_map))
}
