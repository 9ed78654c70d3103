//! Where the `fetch` container finds the model: its arguments, mounts and volumes, by the scheme of the uri.
//!
//! Credentials and keys are policies of the FraudModel: they apply to the pods of every version whose uri they fit.

use fraudops_crds::fraud_model::{Cache, ModelVersion, PublicKeyRef};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, HostPathVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource,
    SecretVolumeSource, Volume, VolumeMount,
};

use crate::reconcile::validate::{ValidModel, pinned_digest};

const REGISTRY_DIR: &str = "/etc/fraudops/registry";
const CREDENTIALS_DIR: &str = "/etc/fraudops/credentials";
const VERIFY_DIR: &str = "/etc/fraudops/verify";
const SOURCE_DIR: &str = "/var/lib/fraudops/source";
const CACHE_DIR: &str = "/var/cache/fraudops";

/// What the `fetch` container needs beyond its image.
pub(super) struct Source {
    pub(super) uri: String,
    pub(super) args: Vec<String>,
    pub(super) mounts: Vec<VolumeMount>,
    pub(super) volumes: Vec<Volume>,
}

pub(super) fn build(model: &ValidModel, version: &ModelVersion) -> Source {
    let mut source = Source {
        uri: version.uri.clone(),
        args: vec![],
        mounts: vec![],
        volumes: vec![],
    };
    source.uri(version);
    source.registries(model);
    if has_scheme(&version.uri, &["s3", "gs", "az", "https"]) {
        source.credentials(model.credentials.as_deref());
    }
    if has_scheme(&version.uri, &["s3", "gs", "az"]) && model.instance_metadata {
        source.args.push("--instance-metadata".into());
    }
    if has_scheme(&version.uri, &["oci"]) {
        source.verify(model.verify.as_ref());
    }
    source.cache(model.scorer.cache.as_ref());
    source
}

/// Whether the uri of a version has one of these schemes.
pub(super) fn has_scheme(uri: &str, schemes: &[&str]) -> bool {
    let scheme = uri.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| schemes.contains(&scheme))
}

impl Source {
    /// The uri; what Kubernetes can mount is a file for the scorer.
    fn uri(&mut self, version: &ModelVersion) {
        let uri = &version.uri;
        let mounted = |scheme: &str| {
            uri.strip_prefix(scheme)
                .and_then(|rest: &str| rest.split_once('/'))
        };
        if let Some((claim, path)) = mounted("pvc://") {
            self.uri = format!("file://{SOURCE_DIR}/{path}");
            self.add(
                SOURCE_DIR,
                true,
                Volume {
                    name: "source".into(),
                    persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                        claim_name: claim.into(),
                        read_only: Some(true),
                    }),
                    ..Volume::default()
                },
            );
        }
        if let Some((name, key)) = mounted("configMap://") {
            self.uri = format!("file://{SOURCE_DIR}/model.onnx");
            self.add(
                SOURCE_DIR,
                true,
                Volume {
                    name: "source".into(),
                    config_map: Some(ConfigMapVolumeSource {
                        name: name.into(),
                        items: Some(vec![item(key, "model.onnx")]),
                        ..ConfigMapVolumeSource::default()
                    }),
                    ..Volume::default()
                },
            );
        }
        let digest = version.digest.trim_start_matches("sha256:");
        if pinned_digest(&version.uri) != Some(digest) {
            self.args.push(format!("--sha256={digest}"));
        }
    }

    fn registries(&mut self, model: &ValidModel) {
        for (i, secret) in model.scorer.image_pull_secrets.iter().enumerate() {
            let folder = format!("{REGISTRY_DIR}/{i}");
            self.args.push(format!("--docker-config={folder}"));
            let secret = SecretVolumeSource {
                items: Some(vec![item(".dockerconfigjson", "config.json")]),
                // Like the kubelet with a pull secret that is not there: go on without.
                optional: Some(true),
                ..mounted_secret(&secret.name)
            };
            self.add(&folder, true, secret_volume(format!("registry-{i}"), secret));
        }
        let insecure = model.insecure_registries.iter();
        self.args
            .extend(insecure.map(|host| format!("--insecure-registry={host}")));
    }

    fn credentials(&mut self, secret: Option<&str>) {
        if let Some(secret) = secret {
            self.args.push(format!("--credentials={CREDENTIALS_DIR}"));
            let volume = secret_volume("credentials".into(), mounted_secret(secret));
            self.add(CREDENTIALS_DIR, true, volume);
        }
    }

    fn verify(&mut self, key: Option<&PublicKeyRef>) {
        if let Some(PublicKeyRef { name, key }) = key {
            self.args.push(format!("--verify-key={VERIFY_DIR}/keys.pem"));
            let secret = SecretVolumeSource {
                items: Some(vec![item(key, "keys.pem")]),
                ..mounted_secret(name)
            };
            self.add(VERIFY_DIR, true, secret_volume("verify".into(), secret));
        }
    }

    fn cache(&mut self, cache: Option<&Cache>) {
        let Some(cache) = cache else { return };
        self.args.push(format!("--cache={CACHE_DIR}"));
        if let Some(bytes) = cache.max_bytes() {
            self.args.push(format!("--cache-max-bytes={bytes}"));
        }
        let volume = Volume {
            name: "cache".into(),
            host_path: cache.host_path.as_ref().map(|path| HostPathVolumeSource {
                path: path.clone(),
                type_: Some("DirectoryOrCreate".into()),
            }),
            persistent_volume_claim: cache.pvc.as_ref().map(|claim| PersistentVolumeClaimVolumeSource {
                claim_name: claim.clone(),
                read_only: None,
            }),
            ..Volume::default()
        };
        self.add(CACHE_DIR, false, volume);
    }

    fn add(&mut self, path: &str, read_only: bool, volume: Volume) {
        self.mounts.push(mount(&volume.name, path, read_only));
        self.volumes.push(volume);
    }
}

