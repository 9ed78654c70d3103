//! A real API server, the operator at work on it, and a hand that plays kubelet and cert-manager.

use std::{
    fmt::Debug,
    future::Future,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use fraudops_crds::{
    FraudModel, FraudModelStatus,
    cert_manager::Certificate,
    fraud_model::{Condition, Model},
    traefik::TraefikService,
};
use fraudops_operator::{
    build::version_name,
    cli::{Cli, Command, Settings},
    client, controller,
    leader::Fence,
    metrics::Metrics,
    reconcile::validate::version_of,
};
use fraudops_testcluster::{ApiServer, cert_manager_crds, traefik_crds};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{apps::v1::Deployment, core::v1::Namespace, discovery::v1::EndpointSlice},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(30);
const SHA: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A FraudModel with a route, as JSON.
pub fn model(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "fraudops.dev/v1alpha1", "kind": "FraudModel", "metadata": { "name": name },
        "spec": {
            "model": { "version": version, "uri": "https://models.example/m.onnx", "sha256": SHA },
            "scorer": { "replicas": 2 },
            "ingress": { "host": format!("{name}.example.test"),
                "tls": { "issuerRef": { "name": "ca", "kind": "ClusterIssuer" } } },
        },
    })
}

/// The condition of that type; one that says it is missing, if it is.
pub fn condition(status: &FraudModelStatus, type_: &str) -> Condition {
    let missing = || {
        serde_json::from_value(json!({ "type": type_, "status": "Missing", "reason": "Missing",
        "message": "", "lastTransitionTime": "1970-01-01T00:00:00Z" }))
    };
    let found = status.conditions.iter().find(|c| c.type_ == type_).cloned();
    found
        .or_else(|| missing().ok())
        .unwrap_or_else(|| unreachable!("the literal is a condition"))
}

