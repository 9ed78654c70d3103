//! All reads of a visit. What moves traffic or removes something is decided on fresh reads, never on a cache.

use std::collections::BTreeMap;

use fraudops_crds::FraudModel;
use futures::{TryFutureExt, future::try_join_all};
use k8s_openapi::api::{core::v1::Pod, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    core::{DynamicObject, PartialObjectMeta},
};
use thiserror::Error;

use super::{
    Context,
    observed::{Observed, children_of},
    pods::{self, PodReading},
    validate::ValidModel,
};
use crate::{
    build::{Kind, version_name},
    metrics::Metrics,
    metrics_source::Unread,
};

/// A read failed.
#[derive(Debug, Error)]
#[error("read {what}")]
pub struct ObserveError {
    what: String,
    source: kube::Error,
}

fn reading(what: impl Into<String>) -> impl FnOnce(kube::Error) -> ObserveError {
    let what = what.into();
    move |source| ObserveError { what, source }
}

impl ObserveError {
    /// What the API server said.
    pub fn cause(&self) -> &kube::Error {
        &self.source
    }
}

/// The model as it is now; none when it is gone, on its way out, or another one under the same name.
///
/// # Errors
/// When the API server can't be read.
pub async fn model(
    client: &Client,
    seen: &PartialObjectMeta<FraudModel>,
) -> Result<Option<FraudModel>, ObserveError> {
    let api = Api::<FraudModel>::namespaced(client.clone(), &seen.namespace().unwrap_or_default());
    let name = seen.name_any();
    let found = api
        .get_opt(&name)
        .await
        .map_err(reading(format!("FraudModel {name}")))?;
    Ok(found.filter(|model| model.metadata.deletion_timestamp.is_none() && model.uid() == seen.metadata.uid))
}

/// Reads all that a decision on `model` needs.
///
/// # Errors
/// When the API server can't be read. Pods that do not answer are no error: their report says so.
pub async fn observe(
    ctx: &Context,
    model: &FraudModel,
    valid: &ValidModel,
) -> Result<Observed, ObserveError> {
    let lists = try_join_all(Kind::ALL.map(|kind| children(ctx, valid, kind)));
    let (lists, endpoints, pods, rival) = futures::try_join!(
        lists,
        endpoints(ctx, valid),
        pods_of(ctx, &valid.namespace, &valid.name).map_err(reading("pods")),
        rival(ctx, model, valid)
    )?;
    let mut observed = Observed {
        endpoints,
        rival,
        ..Observed::default()
    };
    for (kind, list) in Kind::ALL.into_iter().zip(lists) {
        let Some(list) = list else {
            observed.missing.insert(kind);
            continue;
        };
        for child in list {
            let key = (kind, child.name_any());
            let ours = child
                .owner_references()
                .iter()
                .any(|owner| owner.uid == valid.owner.uid);
            if ours && child.metadata.deletion_timestamp.is_none() {
                observed.children.insert(key, child);
            } else {
                observed.foreign.insert(key);
            }
        }
    }
    let judged = judged_versions(model, valid, &observed);
    // Only where one version takes over from another does it matter which one is reached.
    let several = observed.existing_versions().len() > 1;
    let (readings, reports) = futures::join!(
        pods::readings(&ctx.numbers, &pods, &judged),
        ctx.pods.reports(pods.clone(), several)
    );
    (observed.readings, observed.pods) = (readings, reports);
    count(&ctx.metrics, &observed.readings);
    Ok(observed)
}

/// The versions whose numbers a decision needs: the stable one and the wanted one, while that may have traffic.
fn judged_versions<'a>(model: &'a FraudModel, valid: &'a ValidModel, observed: &Observed) -> Vec<&'a str> {
    let status = model.status.as_ref();
    let Some(stable) = status.and_then(|status| status.stable.as_ref()) else {
        return vec![];
    };
    let wanted = &valid.wanted.hash;
    let serves = observed.serving(&version_name(&valid.name, wanted)) > 0;
    if valid.rollout.is_none() || stable.hash == *wanted || !serves {
        return vec![];
    }
    vec![&stable.hash, wanted]
}

fn count(metrics: &Metrics, readings: &[PodReading]) {
    for reading in readings {
        metrics.scraped(match reading.said {
            Ok(_) => "read",
            Err(Unread::NoAnswer(_) | Unread::Deadline) => "silent",
            Err(Unread::Status(_) | Unread::Body | Unread::Malformed(_)) => "unusable",
        });
    }
}

async fn children(
    ctx: &Context,
    valid: &ValidModel,
    kind: Kind,
) -> Result<Option<Vec<DynamicObject>>, ObserveError> {
    let resource = kind.resource();
    let api = Api::<DynamicObject>::namespaced_with(ctx.client.clone(), &valid.namespace, &resource);
    match api
        .list(&ListParams::default().labels(&children_of(&valid.name)))
        .await
    {
        Ok(list) => Ok(Some(list.items)),
        Err(cause) if kind.is_optional() && is_unknown_kind(&cause) => Ok(None),
        Err(cause) => Err(reading(resource.plural)(cause)),
    }
}

