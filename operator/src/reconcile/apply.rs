//! All writes of a visit: server-side apply in the order of the kinds, then removal in the reverse order.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions},
    core::DynamicObject,
};
use serde_json::{Value, json};
use thiserror::Error;
use tracing::{debug, info};

use super::{Context, difference::is_within, observed::Observed, plan::Plan, validate::ValidModel};
use crate::{
    FIELD_MANAGER,
    build::{APPLIED_HASH, Child, Kind},
};

/// Holds `spec.replicas` while it passes from us to an autoscaler, so that it never falls back to 1 in between.
const HANDOVER_MANAGER: &str = "fraudops-operator-handover";

/// A write failed.
#[derive(Debug, Error)]
#[error("{verb} {kind:?} {name}")]
pub struct ApplyError {
    verb: &'static str,
    kind: Kind,
    name: String,
    source: kube::Error,
}

impl ApplyError {
    /// What the API server said.
    pub fn cause(&self) -> &kube::Error {
        &self.source
    }
}

/// What came of the writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Names that somebody else's object has.
    pub taken: BTreeSet<(Kind, String)>,
    /// Objects that somebody else keeps changing, and who.
    pub contested: BTreeMap<(Kind, String), String>,
    /// Number of writes.
    pub writes: usize,
}

impl Applied {
    /// Whether somebody else's object or writes are in the way.
    pub fn is_obstructed(&self) -> bool {
        !self.taken.is_empty() || !self.contested.is_empty()
    }
}

/// Applies what `plan` asks for and removes what it does not.
///
/// Not guaranteed: that all of it happens in one visit. A failed write ends the visit; what was written stays, and the next
/// visit goes on from there.
///
/// # Errors
/// At the first write that fails.
pub async fn apply(
    ctx: &Context,
    valid: &ValidModel,
    observed: &Observed,
    plan: &Plan,
) -> Result<Applied, ApplyError> {
    let writer = Writer {
        ctx,
        namespace: &valid.namespace,
        owner: &valid.owner.uid,
    };
    let mut applied = Applied::default();
    for child in &plan.desired {
        let route = matches!(child.kind, Kind::TraefikService | Kind::IngressRoute);
        if route && !applied.taken.is_empty() {
            continue; // what the route would name may not be ours
        }
        match writer.put(observed, child).await? {
            Put::Unchanged => {}
            Put::Written => applied.writes += 1,
            Put::Contested(manager) => {
                applied
                    .contested
                    .insert((child.kind, child.name.clone()), manager);
            }
            Put::Taken => drop(applied.taken.insert((child.kind, child.name.clone()))),
        }
    }
    for ((kind, name), child) in observed.children.iter().rev() {
        let desired = plan.desired.iter().any(|d| d.kind == *kind && d.name == *name);
        if !desired && !plan.keeps(valid, *kind, child) {
            writer.remove(*kind, child).await?;
            applied.writes += 1;
        }
    }
    Ok(applied)
}

enum Put {
    Unchanged,
    Written,
    Contested(String),
    Taken,
}

struct Writer<'a> {
    ctx: &'a Context,
    namespace: &'a str,
    owner: &'a str,
}

