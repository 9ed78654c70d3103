//! The Deployment of a version: fetch the model, check it, serve it.

use std::collections::BTreeMap;

use fraudops_crds::fraud_model::{ModelVersion, Resources};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Capabilities, Container, ContainerPort, EmptyDirVolumeSource, HTTPGetAction, PodSecurityContext,
            PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext,
            TopologySpreadConstraint, Volume,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use super::{
    Served, meta, quantity, serving,
    source::{self, Source, mount},
};
use crate::reconcile::validate::ValidModel;

const MODEL_DIR: &str = "/model";
const MODEL_FILE: &str = "/model/model.onnx";
/// The user of the image; distroless calls it nonroot.
const USER: i64 = 65532;
/// Longer than the scorer's own --shutdown-timeout (25 s), so that it ends by itself.
const TERMINATION_GRACE: i64 = 30;
/// A pod counts as available only when it was ready for so long: by then Traefik has seen its endpoint, and may be told
/// to use it. Traefik reads endpoints and routes by separate watches.
const MIN_READY: i32 = 3;
/// Pods of a version where the spec names no number.
const DEFAULT_REPLICAS: i32 = 2;

pub(super) fn build(model: &ValidModel, served: &Served<'_>) -> Deployment {
    let version = served.version;
    let mut metadata = meta::versioned(model, version);
    metadata.annotations = Some(version_annotations(version));
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas: replicas(model, served),
            min_ready_seconds: Some(MIN_READY),
            progress_deadline_seconds: Some(600),
            revision_history_limit: Some(2),
            selector: LabelSelector {
                match_labels: Some(meta::selector(&model.name, &version.hash)),
                ..LabelSelector::default()
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".into()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::String("25%".into())),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: template(model, version),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// What a visit needs to know of a version whose `status` was lost.
fn version_annotations(version: &ModelVersion) -> BTreeMap<String, String> {
    let mut notes: BTreeMap<String, String> = [
        (meta::VERSION, &version.version),
        (meta::DIGEST, &version.digest),
        (meta::URI, &version.uri),
    ]
    .map(|(key, value)| (key.to_owned(), value.clone()))
    .into();
    if version.mtls {
        notes.insert(meta::MTLS.into(), "true".into());
    }
    notes
}

/// With an autoscaler the number is its own, but for the first moment of a Deployment.
fn replicas(model: &ValidModel, served: &Served<'_>) -> Option<i32> {
    match model.scorer.autoscaling {
        Some(_) => served.initial_replicas,
        None => Some(model.scorer.replicas.unwrap_or(DEFAULT_REPLICAS)),
    }
}

fn template(model: &ValidModel, version: &ModelVersion) -> PodTemplateSpec {
    let scorer = &model.scorer;
    let source = source::build(model, version);
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(meta::pod_labels(model, version)),
            annotations: (!scorer.pod_annotations.is_empty()).then(|| scorer.pod_annotations.clone()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(model.name.clone()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(TERMINATION_GRACE),
            security_context: Some(pod_security()),
            init_containers: Some(vec![fetch(model, &source)]),
            containers: vec![serve(model, version)],
            volumes: Some(volumes(model, version, source)),
            image_pull_secrets: non_empty(&scorer.image_pull_secrets),
            node_selector: (!scorer.node_selector.is_empty()).then(|| scorer.node_selector.clone()),
            tolerations: non_empty(&scorer.tolerations),
            affinity: scorer.affinity.clone(),
            topology_spread_constraints: Some(spread(model, version)),
            ..PodSpec::default()
        }),
    }
}

fn fetch(model: &ValidModel, source: &Source) -> Container {
    let mut args: Vec<String> = vec![
        "fetch".into(),
        format!("--uri={}", source.uri),
        format!("--to={MODEL_FILE}"),
    ];
    args.extend(source.args.iter().cloned());
    let mut mounts = vec![mount("model", MODEL_DIR, false)];
    mounts.extend(source.mounts.iter().cloned());
    Container {
        name: "fetch".into(),
        args: Some(args),
        volume_mounts: Some(mounts),
        ..base(model)
    }
}

fn serve(model: &ValidModel, version: &ModelVersion) -> Container {
    let decision = &model.decision;
    let mut mounts = vec![mount("model", MODEL_DIR, true)];
    mounts.extend(serving::mounts(model, version));
    Container {
        name: "scorer".into(),
        args: Some(vec![
            "serve".into(),
            format!("--model={MODEL_FILE}"),
            format!("--model-version={}", version.version),
            format!("--review={}", decision.review),
            format!("--block={}", decision.block),
            format!("--on-model-error={}", decision.on_model_error.as_str()),
            format!("--deadline={}", decision.deadline),
            format!("--block-status={}", decision.block_status),
            format!("--max-batch={}", decision.max_batch),
            format!("--idempotency-ttl={}", model.idempotency.ttl),
            format!("--model-name={}", model.name),
            format!("--model-namespace={}", model.namespace),
            format!("--version-hash={}", version.hash),
        ]),
        ports: Some(vec![
            port(meta::SCORER_PORT, 8080),
            port(meta::GRPC_PORT, 9000),
            port(meta::METRICS_PORT, 8010),
        ]),
        env: non_empty(&serving::env(model, version)),
        volume_mounts: Some(mounts),
        startup_probe: Some(probe("/readyz", 1, 300)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        liveness_probe: Some(probe("/livez", 10, 3)),
        ..base(model)
    }
}

/// What both containers share.
fn base(model: &ValidModel) -> Container {
    Container {
        image: Some(model.image.clone()),
        image_pull_policy: model
            .scorer
            .image_pull_policy
            .map(|policy| policy.as_str().into()),
        env: non_empty(&model.scorer.env),
        resources: Some(resources(model.scorer.resources.as_ref())),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn resources(wanted: Option<&Resources>) -> ResourceRequirements {
    let canonical = |map: &BTreeMap<String, IntOrString>| {
        Some(
            map.iter()
                .map(|(name, value)| (name.clone(), quantity::canonical(value)))
                .collect(),
        )
    };
    match wanted {
        Some(Resources { requests, limits }) => ResourceRequirements {
            requests: canonical(requests).filter(|map: &BTreeMap<_, _>| !map.is_empty()),
            limits: canonical(limits).filter(|map: &BTreeMap<_, _>| !map.is_empty()),
            claims: None,
        },
        // No CPU limit by default: throttling is what makes a scorer slow (docs/operations.md).
        None => ResourceRequirements {
            requests: Some(quantities([("cpu", "100m"), ("memory", "64Mi")])),
            limits: Some(quantities([("memory", "256Mi")])),
            claims: None,
        },
    }
}

fn quantities<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, Quantity> {
    pairs
        .map(|(name, value)| (name.to_owned(), Quantity(value.to_owned())))
        .into()
}

fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

fn volumes(model: &ValidModel, version: &ModelVersion, source: Source) -> Vec<Volume> {
    let mut volumes = vec![Volume {
        name: "model".into(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity("512Mi".into())),
            medium: None,
        }),
        ..Volume::default()
    }];
    volumes.extend(source.volumes);
    volumes.extend(serving::volumes(model, version));
    volumes
}

fn spread(model: &ValidModel, version: &ModelVersion) -> Vec<TopologySpreadConstraint> {
    if !model.scorer.topology_spread_constraints.is_empty() {
        return model.scorer.topology_spread_constraints.clone();
    }
    vec![TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(LabelSelector {
            match_labels: Some(meta::selector(&model.name, &version.hash)),
            ..LabelSelector::default()
        }),
        ..TopologySpreadConstraint::default()
    }]
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: number,
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String(meta::METRICS_PORT.into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn non_empty<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}
