//! The Secret with the key of receipts: made once, never read. The operator may create Secrets and nothing else, so it
//! learns that one is there only by trying: it tries when a version is about to be started.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::PostParams};
use rand::RngCore as _;
use thiserror::Error;
use tracing::info;

use super::{Context, observed::Observed, plan::Plan, validate::ValidModel};
use crate::{
    FIELD_MANAGER,
    build::{self, Kind},
};

/// The Secret could not be made.
#[derive(Debug, Error)]
#[error("create Secret {name}")]
pub struct KeysError {
    name: String,
    source: kube::Error,
}

impl KeysError {
    /// What the API server said.
    pub fn cause(&self) -> &kube::Error {
        &self.source
    }
}

/// Makes the Secret where the pods that are about to start may lack it. One that is there stays as it is.
///
/// # Errors
/// When the API server refuses for another reason than that the name is taken.
pub async fn ensure(
    ctx: &Context,
    valid: &ValidModel,
    observed: &Observed,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), KeysError> {
    if !may_be_missing(valid, observed, plan) {
        return Ok(());
    }
    let mut key = [0; 32];
    rand::rng().fill_bytes(&mut key);
    let secret = build::receipt_keys(valid, STANDARD.encode(key), now);
    let ours = PostParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PostParams::default()
    };
    let name = build::receipt_keys_name(&valid.name);
    let api = Api::<Secret>::namespaced(ctx.client.clone(), &valid.namespace);
    match api.create(&ours, &secret).await {
        Ok(_) => {
            info!(name, namespace = valid.namespace, "created a key for receipts");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(source) => Err(KeysError { name, source }),
    }
}

/// Whether to try: a Deployment is about to be made, or no pod of the stable version is ready, for which a Secret that
/// somebody removed is one of the reasons. Pure.
fn may_be_missing(valid: &ValidModel, observed: &Observed, plan: &Plan) -> bool {
    let starting = plan
        .desired
        .iter()
        .any(|child| child.kind == Kind::Deployment && observed.child(child.kind, &child.name).is_none());
    let down = plan
        .stable
        .as_ref()
        .is_some_and(|stable| observed.pods_of(&valid.name, &stable.hash).0 == 0);
    valid.receipts.key_secret_ref.is_none() && (starting || down)
}

#[cfg(test)]
mod tests {
    use fraudops_crds::fraud_model::SecretRef;

    use super::*;
    use crate::{
        fixture::Scene,
        reconcile::{plan::plan, validate::validate},
    };

    fn tries(scene: &Scene) -> bool {
        let valid = validate(&scene.model, &crate::fixture::defaults()).unwrap();
        let plan = plan(
            &scene.model,
            &valid,
            &scene.observed,
            crate::rollout::Waits::default(),
            Timestamp::UNIX_EPOCH,
        );
        may_be_missing(&valid, &scene.observed, &plan)
    }

    #[test]
    fn it_is_tried_when_pods_start_and_not_while_they_serve() {
        let mut scene = Scene::serving();
        assert!(!tries(&scene));
        scene.model.spec.model.version = "2".into();
        assert!(tries(&scene), "a new version is started");
        let mut scene = Scene::serving();
        for ((kind, _), child) in &mut scene.observed.children {
            if *kind == Kind::Deployment {
                child.data["status"]["readyReplicas"] = 0.into();
            }
        }
        assert!(tries(&scene), "no pod is ready");
    }

    #[test]
    fn a_secret_of_the_users_is_left_to_the_user() {
        let mut scene = Scene::serving();
        scene.model.spec.model.version = "2".into();
        scene.model.spec.receipts.key_secret_ref = Some(SecretRef { name: "own".into() });
        assert!(!tries(&scene));
    }
}
