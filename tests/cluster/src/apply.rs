//! Installing custom resource definitions, and waiting until the API server serves them.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
    core::ApiResource,
};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::paths;

const ESTABLISHED_WITHIN: Duration = Duration::from_secs(20);

/// Applies every CustomResourceDefinition of the files (other documents are left out) and waits until all are served.
///
/// Server-side apply with the field manager `fraudops-testcluster`, so it can be repeated. Waits 20 seconds at most.
pub async fn install_crds(client: &Client, files: &[impl AsRef<Path>]) -> Result<()> {
    let api: Api<DynamicObject> = Api::all_with(
        client.clone(),
        &ApiResource::erase::<CustomResourceDefinition>(&()),
    );
    let mut names = Vec::new();
    for file in files {
        let path = file.as_ref();
        let crds = definitions(&paths::read(path)?).with_context(|| path.display().to_string())?;
        for crd in crds {
            let name = crd
                .pointer("/metadata/name")
                .and_then(Value::as_str)
                .context("a CRD without a name")?;
            let params = PatchParams::apply("fraudops-testcluster").force();
            api.patch(name, &params, &Patch::Apply(&crd))
                .await
                .with_context(|| format!("cannot apply the CRD {name} of {}", path.display()))?;
            names.push(name.to_owned());
        }
    }
    timeout(ESTABLISHED_WITHIN, wait_established(&api, &names))
        .await
        .with_context(|| {
            format!(
                "not established after {ESTABLISHED_WITHIN:?}: {}",
                names.join(", ")
            )
        })?
}

fn definitions(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_yaml::from_multiple(text)?;
    Ok(documents
        .into_iter()
        .filter(|doc| doc["kind"] == "CustomResourceDefinition")
        .collect())
}

async fn wait_established(api: &Api<DynamicObject>, names: &[String]) -> Result<()> {
    for name in names {
        while !is_established(&api.get(name).await?.data) {
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

fn is_established(data: &Value) -> bool {
    let conditions = data.pointer("/status/conditions").and_then(Value::as_array);
    conditions.is_some_and(|all| {
        all.iter()
            .any(|one| one["type"] == "Established" && one["status"] == "True")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_definitions_are_taken_from_a_file() {
        let text = "kind: Namespace\n---\nkind: CustomResourceDefinition\nmetadata: {name: a.b}\n";
        let found = definitions(text).unwrap();
        assert_eq!(
            found,
            [json!({"kind": "CustomResourceDefinition", "metadata": {"name": "a.b"}})]
        );
    }

    #[test]
    fn a_definition_counts_as_served_only_when_the_condition_is_true() {
        let with = |status| json!({"status": {"conditions": [{"type": "Established", "status": status}]}});
        assert!(is_established(&with("True")));
        assert!(!is_established(&with("False")));
        assert!(!is_established(&json!({})));
    }
}