/// Polls until `look` finds something.
pub async fn eventually<T, F: Future<Output = Result<Option<T>>>>(
    what: &str,
    look: impl Fn() -> F,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if start.elapsed() > LIMIT {
            bail!("{what}: not within {} s", LIMIT.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One API server for all tests of a process that can share one, while any of them holds it: a start costs five seconds
/// of processor time.
static SHARED: tokio::sync::Mutex<Weak<ApiServer>> = tokio::sync::Mutex::const_new(Weak::new());

/// An operator at work on an API server, in a namespace of its own.
pub struct Bench {
    server: Arc<ApiServer>,
    client: Client,
    metrics: Metrics,
    /// Where the models are.
    pub namespace: String,
    /// What the operator is to look after, separated by commas; empty: everything.
    watched: String,
    stop: CancellationToken,
    work: Mutex<Option<JoinHandle<()>>>,
}

impl Bench {
    /// On the shared API server, with all kinds.
    pub async fn start() -> Result<Self> {
        static NAMESPACES: AtomicU32 = AtomicU32::new(1);
        let server = {
            let mut shared = SHARED.lock().await;
            if let Some(server) = shared.upgrade() {
                server
            } else {
                let bench = Self::with_our_kind().await?;
                bench.install_traefik_and_cert_manager().await?;
                *shared = Arc::downgrade(&bench.server);
                bench.server
            }
        };
        let mut bench = Self::on(server).await?;
        bench.namespace = format!("test-{}", NAMESPACES.fetch_add(1, Relaxed));
        bench.watched.clone_from(&bench.namespace);
        bench.create_namespace(&bench.namespace).await?;
        bench.operate().await
    }

    pub async fn without_traefik_and_cert_manager() -> Result<Self> {
        Self::with_our_kind().await?.operate().await
    }

    /// An operator that is to look after these namespaces only.
    pub async fn watching(namespaces: &str) -> Result<Self> {
        let mut bench = Self::with_our_kind().await?;
        bench.watched = namespaces.into();
        bench.operate().await
    }

    pub async fn without_any_kind() -> Result<Self> {
        Self::bare().await?.operate().await
    }

    async fn with_our_kind() -> Result<Self> {
        let bench = Self::bare().await?;
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/fraudmodels.yaml");
        bench.server.install_crds(&[own]).await?;
        Ok(bench)
    }

    /// On an API server of its own, in the namespace `default`, with an eye on all namespaces.
    async fn bare() -> Result<Self> {
        let _ = tracing_subscriber::fmt()
            .with_env_filter("warn,fraudops_operator=info")
            .with_test_writer()
            .try_init();
        Self::on(Arc::new(ApiServer::start()?)).await
    }

    async fn on(server: Arc<ApiServer>) -> Result<Self> {
        Ok(Self {
            client: server.client().await?,
            server,
            metrics: Metrics::new(),
            namespace: "default".into(),
            watched: String::new(),
            stop: CancellationToken::new(),
            work: Mutex::default(),
        })
    }

    pub async fn install_traefik_and_cert_manager(&self) -> Result<()> {
        self.server.install_crds(&traefik_crds()?).await?;
        self.server.install_crds(&cert_manager_crds()?).await
    }

    async fn operate(self) -> Result<Self> {
        let kubeconfig = format!("--kubeconfig={}", self.server.kubeconfig().display());
        let namespaces = format!("--watch-namespaces={}", self.watched);
        let words = [
            "fraudops-operator",
            "run",
            "--removal-delay=1s",
            "--settling-delay=0s",
            "--resync=10s",
            "--scorer-image=scorer:test",
            "--leader-elect=false",
            &kubeconfig,
            &namespaces,
        ];
        let Command::Run(settings) = Cli::try_parse_from(words)?.command() else {
            bail!("not the run command")
        };
        let settings: Settings = *settings;
        let (metrics, stop) = (self.metrics.clone(), self.stop.clone());
        let clients = client::connect(&settings, &metrics, &Fence::open()).await?;
        let work = tokio::spawn(async move {
            controller::run(clients.work, &settings, metrics, "test".into(), stop, || {}).await;
        });
        *self.work.lock().expect("no holder panics") = Some(work);
        Ok(self)
    }

    /// Stops the operator, as a rollout of it would.
    pub async fn stop(&self) {
        self.stop.cancel();
        let work = self.work.lock().expect("no holder panics").take();
        if let Some(work) = work {
            let _ = tokio::time::timeout(LIMIT, work).await;
        }
    }

    pub async fn restart(mut self) -> Result<Self> {
        self.stop().await;
        self.stop = CancellationToken::new();
        self.operate().await
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        self.api_in(&self.namespace)
    }

    pub fn api_in<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub async fn create_namespace(&self, name: &str) -> Result<()> {
        let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
        Api::all(self.client.clone())
            .create(&PostParams::default(), &namespace)
            .await?;
        Ok(())
    }

    pub async fn create(&self, model: Value) -> Result<FraudModel> {
        Ok(self
            .api()
            .create(&PostParams::default(), &serde_json::from_value(model)?)
            .await?)
    }

    pub async fn patch(&self, name: &str, change: Value) -> Result<FraudModel> {
        Ok(self
            .api()
            .patch(name, &PatchParams::default(), &Patch::Merge(&change))
            .await?)
    }

    pub async fn set_version(&self, name: &str, version: &str) -> Result<FraudModel> {
        self.patch(name, json!({ "spec": { "model": { "version": version } } }))
            .await
    }

    /// Takes the status of a model away, as a restore from a backup would.
    pub async fn lose_status(&self, name: &str) -> Result<()> {
        let models = self.api::<FraudModel>();
        let mut lost = models.get(name).await?;
        lost.status = None;
        lost.metadata.managed_fields = None;
        models.replace_status(name, &PostParams::default(), &lost).await?;
        Ok(())
    }

    /// Makes the operator look at once.
    pub async fn poke(&self, name: &str) -> Result<FraudModel> {
        let mark = format!("{:?}", Instant::now());
        self.patch(
            name,
            json!({ "metadata": { "annotations": { "test/poke": mark } } }),
        )
        .await
    }

    /// Name of the version's Deployment, once it is there.
    pub async fn deployment(&self, model: &str, version: &str) -> Result<String> {
        self.deployment_of(model, version, false).await
    }

    /// The same of pods that speak TLS.
    pub async fn mtls_deployment(&self, model: &str, version: &str) -> Result<String> {
        self.deployment_of(model, version, true).await
    }

    async fn deployment_of(&self, model: &str, version: &str, mtls: bool) -> Result<String> {
        let model_spec = Model {
            version: version.into(),
            uri: "https://models.example/m.onnx".into(),
            sha256: Some(SHA.into()),
            ..Model::default()
        };
        let name = version_name(model, &version_of(&model_spec, mtls)?.hash);
        self.wait_for::<Deployment>(&name, LIMIT).await?;
        self.wait_for::<k8s_openapi::api::core::v1::Service>(&name, LIMIT)
            .await?;
        Ok(name)
    }

    pub async fn wait_for<K>(&self, name: &str, limit: Duration) -> Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let start = Instant::now();
        loop {
            if let Some(found) = self.api::<K>().get_opt(name).await? {
                return Ok(found);
            }
            if start.elapsed() > limit {
                bail!("{} {name} is not there after {} s", K::kind(&()), limit.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What kubelet, Deployment controller and EndpointSlice controller would write of a version that is up.
    pub async fn make_ready(&self, deployment: &str) -> Result<()> {
        let api = self.api::<Deployment>();
        let live = api.get(deployment).await?;
        let replicas = live.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let status = json!({ "status": { "observedGeneration": live.metadata.generation, "replicas": replicas,
            "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas } });
        api.patch_status(deployment, &PatchParams::default(), &Patch::Merge(&status))
            .await?;
        let labels: serde_json::Map<String, Value> = live
            .labels()
            .iter()
            .map(|(key, value)| (key.clone(), value.clone().into()))
            .collect();
        let mut slice = json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "name": deployment, "labels": labels }, "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080 }],
            "endpoints": [{ "addresses": ["198.18.0.9"], "conditions": { "ready": true, "serving": true } }] });
        slice["metadata"]["labels"]["kubernetes.io/service-name"] = deployment.into();
        self.put::<EndpointSlice>(deployment, &slice).await
    }

    async fn put<K>(&self, name: &str, body: &(impl Serialize + Debug)) -> Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        self.api::<K>()
            .patch(name, &PatchParams::apply("kubelet").force(), &Patch::Apply(body))
            .await?;
        Ok(())
    }

    /// What cert-manager would write of a certificate that it issued.
    pub async fn issue_certificate(&self, name: &str) -> Result<()> {
        let live = self.wait_for::<Certificate>(name, LIMIT).await?;
        let status = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True", "reason": "Ready",
            "message": "up to date", "observedGeneration": live.metadata.generation,
            "lastTransitionTime": "2026-11-22T00:00:00Z" }] } });
        self.api::<Certificate>()
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
            .await?;
        Ok(())
    }

    /// A model of that name that serves; the name of its Deployment.
    pub async fn serving(&self, name: &str, version: &str) -> Result<String> {
        self.create(model(name, version)).await?;
        let deployment = self.deployment(name, version).await?;
        self.make_ready(&deployment).await?;
        self.issue_certificate(name).await?;
        self.wait_ready(name).await?;
        Ok(deployment)
    }

    pub async fn wait_status(
        &self,
        name: &str,
        done: impl Fn(&FraudModelStatus) -> bool,
    ) -> Result<FraudModelStatus> {
        let last = Mutex::new(String::new());
        let found = eventually("the status", || async {
            let live = self.api::<FraudModel>().get(name).await?;
            let current = live.status.unwrap_or_default();
            *last.lock().expect("no holder panics") = format!("{current:?}");
            let fresh = current.observed_generation == live.metadata.generation;
            Ok((fresh && done(&current)).then_some(current))
        });
        let found = found.await;
        found.with_context(|| last.lock().expect("no holder panics").clone())
    }

    pub async fn wait_ready(&self, name: &str) -> Result<FraudModelStatus> {
        self.wait_status(name, |status| condition(status, "Ready").status == "True")
            .await
    }

    /// The Services that the route names.
    pub async fn routed(&self, name: &str) -> Result<Vec<String>> {
        let service = self.api::<TraefikService>().get(name).await?;
        Ok(service
            .spec
            .weighted
            .services
            .into_iter()
            .map(|entry| entry.name)
            .collect())
    }

    /// Shows that the operator has come to rest: it visits all models again and again, and sends nothing but reads.
    pub async fn writes_nothing_more(&self) -> Result<()> {
        let (start, mut quiet_since, mut before) = (Instant::now(), Instant::now(), self.writes());
        while quiet_since.elapsed() < Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_millis(300)).await;
            for model in self.api::<FraudModel>().list(&Default::default()).await? {
                self.poke(&model.name_any()).await?;
            }
            let now = self.writes();
            if now != before {
                (before, quiet_since) = (now, Instant::now());
            }
            if start.elapsed() > LIMIT {
                bail!("the operator does not come to rest: {before}");
            }
        }
        Ok(())
    }

    /// How many patches the operator has sent that were accepted.
    pub fn patches(&self) -> u64 {
        let text = self.metrics.encode();
        let accepted = text
            .lines()
            .filter(|line| line.contains("verb=\"patch\",code=\"200\""));
        accepted
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// The operator's requests so far that were no reads, as its metrics tell them.
    fn writes(&self) -> String {
        let text = self.metrics.encode();
        let is_write = |line: &&str| {
            let verb = |verb: &str| line.contains(&format!("verb=\"{verb}\""));
            line.contains("api_requests_total{") && !["get", "list", "watch", "GET"].into_iter().any(verb)
        };
        text.lines().filter(is_write).collect::<Vec<_>>().join("\n")
    }
}
