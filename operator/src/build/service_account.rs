//! The pods' ServiceAccount: a name without a token, because the scorer never talks to the API server.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::meta;
use crate::reconcile::validate::ValidModel;

pub(super) fn build(model: &ValidModel) -> ServiceAccount {
    let mut metadata = meta::shared(model, model.name.clone());
    let annotations = &model.scorer.service_account_annotations;
    metadata.annotations = (!annotations.is_empty()).then(|| annotations.clone());
    ServiceAccount {
        metadata,
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