/// Whether the API server does not know the kind that was listed. For a group that it does not know it answers 404 in
/// plain text, without a reason to match on.
pub fn is_unknown_kind(cause: &kube::Error) -> bool {
    matches!(cause, kube::Error::Api(status) if status.code == 404)
}

async fn endpoints(ctx: &Context, valid: &ValidModel) -> Result<BTreeMap<String, usize>, ObserveError> {
    let api = Api::<EndpointSlice>::namespaced(ctx.client.clone(), &valid.namespace);
    let slices = api
        .list(&ListParams::default().labels(&children_of(&valid.name)))
        .await;
    let mut serving = BTreeMap::new();
    for slice in slices.map_err(reading("endpointslices"))? {
        let Some(service) = slice.labels().get("kubernetes.io/service-name") else {
            continue;
        };
        let ready = |e: &&k8s_openapi::api::discovery::v1::Endpoint| {
            e.conditions.as_ref().is_none_or(|c| c.ready.unwrap_or(true))
        };
        *serving.entry(service.clone()).or_default() += slice.endpoints.iter().filter(ready).count();
    }
    Ok(serving)
}

/// The pods of a model.
///
/// # Errors
/// When the API server can't be read.
pub async fn pods_of(ctx: &Context, namespace: &str, model: &str) -> kube::Result<Vec<Pod>> {
    let api = Api::<Pod>::namespaced(ctx.client.clone(), namespace);
    let ours = ListParams::default().labels(&children_of(model));
    Ok(api.list(&ours).await?.items)
}

/// Looks for an older FraudModel that has the host: the API server selects by host, so that this stays cheap.
async fn rival(
    ctx: &Context,
    model: &FraudModel,
    valid: &ValidModel,
) -> Result<Option<String>, ObserveError> {
    let Some(ingress) = &valid.ingress else {
        return Ok(None);
    };
    let apis: Vec<Api<FraudModel>> = match ctx.namespaces.as_slice() {
        [] => vec![Api::all(ctx.client.clone())],
        names => names
            .iter()
            .map(|name| Api::namespaced(ctx.client.clone(), name))
            .collect(),
    };
    let same_host = ListParams::default().fields(&format!("spec.ingress.host={}", ingress.host));
    let lists = try_join_all(apis.iter().map(|api| api.list(&same_host)))
        .await
        .map_err(reading("FraudModels"))?;
    let others = lists.iter().flat_map(|list| &list.items);
    Ok(others.filter(|other| has_precedence(other, model)).map(key).min())
}

fn has_precedence(other: &FraudModel, model: &FraudModel) -> bool {
    let path = |m: &FraudModel| {
        m.spec
            .ingress
            .as_ref()
            .map(|i| i.path.clone())
            .unwrap_or_default()
    };
    let overlap = path(other).starts_with(&path(model)) || path(model).starts_with(&path(other));
    let age = |m: &FraudModel| (m.meta().creation_timestamp.as_ref().map(|t| t.0), key(m));
    other.uid() != model.uid()
        && other.metadata.deletion_timestamp.is_none()
        && overlap
        && age(other) < age(model)
}

/// `namespace/name`: how metrics and messages name a model.
pub fn key(model: &impl ResourceExt) -> String {
    format!("{}/{}", model.namespace().unwrap_or_default(), model.name_any())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

    use super::*;
    use crate::fixture;

    fn model(name: &str, path: &str, born: i64) -> FraudModel {
        let mut model = fixture::model();
        model.metadata.name = Some(name.into());
        model.metadata.uid = Some(name.into());
        model.metadata.creation_timestamp = Some(Time(Timestamp::from_second(born).unwrap()));
        model.spec.ingress.as_mut().unwrap().path = path.into();
        model
    }

    #[test]
    fn the_oldest_model_keeps_a_host() {
        let (old, young) = (model("z", "/", 1), model("a", "/", 2));
        assert!(has_precedence(&old, &young));
        assert!(!has_precedence(&young, &old));
        assert!(!has_precedence(&old, &old));
    }

    #[test]
    fn of_two_models_of_one_second_the_name_decides() {
        let (a, b) = (model("a", "/", 1), model("b", "/", 1));
        assert!(has_precedence(&a, &b));
        assert!(!has_precedence(&b, &a));
    }

    #[test]
    fn paths_that_do_not_overlap_share_a_host() {
        assert!(!has_precedence(&model("a", "/a", 1), &model("b", "/b", 2)));
        assert!(has_precedence(&model("a", "/a", 1), &model("b", "/a/b", 2)));
    }
}
