//! Visits one after the other, each beginning from what the one before wrote: the whole way of a version, without a cluster.

use std::time::Duration;

use fraudops_crds::fraud_model::{GateVerdict, Phase, RETRY};
use kube::ResourceExt;

use super::*;
use crate::{
    build::Kind,
    events,
    fixture::{self, Scene},
    metrics_source::{Reading, Unread},
    reconcile::{
        apply::Applied,
        plan::plan,
        pods::PodReading,
        status::{decided, status_of},
        validate::validate,
    },
    rollout::{Counts, Waits},
};

/// A rollout from 2026.11.1 to `2`, visit by visit.
struct Story {
    scene: Scene,
    stable: String,
    clock: i64,
    /// What the route named after the last visit.
    weights: Vec<u64>,
    events: Vec<String>,
}

impl Story {
    fn begun() -> Self {
        let mut story = Self {
            scene: Scene::serving(),
            stable: fixture::valid().wanted.hash,
            clock: 1_800_000_000,
            weights: vec![],
            events: vec![],
        };
        story.visit(0);
        story.scene.change_in_steps("2");
        story.says((0, 0), (0, 0));
        story.visit(1);
        assert_eq!(
            (story.status().phase, story.weights.as_slice()),
            (Some(Phase::Canary), &[90, 10][..])
        );
        story
    }

    fn status(&self) -> &FraudModelStatus {
        self.scene.model.status.as_ref().unwrap()
    }

    /// One pod of each version tells its requests and errors.
    fn says(&mut self, candidate: (u64, u64), stable: (u64, u64)) {
        let wanted = validate(&self.scene.model, &fixture::defaults())
            .unwrap()
            .wanted
            .hash;
        let reading = |version: &String, (requests, errors)| PodReading {
            pod: format!("0123{version}"),
            name: format!("pod-of-{version}"),
            version: version.clone(),
            ready: true,
            said: Ok(Reading {
                started: 1_799_999_000_000,
                counts: Counts {
                    requests,
                    errors,
                    answers: requests,
                    ..Counts::default()
                },
            }),
        };
        self.scene.observed.readings = vec![reading(&wanted, candidate), reading(&self.stable, stable)];
    }

    /// A visit so many seconds after the one before.
    fn visit(&mut self, seconds: i64) {
        self.clock += seconds;
        let now = Timestamp::from_second(self.clock).unwrap();
        let (model, observed) = (&self.scene.model, &self.scene.observed);
        let valid = validate(model, &fixture::defaults()).unwrap();
        let waits = Waits {
            removal: Duration::from_secs(5),
            ..Waits::default()
        };
        let plan = plan(model, &valid, observed, waits, now);
        let before = model.status.clone().unwrap_or_default();
        let after = status_of(model, &valid, observed, &plan, &Applied::default(), now);
        // What is written before the traffic moves leads to the same decision as what is written after it.
        let early = decided(model, &valid, &plan, now);
        assert_eq!(
            (&early.candidate, &early.evidence, &early.stable),
            (&after.candidate, &after.evidence, &after.stable)
        );
        assert_eq!(
            (&early.rejected, &early.history, &early.retried),
            (&after.rejected, &after.history, &after.retried)
        );
        self.events.extend(
            events::news(&before, &after)
                .iter()
                .map(|news| format!("{news:?}")),
        );
        if let Some(route) = plan
            .desired
            .iter()
            .find(|child| child.kind == Kind::TraefikService)
        {
            let services = route.body["spec"]["weighted"]["services"].as_array().unwrap();
            self.weights = services
                .iter()
                .map(|service| service["weight"].as_u64().unwrap())
                .collect();
            let live = (Kind::TraefikService, route.name.clone());
            let route = serde_json::from_value(route.body.clone()).unwrap();
            self.scene.observed.children.insert(live, route);
        }
        for hash in &plan.step.removed {
            self.scene
                .observed
                .children
                .retain(|(_, name), _| !name.ends_with(hash));
        }
        // Another process would read it back from the API server.
        let text = serde_json::to_string(&after).unwrap();
        self.scene.model.status = Some(serde_json::from_str(&text).unwrap());
    }

    fn told(&self, text: &str) -> usize {
        self.events.iter().filter(|event| event.contains(text)).count()
    }
}