pub(super) fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

pub(super) fn secret_volume(name: String, secret: SecretVolumeSource) -> Volume {
    Volume {
        name,
        secret: Some(secret),
        ..Volume::default()
    }
}

pub(super) fn mounted_secret(name: &str) -> SecretVolumeSource {
    SecretVolumeSource {
        secret_name: Some(name.into()),
        default_mode: Some(0o440),
        ..SecretVolumeSource::default()
    }
}

pub(super) fn item(key: &str, path: &str) -> KeyToPath {
    KeyToPath {
        key: key.into(),
        path: path.into(),
        mode: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{fixture, reconcile::validate::validate};

    /// The source of the fixture with other fields in `spec.model` and `spec.scorer`.
    fn source(model: &Value, scorer: &Value) -> Value {
        let mut object = serde_json::to_value(fixture::model()).unwrap();
        for (part, change) in [("model", model), ("scorer", scorer)] {
            for (key, value) in change.as_object().unwrap() {
                object["spec"][part][key] = value.clone();
            }
        }
        let valid = validate(&serde_json::from_value(object).unwrap(), &fixture::defaults()).unwrap();
        let Source {
            uri,
            args,
            mounts,
            volumes,
        } = build(&valid, &valid.wanted);
        json!({ "uri": uri, "args": args, "mounts": mounts, "volumes": volumes })
    }

    #[test]
    fn what_kubernetes_can_mount_is_a_file_for_the_scorer() {
        let found = ["pvc://models/card/1.onnx", "configMap://card/card.onnx"]
            .map(|uri| source(&json!({ "uri": uri }), &json!({})));
        insta::assert_yaml_snapshot!(found);
    }

    #[test]
    fn stores_get_credentials_and_artifacts_get_a_key() {
        let credentials = json!({ "name": "store" });
        let key = json!({ "publicKeySecretRef": { "name": "cosign", "key": "cosign.pub" } });
        let found = [
            json!({ "uri": "s3://models/card.onnx", "credentialsSecretRef": credentials }),
            json!({ "uri": "gs://models/card.onnx", "instanceMetadata": true }),
            json!({ "uri": "oci://registry.example/card:1", "verify": key }),
        ]
        .map(|model| source(&model, &json!({})));
        insta::assert_yaml_snapshot!(found);
    }

    #[test]
    fn a_cache_is_a_folder_of_the_node_or_a_volume() {
        let found = [
            json!({ "hostPath": "/var/cache/fraudops", "maxSize": "512Mi" }),
            json!({ "pvc": "models" }),
        ]
        .map(|cache| {
            source(
                &json!({ "uri": "https://m.example/m.onnx" }),
                &json!({ "cache": cache }),
            )
        });
        insta::assert_yaml_snapshot!(found);
    }

    #[test]
    fn what_does_not_fit_the_uri_of_a_version_is_left_out() {
        let mut model = fixture::valid();
        model.credentials = Some("store".into());
        model.instance_metadata = true;
        model.verify = Some(PublicKeyRef {
            name: "cosign".into(),
            key: "cosign.pub".into(),
        });
        let older = ModelVersion {
            uri: "file:///m.onnx".into(),
            ..model.wanted.clone()
        };
        let source = build(&model, &older);
        assert_eq!(source.uri, "file:///m.onnx");
        assert_eq!(source.args.len(), 1, "only the digest: {:?}", source.args);
        assert!(source.volumes.is_empty() && source.mounts.is_empty());
    }
}
