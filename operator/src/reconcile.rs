//! One visit of one FraudModel.

pub mod apply;
pub mod difference;
pub mod keys;
pub mod lists;
pub mod observe;
pub mod observed;
pub mod plan;
pub mod pods;
pub mod remember;
pub mod settling;
pub mod status;
pub mod truce;
pub mod validate;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fraudops_crds::{
    FraudModel, FraudModelStatus,
    fraud_model::{ConditionReason as Reason, Phase},
};
use jiff::Timestamp;
use kube::{Client, core::PartialObjectMeta};
use kube_runtime::controller::Action;

use self::validate::ValidModel;
use crate::{
    error::Error,
    events::Events,
    metrics::Metrics,
    metrics_source::PodScrape,
    rollout::{Step, Waits},
};

/// What a visit works with.
pub struct Context {
    /// Talks to the API server; every call has a deadline.
    pub client: Client,
    /// The operator's settings that shape objects.
    pub defaults: validate::Defaults,
    /// Namespaces that are watched; empty means all.
    pub namespaces: Vec<String>,
    /// How long a version without traffic is kept.
    pub removal_delay: Duration,
    /// Longest time between two visits of one model.
    pub resync: Duration,
    /// Numbers of the process.
    pub metrics: Metrics,
    /// Events of the models.
    pub events: Events,
    /// Asks scorer pods what they lack.
    pub pods: pods::PodClient,
    /// Reads what scorer pods have counted.
    pub numbers: PodScrape,
    /// Whether everybody can be trusted to have seen what the API server holds.
    pub settling: settling::Settling,
    /// Ends fights with other field managers.
    pub truce: truce::Truce,
    /// Which ConfigMaps are lists of which model.
    pub lists: lists::Mounted,
}

/// Brings what is there to what `spec` asks for, as far as this visit can, and says in `status` how far that is.
///
/// # Errors
/// When a read or a write fails; the visit is repeated later and begins from what is then there.
pub async fn reconcile(seen: Arc<PartialObjectMeta<FraudModel>>, ctx: Arc<Context>) -> Result<Action, Error> {
    let key = observe::key(seen.as_ref());
    let Some(model) = observe::model(&ctx.client, &seen).await? else {
        ctx.metrics.model_gone(&key);
        return Ok(Action::await_change());
    };
    // Whatever else this visit comes to: a list must reach the pods also while a spec is wrong, and within seconds.
    lists::announce(&ctx, &model).await;
    let outcome = match validate::validate(&model, &ctx.defaults) {
        Ok(valid) => advance(&ctx, &model, &valid).await,
        Err(invalid) => {
            obstructed(&ctx, &model, Reason::InvalidSpec, &invalid.to_string()).await?;
            Ok((Phase::Pending, Action::await_change()))
        }
    };
    if let Some(refusal) = outcome.as_ref().err().and_then(Error::refusal) {
        obstructed(&ctx, &model, Reason::Forbidden, &refusal).await?;
    }
    let (phase, action) = outcome?;
    ctx.metrics.model_phase(&key, phase.as_str());
    Ok(action)
}

/// The stages of a visit, one line each.
async fn advance(ctx: &Context, model: &FraudModel, valid: &ValidModel) -> Result<(Phase, Action), Error> {
    let observed = observe::observe(ctx, model, valid).await?;
    let waits = Waits {
        removal: ctx.removal_delay,
        unsettled: ctx.settling.left(Instant::now()),
    };
    let now = Timestamp::now();
    let plan = plan::plan(model, valid, &observed, waits, now);
    keys::ensure(ctx, valid, &observed, &plan, now).await?;
    let before = persist(ctx, model, valid, &plan, now).await?;
    let applied = apply::apply(ctx, valid, &observed, &plan).await?;
    let status = status::status_of(model, valid, &observed, &plan, &applied, now);
    status::publish(ctx, model, before.as_ref(), &status).await?;
    count(&ctx.metrics, &plan.step, valid.ingress.is_some());
    Ok((
        plan.phase(),
        Action::requeue(plan.next_visit(applied.is_obstructed(), ctx.resync)),
    ))
}

/// In a rollout, what was decided and on what numbers is written before the traffic moves: whoever goes on from there, after
/// whatever happened, derives the same weights. Gives the status as it is then.
async fn persist(
    ctx: &Context,
    model: &FraudModel,
    valid: &ValidModel,
    plan: &plan::Plan,
    now: Timestamp,
) -> Result<Option<FraudModelStatus>, Error> {
    if valid.rollout.is_none() || !plan.step.moved {
        return Ok(model.status.clone());
    }
    let decided = status::decided(model, valid, plan, now);
    status::publish(ctx, model, model.status.as_ref(), &decided).await?;
    Ok(Some(decided))
}

fn count(metrics: &Metrics, step: &Step, has_route: bool) {
    if step.moved && has_route {
        metrics.weight_changed();
    }
    for judgement in &step.judgements {
        metrics.gate_judged(judgement.gate.name(), remember::gate(judgement).verdict.as_str());
    }
    if let Some(ended) = &step.ended {
        metrics.rollout_ended(remember::outcome(ended).as_str());
    }
}

async fn obstructed(ctx: &Context, model: &FraudModel, reason: Reason, message: &str) -> Result<(), Error> {
    let status = status::obstructed(model, reason, message, Timestamp::now());
    Ok(status::publish(ctx, model, model.status.as_ref(), &status).await?)
}
