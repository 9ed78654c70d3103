//! Which engine serves which model, and that both give the same scores.

use fraudops_scorer::{
    engine::{
        Choice, Engine, Kind,
        tree::{native, probe},
    },
    model::{ModelEngine, Profile, Reason, Runtime, Verified, Wanted, load, load_as, load_tree, select},
};

use crate::{QUICKSTART, QUICKSTART_NEXT, library, model, runtime};

/// Models of the exporters that the tree engine knows.
const TREES: [&str; 9] = [
    QUICKSTART,
    QUICKSTART_NEXT,
    "tests/fixtures/tiny.onnx",
    "tests/fixtures/models/xgboost.onnx",
    "tests/fixtures/models/lightgbm.onnx",
    "tests/fixtures/models/wrapped.onnx",
    "tests/fixtures/models/random-forest.onnx",
    "tests/fixtures/models/decision-tree.onnx",
    "tests/fixtures/models/xgboost-regressor.onnx",
];

/// Models that stay with ONNX Runtime, and the operator that says why.
const OTHERS: [(&str, &str); 3] = [
    (
        "tests/fixtures/models/logistic-regression.onnx",
        "LinearClassifier",
    ),
    ("tests/fixtures/models/mlp.onnx", "Concat"),
    ("tests/fixtures/unstable.onnx", "Add"),
];

fn onnx(model: &Verified) -> ModelEngine {
    let wanted = Wanted {
        choice: Choice::Onnxruntime,
        thresholds: None,
    };
    load_as(runtime(), model, 1, wanted).unwrap().engines.remove(0)
}

fn rows(model: &Verified) -> Vec<f32> {
    let profiles: Vec<_> = model.metadata.features.iter().map(Profile::of).collect();
    let splits = native(&model.bytes, &model.shape).map_or_else(
        |_| vec![Vec::new(); model.shape.width],
        |engine| engine.splits().to_vec(),
    );
    probe::rows(&profiles, &splits)
}

#[test]
fn tree_models_of_all_exporters_are_served_by_the_tree_engine() {
    for file in TREES {
        let model = model(file);
        let loaded = load(runtime(), &model, 2).unwrap();
        assert_eq!(
            (loaded.kind, loaded.engines.len()),
            (Kind::Tree, 2),
            "{file}: {}",
            loaded.why
        );
        assert!(
            loaded.why.contains("rows score as with ONNX Runtime"),
            "{}",
            loaded.why
        );
        let without = load_tree(&model, 1, String::new()).unwrap();
        assert_eq!(without.golden_difference, loaded.golden_difference, "{file}");
    }
}

#[test]
fn both_engines_give_the_same_bits_for_rows_at_every_split() {
    for file in TREES {
        let model = model(file);
        let mut tree = native(&model.bytes, &model.shape).unwrap();
        let agreement = probe::compare(&mut tree, &mut onnx(&model), &rows(&model), None).unwrap();
        let exact = !file.contains("regressor"); // its Sigmoid is an approximation of ONNX Runtime's own
        assert!(
            agreement.holds() && (!exact || agreement.difference == 0.0),
            "{file}: {agreement:?}"
        );
    }
}

#[test]
fn other_models_stay_with_onnx_runtime_and_the_reason_is_told() {
    for (file, operator) in OTHERS {
        let model = model(file);
        let loaded = load(runtime(), &model, 1).unwrap();
        assert_eq!(loaded.kind, Kind::OnnxRuntime, "{file}");
        assert!(
            loaded.why.contains(operator),
            "{file}: {} does not name {operator}",
            loaded.why
        );
        let asked = Wanted {
            choice: Choice::Tree,
            thresholds: None,
        };
        let Err(error) = load_as(runtime(), &model, 1, asked) else {
            panic!("{file} is served by trees")
        };
        assert_eq!(error.reason, Reason::EngineUnsupported, "{error}");
    }
}

#[test]
fn engines_that_disagree_leave_the_model_to_onnx_runtime() {
    let (one, other) = (model(QUICKSTART), model(QUICKSTART_NEXT));
    let mut onnx = runtime().engine(&one.bytes, &one.shape).unwrap();
    let selected = select(&mut onnx, &other, Wanted::default()).unwrap();
    assert_eq!(selected.kind(), Kind::OnnxRuntime);
    assert!(
        selected.why.contains("apart from ONNX Runtime"),
        "{}",
        selected.why
    );
}

#[test]
fn the_library_may_be_loaded_again_for_a_second_model() {
    let (one, other) = (model(QUICKSTART), model("tests/fixtures/models/mlp.onnx"));
    let mut engines: Vec<_> = [one, other].iter().map(onnx).collect();
    let again = Runtime::load(Some(&library())).unwrap();
    let wanted = Wanted {
        choice: Choice::Onnxruntime,
        thresholds: None,
    };
    engines.extend(
        load_as(&again, &model(QUICKSTART_NEXT), 1, wanted)
            .unwrap()
            .engines,
    );
    drop(again);
    for engine in &mut engines {
        let mut scores = Vec::new();
        engine.score(&[1.0; 15], &mut scores).unwrap();
        assert_eq!(scores.len(), 1);
    }
}

#[test]
fn scores_do_not_depend_on_the_batch_or_the_engine_of_the_same_kind() {
    for file in TREES {
        let model = model(file);
        let rows = rows(&model);
        let rows = &rows[..512 * model.shape.width];
        let tree = || native(&model.bytes, &model.shape).unwrap();
        let engines: [Box<dyn Engine>; 4] = [
            Box::new(tree()),
            Box::new(tree()),
            Box::new(onnx(&model)),
            Box::new(onnx(&model)),
        ];
        let mut all = Vec::new();
        for mut engine in engines {
            for size in [1, 7, 64, 512] {
                let mut scores = Vec::new();
                for batch in rows.chunks(size * model.shape.width) {
                    let mut part = Vec::new();
                    engine.score(batch, &mut part).unwrap();
                    scores.extend(part.into_iter().map(f32::to_bits));
                }
                all.push(scores);
            }
        }
        for (kind, scores) in [("tree", &all[..8]), ("onnxruntime", &all[8..])] {
            assert!(scores.windows(2).all(|pair| pair[0] == pair[1]), "{file}: {kind}");
        }
    }
}
