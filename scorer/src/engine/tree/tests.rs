use std::path::Path;

use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;

use super::{
    finish::After,
    plan::{Plan, Scaler},
    *,
};
use crate::model::{self, Links, Mode, Shape, Transform, Trees};

const TINY: &[u8] = include_bytes!("../../../tests/fixtures/tiny.onnx");

fn shape(width: usize, column: usize) -> Shape {
    Shape {
        input: "features".into(),
        width,
        output: "probabilities".into(),
        column,
    }
}

/// An ensemble that is put together node by node.
#[derive(Default)]
struct Sketch {
    trees: Trees,
}

impl Sketch {
    fn classifier() -> Self {
        let trees = Trees {
            classifier: true,
            outputs: 2,
            transform: Transform::Logistic,
            ..Trees::default()
        };
        Self { trees }
    }

    fn node(&mut self, tree: i32, mode: Mode, feature: i32, value: f32, missing_yes: bool) -> usize {
        let trees = &mut self.trees;
        let place = trees.modes.len();
        trees.trees.push(tree);
        trees.ids.push(place as i32);
        trees.modes.push(mode);
        trees.features.push(feature);
        trees.values.push(value);
        trees.missing_yes.push(missing_yes);
        trees.yes.push(0);
        trees.no.push(0);
        place
    }

    fn leaf(&mut self, tree: i32, weight: f32) -> usize {
        let place = self.node(tree, Mode::Leaf, 0, 0.0, false);
        let weights = &mut self.trees.weights;
        weights.trees.push(tree);
        weights.ids.push(place as i32);
        weights.outputs.push(0);
        weights.values.push(weight);
        place
    }

    fn split(&mut self, tree: i32, mode: Mode, feature: i32, value: f32, leaves: [f32; 2]) -> usize {
        let node = self.node(tree, mode, feature, value, false);
        let children = leaves.map(|leaf| self.leaf(tree, leaf) as i32);
        [self.trees.yes[node], self.trees.no[node]] = children;
        node
    }

    /// A tree that chance draws.
    fn grow(&mut self, tree: i32, depth: u32, width: usize, random: &mut StdRng) -> usize {
        if depth == 0 || random.random_range(0..5) == 0 {
            return self.leaf(tree, random.random_range(-100..100) as f32 / 64.0);
        }
        let mode = [Mode::Lt, Mode::Leq, Mode::Gt, Mode::Gte][random.random_range(0..4)];
        let feature = random.random_range(0..width) as i32;
        let all_but_missing = matches!(mode, Mode::Leq | Mode::Gt) && random.random_range(0..8) == 0;
        let threshold = if all_but_missing {
            f32::INFINITY
        } else {
            value(random)
        };
        let node = self.node(tree, mode, feature, threshold, random.random());
        let yes = self.grow(tree, depth - 1, width, random);
        let no = self.grow(tree, depth - 1, width, random);
        (self.trees.yes[node], self.trees.no[node]) = (yes as i32, no as i32);
        node
    }

    fn plan(self, width: usize) -> Plan {
        Plan {
            width,
            column: 1,
            scalers: Vec::new(),
            trees: self.trees,
            after: Vec::new(),
        }
    }
}

/// One of few values, so that rows hit thresholds.
fn value(random: &mut StdRng) -> f32 {
    const VALUES: [f32; 9] = [-1.0, -0.0, 0.0, 1e-40, 0.25, 0.5, 1.0, 1e30, -1e30];
    VALUES[random.random_range(0..VALUES.len())]
}

/// The definition of ONNX, step by step, as ONNX Runtime follows it.
struct Definition<'a> {
    trees: &'a Trees,
    links: Links,
    /// By node; zero for splits.
    weights: Vec<f32>,
}

impl<'a> Definition<'a> {
    fn of(plan: &'a Plan) -> Self {
        let links = plan.trees.links(plan.width).unwrap();
        let mut weights = vec![0.0; plan.trees.modes.len()];
        for (node, weight) in links.weights.iter().zip(&plan.trees.weights.values) {
            weights[*node as usize] = *weight;
        }
        Self {
            trees: &plan.trees,
            links,
            weights,
        }
    }

