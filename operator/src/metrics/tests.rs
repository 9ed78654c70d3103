use super::*;

fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = metrics.encode();
    let line = text.lines().find(|line| {
        line.strip_prefix(series)
            .is_some_and(|rest| rest.starts_with(' '))
    })?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn ours(metrics: &Metrics, series: &str) -> Option<f64> {
    value(metrics, &format!("fraudops_operator_{series}"))
}

#[test]
fn a_visit_is_in_flight_until_it_is_dropped_and_leaves_its_duration() {
    let metrics = Metrics::new();
    let visit = metrics.visit("payments/card-fraud");
    assert_eq!(ours(&metrics, "reconciles_in_flight"), Some(1.0));
    drop(visit);
    assert_eq!(ours(&metrics, "reconciles_in_flight"), Some(0.0));
    assert_eq!(ours(&metrics, "reconcile_duration_seconds_count"), Some(1.0));
}

#[test]
fn a_model_waits_once_however_often_it_became_due() {
    let metrics = Metrics::new();
    for model in ["a/a", "a/a", "a/b"] {
        metrics.queued(model);
    }
    assert_eq!(ours(&metrics, "workqueue_depth"), Some(2.0));
    let _visit = metrics.visit("a/a");
    metrics.model_gone("a/b");
    assert_eq!(ours(&metrics, "workqueue_depth"), Some(0.0));
}

#[test]
fn a_model_is_counted_in_one_phase_only() {
    let metrics = Metrics::new();
    for phase in ["Progressing", "Stable", "Stable"] {
        metrics.model_phase("a/a", phase);
    }
    assert_eq!(ours(&metrics, r#"models{phase="Progressing"}"#), Some(0.0));
    assert_eq!(ours(&metrics, r#"models{phase="Stable"}"#), Some(1.0));
    metrics.model_gone("a/a");
    assert_eq!(ours(&metrics, r#"models{phase="Stable"}"#), Some(0.0));
}

#[test]
fn counters_and_the_leader_gauge_show_what_was_reported() {
    let metrics = Metrics::new();
    metrics.reconcile_failed("apply");
    metrics.weight_changed();
    metrics.leading(true);
    metrics.api_request("patch", None);
    assert_eq!(
        ours(&metrics, r#"reconcile_errors_total{kind="apply"}"#),
        Some(1.0)
    );
    assert_eq!(ours(&metrics, "weight_changes_total"), Some(1.0));
    assert_eq!(ours(&metrics, "leader"), Some(1.0));
    assert_eq!(
        ours(&metrics, r#"api_requests_total{verb="patch",code="none"}"#),
        Some(1.0)
    );
}

#[test]
fn the_process_is_described_and_the_text_is_complete() {
    let metrics = Metrics::new();
    assert!(value(&metrics, "process_resident_memory_bytes").unwrap() > 1e6);
    assert!(value(&metrics, "process_open_fds").unwrap() >= 3.0);
    assert!(value(&metrics, "process_cpu_seconds_total").unwrap() >= 0.0);
    assert!(value(&metrics, "process_start_time_seconds").unwrap() > 1.7e9);
    assert!(
        metrics
            .encode()
            .contains(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""))
    );
    assert!(metrics.encode().ends_with("# EOF\n"));
}
