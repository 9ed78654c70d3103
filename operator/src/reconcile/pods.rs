//! What scorer pods say: what they lack, from their status and their own `/readyz`; what they did, from `/metrics`.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use serde::Deserialize;

use crate::{
    build::{VERSION_HASH, asks_who_calls, mounted_lists},
    metrics_source::{MetricsSource, Reading, Target, Unread},
};

/// Port of the scorer's probes and metrics.
const ADMIN_PORT: u16 = 8010;
/// The scorer's counter of everything that came in on its serving port.
const REQUESTS: &str = "fraud_requests_total";
/// A pod is asked for so long at most, and for so many bytes.
const DEADLINE: Duration = Duration::from_secs(2);
const MAX_ANSWER: usize = 1024 * 1024;
/// Longest message that goes into a condition.
const MAX_MESSAGE: usize = 1024;
/// Pods that are asked at the same time.
const AT_ONCE: usize = 4;

/// One pod of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodReport {
    /// The version that it serves.
    pub hash: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Requests that it took on its serving port since it started, if it was asked and said so.
    pub requests: Option<u64>,
    /// What keeps it from being ready.
    pub problem: Option<Problem>,
    /// Whether it asks for a token or a client certificate.
    pub asks_who_calls: bool,
    /// The ConfigMaps that it has mounted as lists.
    pub lists: BTreeSet<String>,
}

/// A pod of one of the two versions of a rollout, and what it has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodReading {
    /// What identifies it: 16 digits of its UID.
    pub pod: String,
    /// Its name.
    pub name: String,
    /// Hash of the version that it serves.
    pub version: String,
    /// Whether it is ready.
    pub ready: bool,
    /// What it has counted, or why it does not say.
    pub said: Result<Reading, Unread>,
}

/// Asks the running pods of `versions` what they have counted.
pub async fn readings(source: &impl MetricsSource, pods: &[Pod], versions: &[&str]) -> Vec<PodReading> {
    let running = pods.iter().filter_map(|pod| {
        let version = pod.labels().get(VERSION_HASH)?;
        let ours = versions.contains(&version.as_str());
        let address = running_at(pod).filter(|_| ours)?;
        let uid = pod
            .uid()?
            .chars()
            .filter(char::is_ascii_hexdigit)
            .take(16)
            .collect();
        let target = Target {
            pod: uid,
            version: version.clone(),
            address,
        };
        Some((target, pod))
    });
    let (targets, pods): (Vec<Target>, Vec<&Pod>) = running.unzip();
    let said = source.read(&targets).await;
    let all = targets.into_iter().zip(pods).zip(said);
    all.map(|((target, pod), said)| PodReading {
        pod: target.pod,
        name: pod.name_any(),
        version: target.version,
        ready: is_ready(pod) && pod.metadata.deletion_timestamp.is_none(),
        said,
    })
    .collect()
}

/// Why a pod is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// One CamelCase word.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// Asks pods.
#[derive(Clone, Debug)]
pub struct PodClient(Client<HttpConnector, Empty<Bytes>>);

impl Default for PodClient {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(DEADLINE));
        Self(
            Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(connector),
        )
    }
}

impl PodClient {
    /// A report on each of `pods`; with the `count` of their requests if that is wanted.
    pub async fn reports(&self, pods: Vec<Pod>, count: bool) -> Vec<PodReport> {
        let known = pods
            .into_iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        stream::iter(known)
            .map(|pod| self.report(pod, count))
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    async fn report(&self, pod: Pod, count: bool) -> PodReport {
        let hash = pod.labels().get(VERSION_HASH).cloned().unwrap_or_default();
        let ready = is_ready(&pod);
        let requests = match running_at(&pod) {
            Some(address) if ready && count => self.requests(&address).await,
            _ => None,
        };
        let problem = match (ready, stuck(&pod)) {
            (true, _) => None,
            (false, Some(problem)) => Some(problem),
            (false, None) => match running_at(&pod) {
                Some(address) => self.ask(&address).await,
                None => None,
            },
        };
        PodReport {
            hash,
            ready,
            requests,
            problem: problem.map(bounded),
            asks_who_calls: asks_who_calls(&pod),
            lists: mounted_lists(&pod).into_iter().map(Into::into).collect(),
        }
    }

    /// What the scorer itself says. A scorer that does not answer has not started: that is no problem yet.
    async fn ask(&self, address: &str) -> Option<Problem> {
        let body = self.get(address, "/readyz").await?;
        serde_json::from_slice::<Problem>(&body)
            .ok()
            .filter(|p| p.reason != "Loading")
    }

    /// How many requests the scorer took on its serving port.
    async fn requests(&self, address: &str) -> Option<u64> {
        let body = self.get(address, "/metrics").await?;
        counter(std::str::from_utf8(&body).ok()?, REQUESTS)
    }

    async fn get(&self, address: &str, path: &str) -> Option<Bytes> {
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.to_owned()
        };
        let uri = format!("http://{host}:{ADMIN_PORT}{path}").parse().ok()?;
        let answer = async {
            let response = self.0.get(uri).await.ok()?;
            Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await
                .ok()
        };
        Some(tokio::time::timeout(DEADLINE, answer).await.ok()??.to_bytes())
    }
}

/// The value of a counter of one series in Prometheus' text format.
fn counter(page: &str, name: &str) -> Option<u64> {
    let value = page.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        match rest.strip_prefix('{') {
            Some(labels) => Some(labels.rsplit_once("} ")?.1),
            None => rest.strip_prefix(' '),
        }
    })?;
    value.trim().parse().ok()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|c| c.type_ == "Ready" && c.status == "True")
}

