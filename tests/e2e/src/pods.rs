//! The pods of a FraudModel, each asked by itself and not through the route. The way leads over the API server, so that it
//! works wherever the cluster is.

use anyhow::{Context, Result, bail, ensure};
use http::Request;
use k8s_openapi::api::core::v1::Pod as KubePod;
use kube::{Api, ResourceExt, api::ListParams, client::Body};

use crate::{Answer, Namespace};

/// The serving port, and the one with the metrics.
const HTTP: u16 = 8080;
const ADMIN: u16 = 8010;

/// A pod that is ready. Two are equal when nothing was started anew between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Of this pod, and of none that comes after it.
    pub uid: String,
    /// How often its containers were started again.
    pub restarts: i32,
}

/// A page of metrics.
#[derive(Clone, Debug)]
pub struct Metrics(String);

impl Namespace {
    /// The pods of a FraudModel that are ready and not on their way out, by name.
    pub async fn pods_of(&self, name: &str) -> Result<Vec<Pod>> {
        self.pods_with(&format!("fraudops.dev/model={name}")).await
    }

    /// The same by a label.
    pub async fn pods_with(&self, label: &str) -> Result<Vec<Pod>> {
        let api = Api::<KubePod>::namespaced(self.client.clone(), &self.name);
        let ours = ListParams::default().labels(label);
        let mut pods: Vec<Pod> = api.list(&ours).await?.iter().filter_map(ready).collect();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pods)
    }

    /// Sends JSON to a path of a pod's serving port.
    pub async fn post_to(&self, pod: &Pod, path: &str, body: &[u8]) -> Result<Answer> {
        let request = Request::post(self.proxied(pod, HTTP, path)).header("content-type", "application/json");
        self.answer_of(request.body(body.to_vec().into())?).await
    }

    /// The metrics of a model's pod.
    pub async fn metrics_of(&self, pod: &Pod) -> Result<Metrics> {
        self.metrics_at(pod, ADMIN).await
    }

    /// The sum of [`Metrics::sum`] over the ready pods of a model.
    pub async fn sum(&self, model: &str, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let mut sum = 0.0;
        for pod in self.pods_of(model).await? {
            sum += self.metrics_of(&pod).await?.sum(name, labels)?;
        }
        Ok(sum)
    }

    /// The metrics of any pod, by their port.
    pub async fn metrics_at(&self, pod: &Pod, port: u16) -> Result<Metrics> {
        let request = Request::get(self.proxied(pod, port, "/metrics"));
        let answer = self.answer_of(request.body(Body::empty())?).await?;
        ensure!(answer.status == 200, "{}: HTTP {}", pod.name, answer.status);
        Ok(Metrics(String::from_utf8(answer.bytes)?))
    }

    fn proxied(&self, pod: &Pod, port: u16, path: &str) -> String {
        let (namespace, name) = (&self.name, &pod.name);
        format!("/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy{path}")
    }

    async fn answer_of(&self, request: Request<Body>) -> Result<Answer> {
        let response = self.client.send(request).await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect_bytes().await?;
        Ok(Answer::new(status, bytes.into()))
    }
}

fn ready(pod: &KubePod) -> Option<Pod> {
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.iter().flatten();
    let is_ready = conditions
        .clone()
        .any(|c| c.type_ == "Ready" && c.status == "True");
    (is_ready && pod.metadata.deletion_timestamp.is_none()).then(|| Pod {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        restarts: status
            .container_statuses
            .iter()
            .flatten()
            .map(|c| c.restart_count)
            .sum(),
    })
}

impl Metrics {
    /// The sum of the series of `name` that have all of `labels`; an error when there is none, because all series are there
    /// from the start.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let wanted: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}=\"{value}\""))
            .collect();
        let series = self.0.lines().filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            (rest.starts_with('{') || rest.starts_with(' '))
                && wanted.iter().all(|label| rest.contains(label))
        });
        let (mut sum, mut found) = (0.0, false);
        for line in series {
            let (_, value) = line.rsplit_once(' ').context("a series without a value")?;
            sum += value.parse::<f64>().with_context(|| line.to_owned())?;
            found = true;
        }
        if !found {
            bail!("the pod has no series {name} {labels:?}");
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_added_up_by_name_and_labels() {
        let page = "# HELP hits a\nhits{rule=\"a\",model=\"m\"} 2\nhits{rule=\"b\",model=\"m\"} 3\nhits_created 9\nup 1\n";
        let metrics = Metrics(page.to_owned());
        let sum = |name: &str, labels: &[(&str, &str)]| metrics.sum(name, labels).ok();
        assert_eq!(sum("hits", &[]), Some(5.0));
        assert_eq!(sum("hits", &[("model", "m"), ("rule", "b")]), Some(3.0));
        assert_eq!(sum("up", &[]), Some(1.0));
        assert_eq!(sum("hits", &[("rule", "c")]), None);
    }
}
