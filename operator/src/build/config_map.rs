//! The ConfigMap with the lists whose ids are in the manifest, so that they change as those of the user's ConfigMaps do:
//! without a restart.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::meta;
use crate::reconcile::validate::ValidModel;

/// One key for each list: its ids, one a line. None when no list has its ids in the manifest.
pub(super) fn build(model: &ValidModel) -> Option<ConfigMap> {
    let data: BTreeMap<String, String> = values(model)
        .map(|(list, ids)| (list.to_owned(), lines(ids)))
        .collect();
    Some(ConfigMap {
        metadata: meta::shared(model, name(model)?),
        data: Some(data),
        ..ConfigMap::default()
    })
}

/// Its name. Other lists are another ConfigMap: one that has lost a key keeps the pods of before from starting again.
pub(super) fn name(model: &ValidModel) -> Option<String> {
    let lists: Vec<&str> = values(model).map(|(list, _)| list).collect();
    let hash = meta::short_hash(lists.join(","), 4);
    (!lists.is_empty()).then(|| format!("{}-lists-{hash}", model.name))
}

fn values(model: &ValidModel) -> impl Iterator<Item = (&str, &[i64])> {
    let lists = model.lists.iter();
    lists.filter_map(|(list, source)| Some((list.as_str(), source.values.as_deref()?)))
}

fn lines(ids: &[i64]) -> String {
    ids.iter().map(|id| format!("{id}\n")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{fixture, reconcile::validate::validate};

    fn with(lists: Value) -> ValidModel {
        let mut model = fixture::model();
        model.spec.lists = serde_json::from_value(lists).unwrap();
        validate(&model, &fixture::defaults()).unwrap()
    }

    #[test]
    fn it_holds_each_list_of_the_manifest_and_no_other() {
        let map = build(&with(
            json!({ "vip": { "values": [7, 9007199254740993_i64] }, "none": { "values": [] },
            "blocked": { "configMapRef": { "name": "blocked" } } }),
        ));
        let data = map.unwrap().data.unwrap();
        let wanted = [("none", ""), ("vip", "7\n9007199254740993\n")];
        assert_eq!(data, wanted.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert_eq!(build(&fixture::valid()), None);
    }

    #[test]
    fn other_ids_are_the_same_config_map_and_other_lists_another() {
        let named = |lists| name(&with(lists)).unwrap();
        let vip = named(json!({ "vip": { "values": [1] } }));
        assert_eq!(named(json!({ "vip": { "values": [1, 2] } })), vip);
        assert_ne!(
            named(json!({ "vip": { "values": [1] }, "b": { "values": [] } })),
            vip
        );
        assert!(
            vip.starts_with("card-fraud-lists-") && vip.len() == "card-fraud-lists-".len() + 8,
            "{vip}"
        );
    }
}
