//! The policy that the scorer takes as JSON: what of the spec is about answers and needs no volume.

use fraudops_crds::fraud_model::Rule;
use serde::Serialize;

use crate::reconcile::validate::ValidModel;

#[derive(Serialize)]
struct Policy<'a> {
    rules: &'a [Rule],
}

/// The policy of `model`, for `FRAUDOPS_POLICY`; nothing when the spec says nothing about it.
pub(crate) fn policy(model: &ValidModel) -> Option<String> {
    if model.rules.is_empty() {
        return None;
    }
    let policy = Policy { rules: &model.rules };
    let text = serde_json::to_string(&policy).expect("strings only");
    // The kubelet expands $(NAME) in the values of variables. A '$' only stands inside strings here.
    Some(text.replace('$', "\\u0024"))
}