fn running_at(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let running = |c: &ContainerStatus| c.state.as_ref().is_some_and(|state| state.running.is_some());
    let scorer = status
        .container_statuses
        .as_ref()?
        .iter()
        .any(|c| c.name == "scorer" && running(c));
    scorer.then(|| status.pod_ip.clone()).flatten()
}

/// What the pod's own status says: a container that failed or can't start, or a pod that no node takes.
fn stuck(pod: &Pod) -> Option<Problem> {
    let status = pod.status.as_ref()?;
    let containers = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten();
    if let Some(problem) = containers.filter_map(failed).next() {
        return Some(problem);
    }
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    Some(Problem {
        reason: "PodsPending".into(),
        message: unscheduled
            .message
            .clone()
            .unwrap_or_else(|| "no node takes the pod".into()),
    })
}

fn failed(container: &ContainerStatus) -> Option<Problem> {
    let states = [container.state.as_ref(), container.last_state.as_ref()];
    let ended = states
        .into_iter()
        .flatten()
        .filter_map(|s| s.terminated.as_ref())
        .find(|t| t.exit_code != 0);
    if let Some(ended) = ended {
        let text = ended.message.clone().unwrap_or_default();
        return Some(spoken(&text).unwrap_or_else(|| {
            Problem {
                reason: ended
                    .reason
                    .clone()
                    .filter(|r| r != "Error")
                    .unwrap_or_else(|| "ContainerFailed".into()),
                message: format!(
                    "container {} ended with exit code {}: {}",
                    container.name,
                    ended.exit_code,
                    text.trim()
                ),
            }
        }));
    }
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.clone()?;
    let transient = ["ContainerCreating", "PodInitializing"].contains(&reason.as_str());
    (!transient).then(|| Problem {
        reason,
        message: waiting
            .message
            .clone()
            .unwrap_or_else(|| format!("container {} waits", container.name)),
    })
}

/// The scorer's last words: `Reason: message`.
fn spoken(text: &str) -> Option<Problem> {
    let (reason, message) = text.trim().lines().last()?.split_once(": ")?;
    let word = !reason.is_empty() && reason.len() <= 64 && reason.chars().all(|c| c.is_ascii_alphanumeric());
    word.then(|| Problem {
        reason: reason.into(),
        message: message.trim().into(),
    })
}

/// A pod may say anything: only a short word and a short text of it reach `status`.
fn bounded(problem: Problem) -> Problem {
    let word: String = problem
        .reason
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .collect();
    let letter = word.starts_with(|c: char| c.is_ascii_alphabetic());
    Problem {
        reason: if letter { word } else { "VerificationFailed".into() },
        message: problem
            .message
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_MESSAGE)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(
            json!({ "metadata": { "labels": { VERSION_HASH: "1234abcd" } }, "status": status }),
        )
        .unwrap()
    }

    #[test]
    fn the_last_words_of_a_failed_fetch_are_the_reason() {
        let pod = pod(json!({ "initContainerStatuses": [{
            "name": "fetch", "ready": false, "restartCount": 3, "image": "", "imageID": "",
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
            "lastState": { "terminated": { "exitCode": 1, "message": "DigestMismatch: expected aa, got bb\n" } },
        }] }));
        let expected = Problem {
            reason: "DigestMismatch".into(),
            message: "expected aa, got bb".into(),
        };
        assert_eq!(stuck(&pod), Some(expected));
    }

    #[test]
    fn a_counter_is_read_from_a_page_of_metrics() {
        let page = "# HELP fraud_requests_total a\nfraud_requests_total_created 1\nfraud_requests_total 42\n";
        assert_eq!(counter(page, REQUESTS), Some(42));
        let labelled = "fraud_requests_total{model=\"m\",version=\"} 1\"} 43\n";
        assert_eq!(counter(labelled, REQUESTS), Some(43));
        for lie in [
            "",
            "fraud_requests_total",
            "fraud_requests_total -1",
            "fraud_requests_total NaN",
        ] {
            assert_eq!(counter(lie, REQUESTS), None, "{lie}");
        }
    }

    #[test]
    fn an_image_that_can_not_be_pulled_is_told() {
        let pod = pod(json!({ "containerStatuses": [{
            "name": "scorer", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": { "waiting": { "reason": "ImagePullBackOff", "message": "not found" } },
        }] }));
        assert_eq!(stuck(&pod).unwrap().reason, "ImagePullBackOff");
    }

    #[test]
    fn a_pod_that_is_being_created_has_no_problem() {
        let pod = pod(json!({ "initContainerStatuses": [{
            "name": "fetch", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": { "waiting": { "reason": "PodInitializing" } },
        }] }));
        assert_eq!(stuck(&pod), None);
    }

    #[test]
    fn a_pod_without_a_node_is_pending() {
        let pod = pod(
            json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/3 nodes" }] }),
        );
        assert_eq!(
            stuck(&pod),
            Some(Problem {
                reason: "PodsPending".into(),
                message: "0/3 nodes".into()
            })
        );
    }

    #[test]
    fn what_a_lying_pod_says_is_cut_down_to_a_word_and_a_text() {
        let lie = Problem {
            reason: "1 <b>".into(),
            message: format!("a\u{1b}[2J{}", "x".repeat(5000)),
        };
        let told = bounded(lie);
        assert_eq!(told.reason, "VerificationFailed");
        assert_eq!(told.message.len(), MAX_MESSAGE);
        assert!(!told.message.contains('\u{1b}'));
    }
}