#[test]
fn a_good_version_is_promoted_and_the_status_says_on_what_numbers() {
    let mut story = Story::begun();
    story.says((312, 0), (2800, 1));
    story.visit(20);
    assert_eq!(story.weights, [90, 10]);
    assert_eq!(
        story.status().gates.as_deref(),
        Some("errorRatio=inconclusive(312/500) slowRatio=inconclusive(312/500)")
    );
    let ready = &story.status().conditions[0];
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("False", "Canary")
    );
    assert!(
        ready.message.starts_with(
            "2 at 10 %, step 1 of 2, 2026.11.1 keeps serving; it waits for its gates; errorRatio:"
        )
    );

    story.says((600, 0), (5400, 1));
    story.visit(5);
    assert_eq!(story.weights, [50, 50]);
    assert_eq!(
        story.told("10 % to 50 %; errorRatio: within the limits; errors: 0 in 600 (0 %)"),
        1,
        "{:?}",
        story.events
    );
    story.says((1200, 0), (6000, 1));
    story.visit(10);
    assert_eq!(
        (story.status().phase, story.weights.as_slice()),
        (Some(Phase::Promoting), &[100][..])
    );
    assert_eq!(
        story.status().stable.as_ref().map(|s| s.version.as_str()),
        Some("2")
    );
    story.visit(5);
    story.visit(5);
    let status = story.status();
    assert_eq!(
        (status.phase, &status.candidate, &status.evidence, &status.gates),
        (Some(Phase::Stable), &None, &None, &None)
    );
    let outcomes: Vec<_> = status
        .history
        .iter()
        .map(|entry| (entry.version.as_str(), entry.outcome))
        .collect();
    assert_eq!(outcomes, [("2", Outcome::Promoted)]);
    assert!(status.history[0].message.contains("errors: 0 in 600"));
}

#[test]
fn a_bad_version_is_rejected_with_its_numbers_and_tried_again_on_request_only() {
    let mut story = Story::begun();
    story.says((40, 20), (360, 0));
    story.visit(5);
    assert_eq!(
        (story.status().phase, story.weights.as_slice()),
        (Some(Phase::RollingBack), &[100][..])
    );
    assert_eq!(story.told("RolledBack"), 1, "{:?}", story.events);
    for _ in 0..3 {
        story.visit(5);
    }
    let status = story.status().clone();
    assert_eq!(
        (status.phase, status.rejected.len(), status.history.len()),
        (Some(Phase::RolledBack), 1, 1)
    );
    assert!(
        status.rejected[0]
            .reason
            .starts_with("errorRatio failed: proven more than 2 times")
    );
    let shown = status.candidate.unwrap();
    assert_eq!(
        (shown.version.as_str(), shown.weight, shown.gates[0].verdict),
        ("2", 0, GateVerdict::Fail)
    );
    assert_eq!(
        status.gates.as_deref(),
        Some("errorRatio=fail slowRatio=inconclusive(40/500)")
    );
    assert_eq!(status.evidence, None);
    let stalled = status.conditions.iter().find(|c| c.type_ == "Stalled").unwrap();
    assert!(
        stalled.message.contains(RETRY) && stalled.message.contains(&shown.digest),
        "{}",
        stalled.message
    );

    story
        .scene
        .model
        .annotations_mut()
        .insert(RETRY.into(), shown.digest.clone());
    story.visit(5);
    assert_eq!(
        (story.status().phase, story.status().rejected.len()),
        (Some(Phase::Verifying), 0)
    );
    story.scene.change_in_steps("2");
    story.visit(5);
    assert_eq!(story.weights, [90, 10]);
    story.says((90, 70), (800, 0));
    story.visit(5);
    story.visit(5);
    story.visit(5);
    let status = story.status();
    assert_eq!(
        (status.phase, status.rejected.len()),
        (Some(Phase::RolledBack), 1),
        "the retry counts once"
    );
}

#[test]
fn silence_holds_and_says_so() {
    let mut story = Story::begun();
    story.says((600, 0), (5400, 0));
    story.scene.observed.readings[1].said = Err(Unread::Deadline);
    story.visit(60);
    assert_eq!(story.weights, [90, 10]);
    assert_eq!(
        story.status().gates.as_deref(),
        Some("errorRatio=noData slowRatio=noData")
    );
    let gate = &story.status().candidate.as_ref().unwrap().gates[0];
    assert!(
        gate.message.starts_with("1 of 2 pods could not be read (pod-of-"),
        "{}",
        gate.message
    );
    story.says((600, 0), (5400, 0));
    story.visit(5);
    assert_eq!(story.weights, [50, 50]);
}

#[test]
fn a_visit_that_decides_nothing_new_changes_nothing() {
    let mut story = Story::begun();
    story.visit(1);
    let before = story.status().clone();
    story.visit(1);
    assert_eq!(*story.status(), before);
}

#[test]
fn the_lists_of_what_was_are_bounded() {
    let mut story = Story::begun();
    let status = story.scene.model.status.as_mut().unwrap();
    let entry = HistoryEntry {
        version: "x".into(),
        digest: "sha256:x".into(),
        outcome: Outcome::Aborted,
        message: String::new(),
        time: Time(Timestamp::UNIX_EPOCH),
    };
    status.history = vec![entry.clone(); MAX_HISTORY];
    status.rejected = (0..MAX_REJECTED)
        .map(|i| RejectedVersion {
            digest: format!("sha256:{i}"),
            version: "x".into(),
            reason: String::new(),
            time: entry.time.clone(),
        })
        .collect();
    story.says((40, 40), (360, 0));
    story.visit(5);
    let status = story.status();
    assert_eq!(
        (status.history.len(), status.rejected.len()),
        (MAX_HISTORY, MAX_REJECTED)
    );
    assert_eq!(status.rejected[0].digest, "sha256:1", "the oldest goes first");
}
