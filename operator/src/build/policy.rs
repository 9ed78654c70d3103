//! The policy that the scorer takes as JSON: what of the spec is about answers and needs no volume.

use std::collections::BTreeMap;

use fraudops_crds::fraud_model::Rule;
use serde::Serialize;

use crate::reconcile::validate::ValidModel;

#[derive(PartialEq, Serialize)]
struct Policy<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    rules: &'a [Rule],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    lists: BTreeMap<&'a str, Values<'a>>,
}

#[derive(PartialEq, Serialize)]
struct Values<'a> {
    values: &'a [i64],
}

/// The policy of `model`, for `FRAUDOPS_POLICY`; nothing when the spec says nothing about it.
pub(crate) fn policy(model: &ValidModel) -> Option<String> {
    let values = model.lists.iter().filter_map(|(name, list)| {
        let values = list.values.as_deref()?;
        Some((name.as_str(), Values { values }))
    });
    let policy = Policy {
        rules: &model.rules,
        lists: values.collect(),
    };
    let nothing = Policy {
        rules: &[],
        lists: BTreeMap::new(),
    };
    if policy == nothing {
        return None;
    }
    let text = serde_json::to_string(&policy).expect("strings and numbers only");
    // The kubelet expands $(NAME) in the values of variables. A '$' only stands inside strings here.
    Some(text.replace('$', "\\u0024"))
}
