//! Reasons on the quickstart model: the kinds of fraud that it was trained on are named for what they are.

use fraudops_scorer::{
    engine::{Choice, Engine},
    features::Schema,
    model::{ModelEngine, Profile, Wanted, load_as},
    reasons::Reasons,
};

use crate::{QUICKSTART, model, runtime};

struct Explainer {
    engine: ModelEngine,
    reasons: Reasons,
    usual: Vec<f32>,
}

impl Explainer {
    fn new(choice: Choice) -> Self {
        let model = model(QUICKSTART);
        let profiles: Vec<_> = model.metadata.features.iter().map(Profile::of).collect();
        let wanted = Wanted {
            choice,
            thresholds: None,
        };
        Self {
            engine: load_as(runtime(), &model, 1, wanted).unwrap().engines.remove(0),
            reasons: Reasons::new(&profiles),
            usual: profiles.iter().map(|profile| profile.median.unwrap()).collect(),
        }
    }

    /// The score and the reasons of a payment that is usual but for these features.
    fn explain(&mut self, features: &[(&str, f32)]) -> (f32, Vec<String>) {
        let schema = Schema::card_payment();
        let names: Vec<_> = schema.inputs().collect();
        let mut row = self.usual.clone();
        for (name, value) in features {
            row[names.iter().position(|n| n == name).unwrap()] = *value;
        }
        let (mut score, mut scores, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        self.engine.score(&row, &mut score).unwrap();
        self.reasons.rows(&row, &mut rows);
        self.engine.score(&rows, &mut scores).unwrap();
        let named = self.reasons.explain(score[0], &scores);
        (
            score[0],
            named.iter().map(|reason| reason.name.to_owned()).collect(),
        )
    }
}

#[test]
fn an_amount_that_no_customer_spends_is_explained_by_the_amount() {
    let mut explainer = Explainer::new(Choice::Onnxruntime);
    let (score, reasons) = explainer.explain(&[("TX_AMOUNT", 260.0)]);
    assert!(score > 0.5, "{score}");
    assert_eq!(reasons.first().map(String::as_str), Some("amount"), "{reasons:?}");
}

#[test]
fn a_terminal_with_frauds_is_explained_by_its_risk() {
    let mut explainer = Explainer::new(Choice::Onnxruntime);
    let risk = [
        ("TERMINAL_ID_RISK_1DAY_WINDOW", 1.0),
        ("TERMINAL_ID_RISK_7DAY_WINDOW", 0.9),
        ("TERMINAL_ID_RISK_30DAY_WINDOW", 0.4),
    ];
    let (score, reasons) = explainer.explain(&risk);
    assert!(score > 0.5, "{score}");
    assert_eq!(
        reasons.first().map(String::as_str),
        Some("terminal_risk"),
        "{reasons:?}"
    );
}

#[test]
fn both_engines_give_the_same_reasons() {
    let (mut onnx, mut tree) = (Explainer::new(Choice::Onnxruntime), Explainer::new(Choice::Tree));
    for payment in [
        &[("TX_AMOUNT", 260.0)][..],
        &[("TERMINAL_ID_RISK_7DAY_WINDOW", 0.9), ("TX_AMOUNT", 150.0)],
        &[
            ("CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW", 300.0),
            ("TX_AMOUNT", 180.0),
        ],
    ] {
        assert_eq!(onnx.explain(payment), tree.explain(payment));
    }
}
