//! A namespace of its own for each test, and what a test does to the FraudModels in it.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use fraudops_crds::fraud_model::{Condition, ConditionType, FraudModel, Phase};
use k8s_openapi::api::core::v1::Namespace as KubeNamespace;
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, ObjectMeta, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use crate::{ModelFile, Stage, until};

/// Long enough for a busy machine with two cores; a test that needs it all is slow, not wrong.
const PATIENCE: Duration = Duration::from_secs(180);

/// A namespace of its own for one test.
pub struct Namespace {
    /// The prepared cluster.
    pub stage: Stage,
    /// A client of its API server.
    pub client: Client,
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// A fresh namespace; one that an earlier run left is removed first.
    pub async fn fresh(name: &str) -> Result<Self> {
        let stage = Stage::ready()?;
        let client = client(&stage).await?;
        let namespace = Self {
            stage,
            client,
            name: format!("e2e-{name}"),
        };
        namespace.gone().await?;
        let object = KubeNamespace {
            metadata: ObjectMeta {
                name: Some(namespace.name.clone()),
                ..ObjectMeta::default()
            },
            ..KubeNamespace::default()
        };
        namespace
            .namespaces()
            .create(&PostParams::default(), &object)
            .await?;
        Ok(namespace)
    }

    /// Removes the namespace with all that is in it. Kubernetes takes half a minute for it, from the pods' grace period on;
    /// nobody waits for that.
    pub async fn remove(&self) -> Result<()> {
        let api = self.namespaces();
        if api.get_opt(&self.name).await?.is_some() {
            api.delete(&self.name, &DeleteParams::default()).await?;
        }
        Ok(())
    }

    async fn gone(&self) -> Result<()> {
        self.remove().await?;
        let api = self.namespaces();
        until("the namespace is gone", PATIENCE, || async {
            Ok(api
                .get_opt(&self.name)
                .await?
                .map_or(Ok(()), |_| Err("still there".to_owned())))
        })
        .await
    }

    /// The manifest of an example as it is, but for namespace, host and the model's uri. And for the machine, which is cluster
    /// and tests at once: the usual deadline of 50 ms is for one that only scores, and two processors have to do for many
    /// models.
    pub fn example(&self, example: &str, host: &str, model: &ModelFile) -> Result<Value> {
        let file = self.stage.path(&format!("examples/{example}/fraudmodel.yaml"));
        let mut manifest: Value = serde_yaml::from_str(&std::fs::read_to_string(file)?)?;
        manifest["metadata"]["namespace"] = json!(self.name);
        manifest["spec"]["model"]["uri"] = json!(model.uri);
        manifest["spec"]["decision"]["deadline"] = json!("2s");
        manifest["spec"]["scorer"]["resources"] =
            json!({ "requests": { "cpu": "50m", "memory": "64Mi" }, "limits": { "memory": "256Mi" } });
        manifest["spec"]["ingress"]["host"] = json!(host);
        Ok(manifest)
    }

    /// The quickstart's manifest under another name and host, with one replica and a model of this registry.
    pub fn manifest(&self, name: &str, host: &str, model: &ModelFile) -> Result<Value> {
        let mut manifest = self.example("quickstart", host, model)?;
        manifest["metadata"]["name"] = json!(name);
        manifest["spec"]["model"] = spec_of(model);
        manifest["spec"]["scorer"]["replicas"] = json!(1);
        Ok(manifest)
    }

    /// `kubectl apply`, as a user does.
    pub fn apply(&self, manifest: &Value) -> Result<()> {
        self.apply_text(&manifest.to_string())
    }

