//! Lists in ConfigMaps. A kubelet brings a changed ConfigMap to a pod when it next looks at the pod: by itself every minute
//! to minute and a half, and at once when the pod object changes. So pods are told of a change by an annotation.

mod mounted;
mod note;

use std::collections::{BTreeMap, BTreeSet};

use fraudops_crds::FraudModel;
use futures::{StreamExt, future::try_join_all, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use thiserror::Error;
use tracing::info;

pub use mounted::Mounted;

use self::note::{Edition, Note, notes};
use super::{Context, observe::pods_of};
use crate::{
    FIELD_MANAGER,
    build::{LISTS, mounted_lists},
    events::News,
};

/// Pods that are told at the same time.
const AT_ONCE: usize = 8;

/// Pods were not told of a changed list.
#[derive(Debug, Error)]
#[error("{verb} {what}: {source}")]
struct ListsError {
    verb: &'static str,
    what: String,
    source: kube::Error,
}

fn failed(verb: &'static str, what: impl Into<String>) -> impl FnOnce(kube::Error) -> ListsError {
    let what = what.into();
    move |source| ListsError { verb, what, source }
}

/// Tells each pod of `model` of the ConfigMaps of its lists that changed since it was told last, or since it was made.
///
/// Not guaranteed: that it succeeds. What goes wrong is told once and ends nothing: the next visit tries again, and the
/// kubelet brings the list in its own time.
pub async fn announce(ctx: &Context, model: &FraudModel) {
    let (namespace, name) = (model.namespace().unwrap_or_default(), model.name_any());
    match tell(ctx, &namespace, &name).await {
        Ok(pods) => {
            ctx.lists.recovered(&namespace, &name);
            if pods > 0 {
                info!(namespace, model = name, pods, "told pods of a changed list");
            }
        }
        Err(error) if ctx.lists.is_news(&namespace, &name) => {
            let note = format!(
                "{error}; changed lists reach the pods at the pace of their kubelets, which is a minute or two"
            );
            let news = News::warning("ListNotAnnounced", "AnnounceList", note);
            ctx.events.tell(model, vec![news]).await;
        }
        Err(_) => {}
    }
}

/// The number of pods that were told.
async fn tell(ctx: &Context, namespace: &str, model: &str) -> Result<usize, ListsError> {
    let here = pods_of(ctx, namespace, model).await;
    let here = here.map_err(failed("list", "pods"))?;
    let names: BTreeSet<&str> = here.iter().flat_map(mounted_lists).collect();
    ctx.lists.remember(namespace, model, &names);
    let editions = editions(ctx, namespace, &names).await?;
    let due = notes(&here, &editions);
    let pods = Api::<Pod>::namespaced(ctx.client.clone(), namespace);
    // All of them are tried: one that cannot be told keeps nothing from the others.
    let told: Vec<Result<(), ListsError>> = stream::iter(due)
        .map(|note| pin(&pods, note))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let told: Vec<()> = told.into_iter().collect::<Result<_, _>>()?;
    Ok(told.len())
}

/// The states of the ConfigMaps that exist. Their content is not asked for.
async fn editions(
    ctx: &Context,
    namespace: &str,
    names: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Edition>, ListsError> {
    let maps = Api::<ConfigMap>::namespaced(ctx.client.clone(), namespace);
    let names = names.iter().map(ToString::to_string);
    let read = try_join_all(names.map(|name| edition(&maps, name))).await?;
    Ok(read.into_iter().flatten().collect())
}

async fn edition(maps: &Api<ConfigMap>, name: String) -> Result<Option<(String, Edition)>, ListsError> {
    let one = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = maps.list_metadata(&one).await;
    let found = found.map_err(failed("read", format!("ConfigMap {name}")))?;
    let map = found.items.into_iter().next();
    Ok(map.map(|map| (name, Edition::of(&map.metadata))))
}

/// Writes `note` on its pod, unless that is gone.
async fn pin(pods: &Api<Pod>, note: Note) -> Result<(), ListsError> {
    let body = json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": note.pod, "uid": note.uid, "annotations": { LISTS: note.text } } });
    let ours = PatchParams::apply(FIELD_MANAGER).force();
    match pods.patch_metadata(&note.pod, &ours, &Patch::Apply(&body)).await {
        Ok(_) => Ok(()),
        // The uid is that of no pod any more.
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(()),
        Err(source) => Err(failed("annotate", format!("pod {}", note.pod))(source)),
    }
}