    fn score(&self, row: &[f32]) -> f32 {
        let trees = self.trees;
        let is_root = |node: &usize| *node == 0 || trees.trees[node - 1] != trees.trees[*node];
        let roots = (0..trees.modes.len()).filter(is_root);
        let sum = roots.fold(0.0, |sum, root| sum + self.weights[self.leaf(root, row)]);
        let margin = sum + trees.base.first().copied().unwrap_or_default();
        let upper = 1.0 / (1.0 + (-margin.abs()).exp());
        if margin < 0.0 { 1.0 - upper } else { upper }
    }

    fn leaf(&self, mut node: usize, row: &[f32]) -> usize {
        let trees = self.trees;
        loop {
            let (value, threshold) = (row[trees.features[node] as usize], trees.values[node]);
            let yes = match trees.modes[node] {
                Mode::Leq => value <= threshold,
                Mode::Lt => value < threshold,
                Mode::Gte => value >= threshold,
                Mode::Gt => value > threshold,
                Mode::Eq => value == threshold,
                Mode::Neq => value != threshold,
                Mode::Leaf => return node,
            };
            let yes = yes || (value.is_nan() && trees.missing_yes[node]);
            node = if yes {
                self.links.yes[node]
            } else {
                self.links.no[node]
            } as usize;
        }
    }
}

fn score(engine: &mut TreeEngine, rows: &[f32]) -> Vec<f32> {
    let mut scores = Vec::new();
    engine.score(rows, &mut scores).unwrap();
    scores
}

#[test]
fn a_model_scores_as_pythons_onnx_runtime_scored_it() {
    let mut engine = native(TINY, &shape(15, 1)).unwrap();
    assert_eq!((engine.width(), engine.trees(), engine.nodes()), (15, 3, 21));
    let table: Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/tiny-scores.json")).unwrap();
    let rows: Vec<Vec<f32>> = serde_json::from_value(table["rows"].clone()).unwrap();
    let expected: Vec<f32> = serde_json::from_value(table["scores"].clone()).unwrap();
    assert_eq!(score(&mut engine, &rows.concat()), expected);
    let mut other = native(TINY, &shape(15, 0)).unwrap();
    let other = score(&mut other, &rows.concat());
    assert!(
        other
            .iter()
            .zip(&expected)
            .all(|(a, b)| (a + b - 1.0).abs() < 1e-6)
    );
}

#[test]
fn the_quickstart_models_score_their_golden_vectors() {
    for file in ["card-fraud-2026.11.1.onnx", "card-fraud-2026.11.2.onnx"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../examples/quickstart/model")
            .join(file);
        let verified = model::verify(&path).unwrap();
        let loaded = model::load_tree(&verified, 2, String::new()).unwrap();
        assert!(
            loaded.golden_difference <= 1e-6,
            "{file}: {}",
            loaded.golden_difference
        );
    }
}

#[test]
fn scalers_before_and_operators_behind_the_trees_count() {
    let mut sketch = Sketch::classifier();
    sketch.split(0, Mode::Leq, 0, 1.0, [2.0, -2.0]);
    let mut plan = sketch.plan(2);
    plan.scalers = vec![Scaler {
        offset: vec![10.0, 0.0],
        scale: vec![0.5, 1.0],
    }];
    plan.after = vec![After::Times(0.5)];
    let mut engine = TreeEngine::new(Forest::grow(&plan).unwrap());
    let [low, high] = score(&mut engine, &[12.0, 0.0, 12.1, 0.0])[..] else {
        panic!("two rows")
    };
    assert!(
        (low - 0.4404).abs() < 1e-4 && (high - 0.0596).abs() < 1e-4,
        "{low} {high}"
    );
    assert!(
        (engine.splits()[0][0] - 12.0).abs() < 1e-5,
        "splits are those of the input"
    );
}

