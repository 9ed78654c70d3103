use super::*;
use crate::decision::Decision;

fn assert_lines(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|l| l == *line), "{line} is missing in\n{page}");
    }
}

fn answered(scored: Scored, trace: Option<[u8; 16]>) -> Answered {
    Answered {
        decision: Decision::Block,
        source: match scored {
            Some(Ok(_)) => Source::Model,
            Some(Err(_)) => Source::Fallback,
            None => Source::Rule,
        },
        scored,
        took: Duration::from_millis(3),
        trace,
    }
}

#[test]
fn all_series_exist_at_zero() {
    let metrics = Metrics::new(2);
    metrics.set_features(vec!["TX_AMOUNT".to_owned()]);
    assert_lines(
        &metrics.expose(Format::Text, false),
        &[
            "fraud_predictions_total{decision=\"block\"} 0",
            "fraud_decisions_total{decision=\"review\",source=\"fallback\"} 0",
            "predictions_total{is_fraud=\"false\"} 0",
            "fraud_prediction_duration_seconds_bucket{le=\"0.00025\"} 0",
            "fraud_prediction_duration_seconds_bucket{le=\"0.025\"} 0",
            "fraud_score_bucket{le=\"0.001\"} 0",
            "fraud_exposures_total 0",
            "fraud_shadow_requests_total 0",
            "fraud_request_errors_total{kind=\"too_large\"} 0",
            "fraud_model_errors_total{kind=\"deadline\"} 0",
            "fraud_request_errors_total{kind=\"card_number\"} 0",
            "fraud_panics_total 0",
            "fraud_imputed_features_total{feature=\"TX_AMOUNT\",kind=\"native\"} 0",
            "fraud_ready 0",
            "fraud_model_reloads_total{result=\"ok\"} 0",
            "fraud_model_reloads_total{result=\"failed\"} 0",
        ],
    );
}

#[test]
fn shards_are_merged() {
    let metrics = Metrics::new(2);
    metrics.set_features(vec!["TX_AMOUNT".to_owned(), "TX_DURING_NIGHT".to_owned()]);
    for worker in 0..2 {
        let shard = metrics.shard(worker);
        shard.decided(&answered(Some(Ok(0.7)), None));
        shard.decided(&answered(Some(Err(ModelFailure::Deadline)), None));
        shard.decided(&answered(None, None));
        shard.imputed(1, Imputation::Median);
        shard.imputed(2, Imputation::Median);
        shard.refused_request(RequestError::CardNumber);
        shard.shadowed();
    }
    let page = metrics.expose(Format::Text, true);
    assert_lines(
        &page,
        &[
            "fraud_predictions_total{decision=\"block\"} 6",
            "fraud_decisions_total{decision=\"block\",source=\"model\"} 2",
            "fraud_decisions_total{decision=\"block\",source=\"rule\"} 2",
            "fraud_decisions_total{decision=\"block\",source=\"fallback\"} 2",
            "predictions_total{is_fraud=\"true\"} 6",
            "fraud_prediction_duration_seconds_bucket{le=\"0.0025\"} 0",
            "fraud_prediction_duration_seconds_bucket{le=\"0.005\"} 6",
            "fraud_prediction_duration_seconds_sum 0.018",
            "fraud_score_bucket{le=\"0.5\"} 0",
            "fraud_score_bucket{le=\"0.8\"} 2",
            "fraud_score_bucket{le=\"+Inf\"} 2",
            "fraud_exposures_total 4",
            "fraud_model_errors_total{kind=\"deadline\"} 2",
            "fraud_imputed_features_total{feature=\"TX_DURING_NIGHT\",kind=\"median\"} 2",
            "fraud_request_errors_total{kind=\"card_number\"} 2",
            "fraud_shadow_requests_total 2",
            "fraud_ready 1",
        ],
    );
    assert!(!page.contains("trace_id"));
}

