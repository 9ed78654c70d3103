//! Live traffic with labels, as `examples/stream` ships it: a simulator in the cluster asks over HTTPS, labels follow, and
//! the scorer's counters and the simulator's own metrics come to the same precision and recall.
//!
//! In a file of its own, because the simulator's package has a test of the name `stream`.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use fraudops_e2e::{Caller, Metrics, Namespace, Pod, until};

const V1: &str = "2026.11.1";
const NAME: &str = "card-fraud";
const HOST: &str = "traffic.test";
const SIMULATOR: &str = "app.kubernetes.io/name=fraudops-simulator";
/// The simulator's port for metrics.
const PORT: u16 = 9102;
/// Labelled frauds that are enough to judge by: at 100 transactions a second they take half a minute.
const ENOUGH: f64 = 20.0;
const PATIENCE: Duration = Duration::from_secs(120);
/// Of all transactions, before anybody looks: what a model must be better than.
const SHARE_OF_FRAUD: f64 = 0.009;

#[tokio::test]
async fn labels_of_live_traffic_give_one_precision_and_recall_at_both_ends() -> Result<()> {
    let payments = Namespace::fresh("traffic").await?;
    let image = payments.stage.fact("SIMULATOR_IMAGE")?.to_owned();
    if image.is_empty() {
        println!("skipped: SIMULATOR_IMAGE names no image of the simulator");
        return payments.remove().await;
    }
    only_harmless_pods_are_let_in(&payments)?;
    let model = payments.example("stream", HOST, &payments.stage.model(V1)?)?;
    payments.apply(&model)?;
    payments.until_stable(NAME, V1).await?;
    let transaction = fs::read(payments.quickstart("transaction.json"))?;
    Caller::of(&payments.stage, HOST, &transaction).await?;

    let ca = format!("--from-file=ca.crt={}", payments.stage.fact("CA_FILE")?);
    payments.kubectl(&["create", "configmap", "fraudops-ca", &ca])?;
    payments.apply_text(&simulator(&payments, &image)?)?;
    let (pod, quality) = both_ends_agree(&payments).await?;
    println!("{quality:?}");
    what_is_flagged_is_fraud(&quality);
    nothing_was_lost(&payments.metrics_at(&pod, PORT).await?)?;
    payments.remove().await
}

/// The namespace refuses pods that are not what Kubernetes calls restricted.
fn only_harmless_pods_are_let_in(payments: &Namespace) -> Result<()> {
    let label = "pod-security.kubernetes.io/enforce=restricted";
    payments.kubectl(&["label", "namespace", &payments.name, label])?;
    Ok(())
}

/// The shipped manifest, but for what differs from cluster to cluster.
fn simulator(payments: &Namespace, image: &str) -> Result<String> {
    let mut text = fs::read_to_string(payments.stage.path("examples/stream/simulator.yaml"))?;
    let namespace = format!("namespace: {}", payments.name);
    for (shipped, here) in [
        ("namespace: payments", namespace.as_str()),
        ("card-fraud.example.test", HOST),
        ("192.0.2.1", payments.stage.fact("TRAEFIK_ADDRESS")?),
        ("ghcr.io/fraudops/simulator:0.1.0", image),
    ] {
        assert!(text.contains(shipped), "no {shipped} in {text}");
        text = text.replace(shipped, here);
    }
    Ok(text)
}

/// Precision and recall at a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quality {
    threshold: &'static str,
    precision: f64,
    recall: f64,
}

const THRESHOLDS: [&str; 2] = ["review", "block"];

/// Waits until there are enough labels and none is on its way that would change precision or recall: one in a hundred does.
async fn both_ends_agree(payments: &Namespace) -> Result<(Pod, [Quality; 2])> {
    until(
        "both ends have the same precision and recall",
        PATIENCE,
        || async {
            let Some(pod) = payments.pods_with(SIMULATOR).await?.pop() else {
                return Ok(Err("the simulator's pod is not ready".to_owned()));
            };
            let own = payments.metrics_at(&pod, PORT).await?;
            let counted = Counted::by_scorers(payments).await?;
            let (seen, judged) = (of_simulator(&own)?, counted.qualities());
            let is_enough = counted.frauds >= ENOUGH;
            Ok(if is_enough && seen == judged {
                Ok((pod, seen))
            } else {
                Err(format!("{} frauds, {seen:?} and {judged:?}", counted.frauds))
            })
        },
    )
    .await
}

fn of_simulator(own: &Metrics) -> Result<[Quality; 2]> {
    let mut qualities = vec![];
    for threshold in THRESHOLDS {
        let share = |name: &str| own.sum(name, &[("threshold", threshold)]);
        qualities.push(Quality {
            threshold,
            precision: share("fraud_simulator_precision_ratio")?,
            recall: share("fraud_simulator_recall_ratio")?,
        });
    }
    qualities.try_into().ok().context("two thresholds")
}

/// What the pods of the model count of labels.
struct Counted {
    frauds: f64,
    /// Flagged, and frauds among them, at each threshold.
    flagged: [(f64, f64); 2],
}

impl Counted {
    async fn by_scorers(payments: &Namespace) -> Result<Self> {
        let mut all = Self {
            frauds: 0.0,
            flagged: [(0.0, 0.0); 2],
        };
        for pod in payments.pods_of(NAME).await? {
            let page = payments.metrics_of(&pod).await?;
            all.frauds += page.sum("fraud_labelled_total", &[("scored_by", V1), ("label", "fraud")])?;
            for (threshold, (flagged, hits)) in THRESHOLDS.into_iter().zip(&mut all.flagged) {
                let predicted = [
                    ("scored_by", V1),
                    ("threshold", threshold),
                    ("predicted", "fraud"),
                ];
                let labelled = |label: &[(&str, &str)]| {
                    page.sum("fraud_labelled_predictions_total", &[&predicted, label].concat())
                };
                *flagged += labelled(&[])?;
                *hits += labelled(&[("label", "fraud")])?;
            }
        }
        Ok(all)
    }

    fn qualities(&self) -> [Quality; 2] {
        std::array::from_fn(|at| {
            let (flagged, hits) = self.flagged[at];
            Quality {
                threshold: THRESHOLDS[at],
                precision: hits / flagged,
                recall: hits / self.frauds,
            }
        })
    }
}

/// Not exact figures: how many labels there are when the test looks depends on the machine.
fn what_is_flagged_is_fraud([review, block]: &[Quality; 2]) {
    for Quality {
        threshold,
        precision,
        recall,
    } in [review, block]
    {
        assert!(*precision > 30.0 * SHARE_OF_FRAUD, "{threshold}: {precision}");
        assert!((0.2..=0.95).contains(recall), "{threshold}: {recall}");
    }
    assert!(review.recall >= block.recall);
}

fn nothing_was_lost(own: &Metrics) -> Result<()> {
    let count =
        |name: &str, labels: &[(&str, &str)]| own.sum(&format!("fraud_simulator_{name}_total"), labels);
    assert!(
        count("failures", &[]).is_err(),
        "no kind of failure was ever seen"
    );
    assert_eq!(count("retries", &[])? + count("model_errors", &[])?, 0.0);
    for result in ["repeated", "refused", "failed"] {
        assert_eq!(count("feedback", &[("result", result)])?, 0.0, "{result}");
    }
    let (sent, decided) = (count("transactions", &[])?, count("decisions", &[])?);
    let labels = count("feedback", &[("result", "counted")])?;
    println!("{sent} transactions, {decided} decisions, {labels} labels counted");
    assert!(sent - decided <= 16.0, "one under way on each connection");
    Ok(())
}