#[test]
fn what_exporters_do_not_write_is_unsupported() {
    let reason = |change: &dyn Fn(&mut Plan)| {
        let mut sketch = Sketch::classifier();
        sketch.split(0, Mode::Lt, 0, 1.0, [1.0, -1.0]);
        let mut plan = sketch.plan(2);
        change(&mut plan);
        Forest::grow(&plan).expect_err("this is not supported").0
    };
    for (change, words) in [
        (
            &(|p: &mut Plan| p.trees.modes[0] = Mode::Eq) as &dyn Fn(&mut Plan),
            "equals",
        ),
        (&|p| p.trees.values[0] = f32::INFINITY, "finite"),
        (&|p| p.trees.values[0] = f32::NAN, "finite"),
        (
            &|p| (p.trees.modes[0], p.trees.values[0]) = (Mode::Leq, f32::MAX),
            "finite",
        ),
        (&|p| p.trees.weights.outputs.fill(1), "neither"),
        (&|p| p.trees.transform = Transform::Other, "no probability"),
        (
            &|p| (p.trees.transform, p.column) = (Transform::None, 0),
            "no probability",
        ),
        (&|p| p.trees.outputs = 3, "neither"),
        (&|p| p.trees.base = vec![0.0, 1.0], "base value"),
        (&|p| p.trees.weights.values[0] = f32::NAN, "finite"),
        (&|p| p.trees.weights.ids[1] = 1, "twice"),
        (&|p| p.trees.weights.ids[0] = 0, "is no leaf"),
        (&|p| p.trees.no[0] = 1, "shares nodes"),
        (&|p| p.trees.no[0] = 7, "does not exist"),
        (&|p| p.width = 300, "columns"),
    ] {
        let found = reason(change);
        assert!(found.contains(words), "{found} does not say {words}");
    }
}

#[test]
fn graphs_with_other_operators_are_unsupported_and_say_which() {
    let unstable = include_bytes!("../../../tests/fixtures/unstable.onnx");
    let error = native(unstable, &shape(15, 1)).unwrap_err();
    assert!(error.0.contains("Add"), "{error}");
    assert!(native(b"nonsense", &shape(15, 1)).is_err());
    assert!(
        native(TINY, &shape(3, 1)).is_err(),
        "the trees look at columns that are not there"
    );
}

#[test]
fn trees_deeper_than_the_fixed_steps_are_walked_to_their_end() {
    let mut sketch = Sketch::classifier();
    // A chain: smaller than i ends with weight i.
    let mut before = None;
    for i in 0..40 {
        let node = sketch.node(0, Mode::Lt, 0, i as f32, false);
        if let Some(before) = before {
            sketch.trees.no[before] = node as i32;
        }
        let leaf = sketch.leaf(0, i as f32 / 8.0 - 2.0);
        sketch.trees.yes[node] = leaf as i32;
        before = Some(node);
    }
    let last = sketch.leaf(0, 5.0);
    sketch.trees.no[before.unwrap()] = last as i32;
    let plan = sketch.plan(1);
    let mut engine = TreeEngine::new(Forest::grow(&plan).unwrap());
    let definition = Definition::of(&plan);
    for value in [
        -1.0,
        0.0,
        0.5,
        17.0,
        38.5,
        39.0,
        1e9,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ] {
        assert_eq!(
            score(&mut engine, &[value]),
            [definition.score(&[value])],
            "{value}"
        );
    }
}

proptest! {
    #[test]
    fn the_walk_gives_the_scores_of_the_definition_to_the_last_bit_in_any_batch(seed in any::<u64>()) {
        let random = &mut StdRng::seed_from_u64(seed);
        let (width, depth) = (random.random_range(1..70), random.random_range(0..13));
        let mut sketch = Sketch::classifier();
        for tree in 0..random.random_range(1..20) {
            sketch.grow(tree, depth, width, random);
        }
        sketch.trees.base = vec![0.125];
        let plan = sketch.plan(width);
        let mut engine = TreeEngine::new(Forest::grow(&plan).unwrap());
        let rows: Vec<f32> = (0..67 * width)
            .map(|_| match random.random_range(0..10) {
                0 => f32::NAN,
                1 => f32::INFINITY,
                2 => f32::NEG_INFINITY,
                _ => value(random),
            })
            .collect();
        let together = score(&mut engine, &rows);
        let definition = Definition::of(&plan);
        for (row, score_together) in rows.chunks(width).zip(&together) {
            prop_assert_eq!(score_together.to_bits(), definition.score(row).to_bits());
            prop_assert_eq!(score(&mut engine, row)[0].to_bits(), score_together.to_bits());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = native(&bytes, &shape(15, 1));
    }
}
