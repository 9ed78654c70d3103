//! The pods' ServiceAccount: a name without a token, because the scorer never talks to the API server.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::meta;
use crate::reconcile::validate::ValidModel;

pub(super) fn build(model: &ValidModel) -> ServiceAccount {
    ServiceAccount {
        metadata: meta::shared(model, model.name.clone()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