impl Writer<'_> {
    async fn put(&self, observed: &Observed, child: &Child) -> Result<Put, ApplyError> {
        let failed = |verb| {
            move |source| ApplyError {
                verb,
                kind: child.kind,
                name: child.name.clone(),
                source,
            }
        };
        if observed.foreign.contains(&(child.kind, child.name.clone())) {
            return Ok(Put::Taken);
        }
        let api = self.api(child.kind);
        let Some(live) = observed.child(child.kind, &child.name) else {
            return self.create(&api, child).await;
        };
        let mut live_body = serde_json::to_value(live).unwrap_or_default();
        // The items of a list come without their kind.
        for key in ["apiVersion", "kind"] {
            live_body[key] = child.body[key].clone();
        }
        if is_within(&child.body, &live_body) {
            return Ok(Put::Unchanged);
        }
        // The same wish as last time, and yet another object: somebody else wrote to it.
        let drifted = live.annotations().get(APPLIED_HASH).map(String::as_str)
            == child.body["metadata"]["annotations"][APPLIED_HASH].as_str();
        if drifted
            && !self
                .ctx
                .truce
                .may_repair(self.namespace, child.kind, &child.name, Instant::now())
        {
            return Ok(Put::Contested(last_writer(live)));
        }
        if hands_over_replicas(child, live) {
            let body = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": child.name, "namespace": self.namespace },
                "spec": { "replicas": live_body["spec"]["replicas"] } });
            let manager = PatchParams::apply(HANDOVER_MANAGER).force();
            api.patch(&child.name, &manager, &Patch::Apply(&body))
                .await
                .map_err(failed("hand over replicas of"))?;
        }
        debug!(kind = ?child.kind, name = child.name, "differs");
        let mut body = child.body.clone();
        body["metadata"]["uid"] = live.uid().into(); // never a new object in the place of one that was just removed
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        api.patch(&child.name, &ours, &Patch::Apply(&body))
            .await
            .map_err(failed("apply"))?;
        Ok(Put::Written)
    }

    /// Makes `child` unless the name is taken: without force, an object that appears in between is a conflict.
    async fn create(&self, api: &Api<DynamicObject>, child: &Child) -> Result<Put, ApplyError> {
        let failed = |source| ApplyError {
            verb: "create",
            kind: child.kind,
            name: child.name.clone(),
            source,
        };
        if let Some(there) = find(api, &child.name).await.map_err(failed)?
            && !there
                .owner_references()
                .iter()
                .any(|owner| owner.uid == self.owner)
        {
            return Ok(Put::Taken);
        }
        let ours = PatchParams::apply(FIELD_MANAGER);
        match api.patch(&child.name, &ours, &Patch::Apply(&child.body)).await {
            Ok(_) => {
                info!(kind = ?child.kind, name = child.name, namespace = self.namespace, "created");
                Ok(Put::Written)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Put::Taken),
            Err(source) => Err(failed(source)),
        }
    }

    /// Removes the very object that was seen; one that changed since is looked at again.
    async fn remove(&self, kind: Kind, child: &DynamicObject) -> Result<(), ApplyError> {
        let name = child.name_any();
        let exactly = Preconditions {
            uid: child.uid(),
            resource_version: child.resource_version(),
        };
        let params = DeleteParams {
            preconditions: Some(exactly),
            ..DeleteParams::background()
        };
        info!(?kind, name, namespace = self.namespace, "removed");
        match self.api(kind).delete(&name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(source) => Err(ApplyError {
                verb: "remove",
                kind,
                name,
                source,
            }),
        }
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.ctx.client.clone(), self.namespace, &kind.resource())
    }
}

/// The object of that name, by a list of one: the operator lists its children anyway, so it needs no right to get them.
///
/// # Errors
/// When the API server can't be read.
pub async fn find(api: &Api<DynamicObject>, name: &str) -> kube::Result<Option<DynamicObject>> {
    let one = ListParams::default().fields(&format!("metadata.name={name}"));
    Ok(api.list(&one).await?.items.into_iter().next())
}

/// The manager, other than us, that wrote to the object last.
fn last_writer(live: &DynamicObject) -> String {
    let others = live
        .managed_fields()
        .iter()
        .filter(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER));
    let spec = others.filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty());
    let last = spec.max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    last.and_then(|entry| entry.manager.clone())
        .unwrap_or_else(|| "somebody".into())
}

/// Whether `child` leaves `spec.replicas` to an autoscaler while we still own the field.
fn hands_over_replicas(child: &Child, live: &DynamicObject) -> bool {
    let owned = live.managed_fields().iter().any(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && fields.is_some_and(|f| f.pointer("/f:spec/f:replicas").is_some())
    });
    child.kind == Kind::Deployment && child.body["spec"].get("replicas").is_none_or(Value::is_null) && owned
}
