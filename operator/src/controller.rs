//! Watches, triggers, error policy: the wiring of visits. Decides nothing.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use fraudops_crds::FraudModel;
use futures::{FutureExt, Stream, StreamExt, future::join_all, stream};
use k8s_openapi::api::{core::v1::ConfigMap, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Preconditions},
    core::{ApiResource, DynamicObject, PartialObjectMeta},
};
use kube_runtime::{
    Controller, Predicate as _, WatchStreamExt,
    controller::{self, Action},
    predicates,
    reflector::{self, ObjectRef, Store},
    watcher,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    build::{Kind, MANAGED_BY, MODEL_LABEL},
    cli::Settings,
    error::{self, Error},
    events::Events,
    metrics::Metrics,
    metrics_source::PodScrape,
    reconcile::{
        Context,
        apply::find,
        lists::Mounted,
        observe::{self, is_unknown_kind},
        pods::PodClient,
        reconcile,
        settling::Settling,
        truce::Truce,
        validate::Defaults,
    },
};

/// Longest visit. Its calls have shorter deadlines of their own.
const VISIT_DEADLINE: Duration = Duration::from_secs(60);
/// Visits at the same time, over all models of a namespace scope.
const CONCURRENCY: u16 = 8;
/// Changes of one model that come within this are one visit.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// How often a kind that is not installed is looked for.
const LOOK_FOR_KINDS: Duration = Duration::from_secs(15);
/// A watch without a sign of life for so long is opened again (seconds).
const WATCH_TIMEOUT: u32 = 60;

/// Every namespace has a ConfigMap of this name, and it is nobody's list.
const NO_LIST: &str = "metadata.name!=kube-root-ca.crt";

type Seen = PartialObjectMeta<FraudModel>;

/// What the watches of one scope share.
struct Scope {
    ctx: Arc<Context>,
    namespace: Option<String>,
    failures: Mutex<HashMap<ObjectRef<Seen>, u32>>,
}

/// Works until `shutdown`; then ends the visits that are under way. `synced` is called when the models are known.
pub async fn run(
    client: Client,
    settings: &Settings,
    metrics: Metrics,
    instance: String,
    shutdown: CancellationToken,
    synced: impl Fn() + Send + Sync + 'static,
) {
    let namespaces = settings.watch_namespaces.to_vec();
    let ctx = Arc::new(Context {
        events: Events::new(client.clone(), instance),
        client,
        defaults: Defaults {
            scorer_image: settings.scorer_image.clone(),
            insecure_registries: settings.insecure_registries.to_vec(),
            neighbours: settings.neighbours(),
        },
        namespaces: namespaces.clone(),
        removal_delay: settings.removal_delay,
        resync: settings.resync,
        metrics,
        pods: PodClient::default(),
        numbers: PodScrape::default(),
        settling: Settling::new(settings.settling_delay, Instant::now()),
        truce: Truce::default(),
        lists: Mounted::default(),
    });
    let scopes: Vec<Option<String>> = match namespaces.as_slice() {
        [] => vec![None],
        names => names.iter().cloned().map(Some).collect(),
    };
    let scopes = scopes.into_iter().map(|namespace| {
        Arc::new(Scope {
            ctx: ctx.clone(),
            namespace,
            failures: Mutex::default(),
        })
    });
    let runs: Vec<_> = scopes.map(|scope| scope.run(shutdown.clone())).collect();
    let (ready, runs): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
    let all_ready = join_all(ready).map(|_| synced());
    tokio::join!(all_ready, join_all(runs));
}