#[test]
fn a_named_model_is_on_every_series_but_those_of_the_process() {
    let metrics = Metrics::new(1);
    metrics.set_model_name("card-fraud");
    metrics.set_model(
        ModelLabels {
            version: "v7".to_owned(),
            sha256: "0123456789abcdef".to_owned(),
            algorithm: "trees".to_owned(),
        },
        Duration::from_millis(1500),
    );
    let page = metrics.expose(Format::Text, true);
    assert_lines(
        &page,
        &[
            "fraud_exposures_total{model=\"card-fraud\",version=\"v7\"} 0",
            "fraud_model_info{model=\"card-fraud\",version=\"v7\",sha256=\"0123456789ab\",algorithm=\"trees\"} 1",
            "fraud_model_load_seconds{model=\"card-fraud\",version=\"v7\"} 1.5",
        ],
    );
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let of_the_process = ["process_", "fraud_build_info", "fraud_model_reloads_total"]
            .iter()
            .any(|name| line.starts_with(name));
        assert_eq!(
            line.contains("model=\"card-fraud\",version=\"v7\""),
            !of_the_process,
            "{line}"
        );
    }
}

#[test]
fn reloads_are_counted_beside_the_versions_whose_counters_go_on() {
    let metrics = Metrics::new(1);
    let model = |version: &str| ModelLabels {
        version: version.to_owned(),
        sha256: "0123456789abcdef".to_owned(),
        algorithm: "trees".to_owned(),
    };
    metrics.set_model_name("m");
    metrics.set_model(model("1"), Duration::ZERO);
    metrics.shard(0).decided(&answered(Some(Ok(0.7)), None));
    let created = "fraud_exposures_created{model=\"m\",version=\"1\"}";
    assert!(metrics.expose(Format::OpenMetrics, true).contains(created));
    metrics.set_model(model("2"), Duration::ZERO);
    metrics.reloaded(true);
    metrics.reloaded(false);
    metrics.reloaded(false);
    assert_lines(
        &metrics.expose(Format::Text, true),
        &[
            "fraud_model_reloads_total{result=\"ok\"} 1",
            "fraud_model_reloads_total{result=\"failed\"} 2",
            "fraud_exposures_total{model=\"m\",version=\"2\"} 1",
        ],
    );
    // At that time the series of the new version did not begin at zero.
    assert!(
        !metrics
            .expose(Format::OpenMetrics, true)
            .contains("fraud_exposures_created")
    );
}

#[test]
fn exemplars_are_shown_in_openmetrics_only() {
    let metrics = Metrics::new(2);
    metrics
        .shard(1)
        .decided(&answered(Some(Ok(0.7)), Some([0xab; 16])));
    let page = metrics.expose(Format::OpenMetrics, true);
    let exemplar = "# {trace_id=\"abababababababababababababababab\"}";
    for series in [
        "fraud_predictions_total{decision=\"block\"} 1 ",
        "fraud_prediction_duration_seconds_bucket{le=\"0.005\"} 1 ",
    ] {
        let line = page.lines().find(|line| line.starts_with(series));
        assert!(line.is_some_and(|line| line.contains(exemplar)), "{line:?}");
    }
    assert_eq!(page.matches("trace_id").count(), 2);
    assert!(!metrics.expose(Format::Text, true).contains("trace_id"));
}

#[test]
fn other_modules_add_their_families() {
    struct Other;
    impl Collect for Other {
        fn collect(&self, out: &mut Exposition) {
            out.counter("other", "Of another module.").sample(&[], 4_u64);
        }
    }
    let metrics = Metrics::new(1);
    metrics.set_model_name("m");
    metrics.register(Arc::new(Other));
    assert_lines(
        &metrics.expose(Format::Text, true),
        &["other_total{model=\"m\"} 4"],
    );
}

#[test]
fn the_connection_limit_holds() {
    let metrics = Metrics::new(1);
    assert!(metrics.try_open(2) && metrics.try_open(2));
    assert!(!metrics.try_open(2));
    metrics.close();
    assert!(metrics.try_open(2));
    assert_eq!(metrics.open(), 2);
}