    /// The same with a file's content.
    pub fn apply_text(&self, manifests: &str) -> Result<()> {
        let output = self.stage.kubectl_with_input(
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            manifests,
        )?;
        ensure!(
            output.status.success(),
            "kubectl apply: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// `kubectl` in this namespace.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.stage.kubectl(&[&["--namespace", &self.name], args].concat())
    }

    /// The FraudModel as it is now.
    pub async fn get(&self, name: &str) -> Result<FraudModel> {
        Ok(self.models().get(name).await?)
    }

    /// Waits until a condition has a status, and was computed from the latest spec.
    pub async fn until_condition(&self, name: &str, kind: ConditionType, status: &str) -> Result<Condition> {
        self.until_condition_is(name, kind, &format!("status {status}"), |c| c.status == status)
            .await
    }

    /// Waits until a condition is what `wanted` says, and was computed from the latest spec.
    pub async fn until_condition_is(
        &self,
        name: &str,
        kind: ConditionType,
        wanted_text: &str,
        wanted: impl Fn(&Condition) -> bool,
    ) -> Result<Condition> {
        let what = format!("{name}: condition {} has {wanted_text}", kind.as_str());
        self.until(name, &what, |model| {
            let condition = model
                .status
                .as_ref()?
                .conditions
                .iter()
                .find(|c| c.type_ == kind.as_str())?;
            let current = condition.observed_generation == model.metadata.generation;
            (current && wanted(condition)).then(|| condition.clone())
        })
        .await
    }

    /// Waits until a version takes the traffic alone, the one before it is gone, and everything is ready.
    pub async fn until_stable(&self, name: &str, version: &str) -> Result<FraudModel> {
        self.until(name, &format!("{name}: version {version} is stable"), |model| {
            let status = model.status.as_ref()?;
            let ready = status.conditions.iter().any(|c| {
                c.type_ == ConditionType::Ready.as_str()
                    && c.status == "True"
                    && c.observed_generation == model.metadata.generation
            });
            let stable = status.stable.as_ref()?.version == version && status.phase == Some(Phase::Stable);
            (ready && stable).then(|| model.clone())
        })
        .await
    }

    /// Waits until `found` finds what it looks for in the FraudModel.
    pub async fn until<T>(
        &self,
        name: &str,
        what: &str,
        found: impl Fn(&FraudModel) -> Option<T>,
    ) -> Result<T> {
        let models = self.models();
        let (models, found) = (&models, &found);
        until(what, PATIENCE, || async move {
            // An API server that is away may come back in time.
            Ok(match models.get(name).await {
                Ok(model) => found(&model).ok_or_else(|| seen(&model)),
                Err(error) => Err(error.to_string()),
            })
        })
        .await
    }

    /// Names of all objects that belong to a FraudModel, as `kind/name`.
    pub fn objects_of(&self, name: &str) -> Result<Vec<String>> {
        let kinds = "deployments,replicasets,pods,services,endpointslices,poddisruptionbudgets,horizontalpodautoscalers,\
                     networkpolicies,serviceaccounts,issuers,certificates,secrets,ingressroutes,traefikservices,serverstransports";
        let label = format!("fraudops.dev/model={name}");
        let listed = self.kubectl(&["get", kinds, "--selector", &label, "--output", "name"])?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// A file of the quickstart.
    pub fn quickstart(&self, file: &str) -> PathBuf {
        self.stage.path("examples/quickstart").join(file)
    }

    /// The FraudModels of this namespace.
    pub fn models(&self) -> Api<FraudModel> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    fn namespaces(&self) -> Api<KubeNamespace> {
        Api::all(self.client.clone())
    }
}

/// `spec.model` for a file in the registry.
pub fn spec_of(model: &ModelFile) -> Value {
    json!({ "version": model.version, "uri": model.uri, "sha256": model.sha256 })
}

async fn client(stage: &Stage) -> Result<Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(stage.fact("KUBECONFIG")?)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Client::try_from(config).context("no client from the stage's kubeconfig")
}

fn seen(model: &FraudModel) -> String {
    match serde_json::to_string(&model.status) {
        Ok(status) => format!(
            "{} generation {:?}, status {status}",
            model.name_any(),
            model.metadata.generation
        ),
        Err(error) => anyhow!(error).to_string(),
    }
}