impl Scope {
    /// A future that ends when the models of this scope are known, and one that works.
    fn run(
        self: Arc<Self>,
        shutdown: CancellationToken,
    ) -> (impl Future<Output = ()>, impl Future<Output = ()>) {
        let (reader, writer) = reflector::store();
        let store = reader.clone();
        let (until, until_stop) = (shutdown.clone(), shutdown.clone());
        let ready = async move {
            tokio::select! { _ = store.wait_until_ready() => {}, () = until.cancelled() => {} }
        };
        let tap = self.clone();
        let models = watcher(self.api::<Seen>(), config())
            .default_backoff()
            .inspect(move |event| tap.see(event))
            .reflect(writer)
            .applied_objects()
            .predicate_filter(
                predicates::generation.combine(predicates::annotations),
                Default::default(),
            );
        let mut control = Controller::for_stream(models, reader.clone()).with_config(
            controller::Config::default()
                .debounce(DEBOUNCE)
                .concurrency(CONCURRENCY),
        );
        for kind in Kind::ALL {
            control = control.reconcile_on(self.clone().children(kind.resource()));
        }
        let slices = watcher(
            self.api::<PartialObjectMeta<EndpointSlice>>(),
            config().labels(MODEL_LABEL),
        );
        control = control.watches_stream(slices.default_backoff().touched_objects(), labelled);
        let control = control
            .reconcile_on(self.clone().lists())
            .graceful_shutdown_on(async move { shutdown.cancelled().await })
            .run(
                |seen, scope: Arc<Scope>| async move { scope.visit(seen).await },
                |seen, error, scope| scope.failed(&seen, error),
                self,
            )
            .for_each(|outcome| async move {
                match outcome {
                    Ok((model, _)) => debug!(%model, "visited"),
                    // Failed visits were told by the error policy; what is left are watches.
                    Err(controller::Error::ReconcilerFailed(..) | controller::Error::ObjectNotFound(..)) => {}
                    Err(error) => warn!(error = %chain(&error), "watch"),
                }
            });
        let control = async move {
            tokio::select! { () = control => {}, () = never_began(reader, until_stop) => {} }
        };
        (ready, control)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.ctx.client.clone(), namespace),
            None => Api::all(self.ctx.client.clone()),
        }
    }

    fn dynamic(&self, resource: &ApiResource) -> Api<PartialObjectMeta<DynamicObject>> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.ctx.client.clone(), namespace, resource),
            None => Api::all_with(self.ctx.client.clone(), resource),
        }
    }

    /// The models whose children of one kind changed; begins when the kind is installed.
    fn children(
        self: Arc<Self>,
        resource: ApiResource,
    ) -> impl Stream<Item = ObjectRef<Seen>> + Send + 'static {
        let installed = async move {
            let api = self.dynamic(&resource);
            loop {
                match api.list_metadata(&ListParams::default().limit(1)).await {
                    Err(error) if is_unknown_kind(&error) => {
                        debug!(kind = resource.kind, "not installed");
                        tokio::time::sleep(LOOK_FOR_KINDS).await;
                    }
                    // Any other trouble is the watcher's to tell and to survive.
                    _ => break,
                }
            }
            let ours = config().labels(&format!("{MANAGED_BY}={}", crate::FIELD_MANAGER));
            watcher(api, ours)
                .default_backoff()
                .touched_objects()
                .filter_map(move |child| {
                    let model = child.map(owner).inspect_err(|error| {
                        warn!(kind = resource.kind, error = %chain(error), "watch");
                    });
                    std::future::ready(model.ok().flatten())
                })
        };
        stream::once(installed).flatten().boxed()
    }

    /// The models of which a list's ConfigMap changed. Begins when a pod has one; only the metadata of ConfigMaps is asked for.
    fn lists(self: Arc<Self>) -> impl Stream<Item = ObjectRef<Seen>> + Send + 'static {
        let wanted = async move {
            self.ctx.lists.wanted().await;
            let maps = watcher(
                self.api::<PartialObjectMeta<ConfigMap>>(),
                config().fields(NO_LIST),
            );
            maps.default_backoff()
                .touched_objects()
                .flat_map(move |map| stream::iter(self.concerned(map)))
        };
        stream::once(wanted).flatten().boxed()
    }

    fn concerned(&self, map: watcher::Result<PartialObjectMeta<ConfigMap>>) -> Vec<ObjectRef<Seen>> {
        match map {
            Ok(map) => {
                let namespace = map.namespace().unwrap_or_default();
                let models = self.ctx.lists.models_with(&namespace, &map.name_any());
                let due = models.into_iter();
                due.map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
                    .collect()
            }
            Err(error) => {
                warn!(kind = "ConfigMap", error = %chain(&error), "watch");
                vec![]
            }
        }
    }

    async fn visit(&self, seen: Arc<Seen>) -> Result<Action, Error> {
        let key = ObjectRef::from_obj(seen.as_ref());
        let _visit = self.ctx.metrics.visit(&observe::key(seen.as_ref()));
        let visit = AssertUnwindSafe(reconcile(seen, self.ctx.clone())).catch_unwind();
        let outcome = match tokio::time::timeout(VISIT_DEADLINE, visit).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(Error::Panic(told(panic.as_ref()))),
            Err(_) => Err(Error::Deadline(VISIT_DEADLINE)),
        };
        if outcome.is_ok() {
            self.failures().remove(&key);
        }
        outcome
    }

    fn failed(&self, seen: &Seen, error: &Error) -> Action {
        let key = ObjectRef::from_obj(seen);
        let mut all = self.failures();
        let failures = all.entry(key.clone()).or_default();
        *failures = failures.saturating_add(1);
        let pause = error::backoff(error, *failures, jitter());
        if error.is_outage() {
            self.ctx.settling.disturbed(Instant::now());
        }
        self.ctx.metrics.reconcile_failed(error.kind());
        warn!(model = %key, error = %chain(error), failures = *failures, pause_seconds = pause.as_secs_f64(), "visit failed");
        Action::requeue(pause)
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectRef<Seen>, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what became due, and takes the route of a deleted model down ahead of the garbage collector.
    fn see(self: &Arc<Self>, event: &Result<watcher::Event<Seen>, watcher::Error>) {
        match event {
            Ok(watcher::Event::Apply(model) | watcher::Event::InitApply(model)) => {
                self.ctx.metrics.queued(&observe::key(model));
            }
            Ok(watcher::Event::Delete(model)) => {
                let key = ObjectRef::from_obj(model);
                self.ctx.metrics.model_gone(&observe::key(model));
                self.ctx.lists.forget(model);
                self.failures().remove(&key);
                tokio::spawn(drop_route(self.ctx.client.clone(), model.clone()));
            }
            Ok(watcher::Event::Init | watcher::Event::InitDone) | Err(_) => {}
        }
    }
}

