//! Which pods are to be told of a changed list, and how. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::Pod,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::ResourceExt;

use crate::build::{LISTS, mounted_lists};

/// One state of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edition {
    /// Its resource version.
    version: String,
    /// When it was written, if that is known.
    written: Option<Time>,
}

/// What a pod's annotation is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The pod's name.
    pub pod: String,
    /// Its UID.
    pub uid: String,
    /// The annotation: `<ConfigMap>=<resource version>`, separated by commas.
    pub text: String,
}

impl Edition {
    /// The state that `metadata` is of.
    pub fn of(metadata: &ObjectMeta) -> Self {
        let managers = metadata.managed_fields.iter().flatten();
        Self {
            version: metadata.resource_version.clone().unwrap_or_default(),
            written: managers.filter_map(|entry| entry.time.clone()).max(),
        }
    }

    /// Whether a pod that was made at `born` may have been started with an older state. Times have whole seconds, and all
    /// are the API server's.
    fn may_be_unseen(&self, born: Option<&Time>) -> bool {
        self.written
            .as_ref()
            .zip(born)
            .is_none_or(|(written, born)| written.0 >= born.0)
    }
}

/// The notes for those of `pods` that do not know the `editions` of their lists. A pod that was made after the last change
/// was started with it, and gets none; nor does a ConfigMap that is gone give cause for one.
pub fn notes(pods: &[Pod], editions: &BTreeMap<String, Edition>) -> Vec<Note> {
    pods.iter().filter_map(|pod| note(pod, editions)).collect()
}

fn note(pod: &Pod, editions: &BTreeMap<String, Edition>) -> Option<Note> {
    let over = ["Succeeded", "Failed"];
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if pod.metadata.deletion_timestamp.is_some() || phase.is_some_and(|phase| over.contains(&phase)) {
        return None;
    }
    let mounted: Vec<(&str, &Edition)> = mounted_lists(pod)
        .into_iter()
        .filter_map(|name| Some((name, editions.get(name)?)))
        .collect();
    let told = told(pod);
    let is_news = |(name, edition): &(&str, &Edition)| match told.get(name) {
        Some(version) => *version != edition.version,
        None => edition.may_be_unseen(pod.metadata.creation_timestamp.as_ref()),
    };
    if !mounted.iter().any(is_news) {
        return None;
    }
    let entries = mounted
        .iter()
        .map(|(name, edition)| format!("{name}={}", edition.version));
    Some(Note {
        pod: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        text: entries.collect::<Vec<_>>().join(","),
    })
}

/// The resource version of each ConfigMap that the pod was told of.
fn told(pod: &Pod) -> BTreeMap<&str, &str> {
    let text = pod.annotations().get(LISTS).map_or("", String::as_str);
    text.split(',')
        .filter_map(|entry| entry.split_once('='))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Value {
        json!(jiff::Timestamp::from_second(second).unwrap())
    }

    /// A pod that was made in second 100 and has mounted the ConfigMaps `blocked` and `vip` as lists, and another one.
    fn pod(annotation: Option<&str>) -> Pod {
        let volumes = json!([
            { "name": "list-0", "configMap": { "name": "blocked" } },
            { "name": "list-1", "configMap": { "name": "vip" } },
            { "name": "source", "configMap": { "name": "model" } },
            { "name": "receipt-keys", "secret": { "secretName": "keys" } },
        ]);
        let annotations = annotation.map(|text| json!({ LISTS: text }));
        serde_json::from_value(json!({
            "metadata": { "name": "card-fraud-0", "uid": "u", "creationTimestamp": at(100), "annotations": annotations },
            "spec": { "containers": [], "volumes": volumes }, "status": { "phase": "Running" } }))
        .unwrap()
    }

    /// ConfigMaps by name, resource version and the second of their last change.
    fn editions(maps: &[(&str, &str, Option<i64>)]) -> BTreeMap<String, Edition> {
        let edition = |(name, version, written): &(&str, &str, Option<i64>)| {
            let fields = written.map(|second| json!([{ "manager": "kubectl", "time": at(second) }, { "manager": "older", "time": at(1) }]));
            let metadata = json!({ "name": name, "resourceVersion": version, "managedFields": fields });
            let metadata: ObjectMeta = serde_json::from_value(metadata).unwrap();
            ((*name).to_owned(), Edition::of(&metadata))
        };
        maps.iter().map(edition).collect()
    }

    fn text(pod: &Pod, maps: &[(&str, &str, Option<i64>)]) -> Option<String> {
        note(pod, &editions(maps)).map(|note| note.text)
    }

    #[test]
    fn a_pod_that_was_made_after_the_last_change_is_told_nothing() {
        let maps = [
            ("blocked", "7", Some(99)),
            ("vip", "8", Some(50)),
            ("model", "9", Some(200)),
        ];
        assert_eq!(text(&pod(None), &maps), None);
    }

    #[test]
    fn a_change_after_the_pod_was_made_or_at_an_unknown_time_is_told() {
        for written in [Some(100), Some(101), None] {
            let maps = [("blocked", "7", written), ("vip", "8", Some(50))];
            let told = Some("blocked=7,vip=8".into());
            assert_eq!(text(&pod(None), &maps), told, "{written:?}");
        }
    }

    #[test]
    fn a_pod_is_told_of_each_state_once() {
        let told = pod(Some("blocked=7,vip=8"));
        let maps = |blocked, vip| [("blocked", blocked, Some(200)), ("vip", vip, Some(200))];
        assert_eq!(text(&told, &maps("7", "8")), None);
        assert_eq!(text(&told, &maps("7", "9")).as_deref(), Some("blocked=7,vip=9"));
        let damaged = pod(Some("=,blocked,vip==8,,"));
        assert_eq!(
            text(&damaged, &maps("7", "8")).as_deref(),
            Some("blocked=7,vip=8")
        );
    }

    #[test]
    fn a_config_map_that_is_gone_is_told_when_it_is_back() {
        let told = pod(Some("blocked=7,vip=8"));
        assert_eq!(text(&told, &[("vip", "8", Some(200))]), None);
        assert_eq!(text(&told, &[]), None);
        let back = [("blocked", "20", Some(300)), ("vip", "8", Some(200))];
        assert_eq!(text(&told, &back).as_deref(), Some("blocked=20,vip=8"));
    }

    #[test]
    fn pods_on_their_way_out_and_pods_without_lists_are_left_alone() {
        let maps = editions(&[("blocked", "7", Some(200))]);
        let mut leaving = pod(None);
        leaving.metadata.deletion_timestamp = leaving.metadata.creation_timestamp.clone();
        let mut over = pod(None);
        over.status.as_mut().unwrap().phase = Some("Failed".into());
        let mut plain = pod(None);
        plain.spec.as_mut().unwrap().volumes = None;
        assert_eq!(notes(&[leaving, over, plain], &maps), []);
        assert_eq!(notes(&[pod(None)], &maps).len(), 1);
    }
}