/// The garbage collector removes all children of a deleted model, in no order. The route goes first here, so that callers
/// see a host that is gone rather than one whose pods are; without the operator the collector does it alone.
async fn drop_route(client: Client, model: Seen) {
    let (name, namespace) = (model.name_any(), model.namespace().unwrap_or_default());
    let api = Api::<DynamicObject>::namespaced_with(client, &namespace, &Kind::IngressRoute.resource());
    let Ok(Some(route)) = find(&api, &name).await else {
        return;
    };
    if !route
        .owner_references()
        .iter()
        .any(|owner| Some(&owner.uid) == model.metadata.uid.as_ref())
    {
        return;
    }
    let exactly = Preconditions {
        uid: route.uid(),
        resource_version: route.resource_version(),
    };
    match api
        .delete(
            &name,
            &DeleteParams {
                preconditions: Some(exactly),
                ..DeleteParams::background()
            },
        )
        .await
    {
        Ok(_) => info!(namespace, model = name, "route of a deleted model removed"),
        Err(error) => {
            debug!(namespace, model = name, %error, "route of a deleted model is left to the garbage collector")
        }
    }
}

/// Ends at a shutdown that comes before the models are known: a controller without them waits for ever.
async fn never_began(models: Store<Seen>, shutdown: CancellationToken) {
    shutdown.cancelled().await;
    if models.wait_until_ready().now_or_never().is_some() {
        std::future::pending::<()>().await;
    }
}

fn config() -> watcher::Config {
    watcher::Config::default().any_semantic().timeout(WATCH_TIMEOUT)
}

fn owner(child: PartialObjectMeta<DynamicObject>) -> Option<ObjectRef<Seen>> {
    let model = child
        .owner_references()
        .iter()
        .find(|owner| owner.kind == "FraudModel")?
        .name
        .clone();
    Some(ObjectRef::new(&model).within(&child.namespace()?))
}

fn labelled(slice: PartialObjectMeta<EndpointSlice>) -> Option<ObjectRef<Seen>> {
    let model = slice.labels().get(MODEL_LABEL)?;
    Some(ObjectRef::new(model).within(&slice.namespace()?))
}

/// 0..1, from the clock's fraction of a second: enough to keep many models from coming back in one moment.
fn jitter() -> f64 {
    f64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs()) / 1e9
}

fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".into())
}

/// The whole chain of causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}
