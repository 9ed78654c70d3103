use crate::model::{Reason, inspect};

/// A list of an attribute.
#[derive(Clone)]
enum List {
    Integers(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<&'static str>),
    Text(&'static str),
    Integer(i64),
}
use List::{Floats, Integer, Integers, Text, Texts};

fn varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn field(number: u64, content: &[u8], bytes: &mut Vec<u8>) {
    varint(number << 3 | 2, bytes);
    varint(content.len() as u64, bytes);
    bytes.extend_from_slice(content);
}

fn attribute(name: &str, list: &List) -> Vec<u8> {
    let (mut bytes, mut packed) = (Vec::new(), Vec::new());
    field(1, name.as_bytes(), &mut bytes);
    match list {
        Integers(list) => {
            list.iter().for_each(|value| varint(*value as u64, &mut packed));
            field(8, &packed, &mut bytes);
        }
        Floats(list) => {
            list.iter().for_each(|value| packed.extend(value.to_le_bytes()));
            field(7, &packed, &mut bytes);
        }
        Texts(list) => list.iter().for_each(|text| field(9, text.as_bytes(), &mut bytes)),
        Text(text) => field(4, text.as_bytes(), &mut bytes),
        Integer(value) => {
            varint(3 << 3, &mut bytes);
            varint(*value as u64, &mut bytes);
        }
    }
    bytes
}

/// An ensemble of two stumps over an input of three columns.
#[derive(Clone)]
struct Model {
    operator: &'static str,
    attributes: Vec<(&'static str, List)>,
    /// Operator between the input and the trees.
    before: Option<&'static str>,
}

fn classifier() -> Model {
    Model {
        operator: "TreeEnsembleClassifier",
        attributes: vec![
            ("nodes_treeids", Integers(vec![0, 0, 0, 1, 1, 1])),
            ("nodes_nodeids", Integers(vec![0, 1, 2, 0, 1, 2])),
            ("nodes_featureids", Integers(vec![2, 0, 0, 1, 0, 0])),
            (
                "nodes_modes",
                Texts(vec!["BRANCH_LT", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"]),
            ),
            ("nodes_values", Floats(vec![0.5, 0.0, 0.0, 1.5, 0.0, 0.0])),
            ("nodes_truenodeids", Integers(vec![1, 0, 0, 1, 0, 0])),
            ("nodes_falsenodeids", Integers(vec![2, 0, 0, 2, 0, 0])),
            ("class_treeids", Integers(vec![0, 0, 1, 1])),
            ("class_nodeids", Integers(vec![1, 2, 1, 2])),
            ("class_ids", Integers(vec![0, 0, 0, 0])),
            ("class_weights", Floats(vec![-1.0, 1.0, -0.5, 0.5])),
            ("classlabels_int64s", Integers(vec![0, 1])),
            ("post_transform", Text("LOGISTIC")),
        ],
        before: None,
    }
}

impl Model {
    fn with(mut self, name: &'static str, list: List) -> Self {
        match self.attributes.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = list,
            None => self.attributes.push((name, list)),
        }
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let node = |operator: &str, domain: &str, input: &str, output: &str, attributes: &[(&str, List)]| {
            let mut bytes = Vec::new();
            for (number, text) in [(1, input), (2, "label"), (2, output), (4, operator), (7, domain)] {
                if text != "label" || domain == "ai.onnx.ml" {
                    field(number, text.as_bytes(), &mut bytes);
                }
            }
            for (name, list) in attributes {
                field(5, &attribute(name, list), &mut bytes);
            }
            bytes
        };
        let mut graph = Vec::new();
        if let Some(before) = self.before {
            field(1, &node(before, "", "features", "passed", &[]), &mut graph);
        }
        let input = if self.before.is_some() {
            "passed"
        } else {
            "features"
        };
        field(
            1,
            &node(
                self.operator,
                "ai.onnx.ml",
                input,
                "probabilities",
                &self.attributes,
            ),
            &mut graph,
        );
        // features: float32[N,3]
        let shape = b"\x0a\x00\x0a\x02\x08\x03";
        let (mut tensor, mut kind, mut value) = (vec![8, 1], Vec::new(), Vec::new());
        field(2, shape, &mut tensor);
        field(1, &tensor, &mut kind);
        field(1, b"features", &mut value);
        field(2, &kind, &mut value);
        field(11, &value, &mut graph);
        let mut model = vec![8, 8];
        field(7, &graph, &mut model);
        model
    }

    fn refusal(&self) -> String {
        let error = inspect(&self.bytes()).expect_err("the trees must be refused");
        assert_eq!(error.reason, Reason::NotOnnx);
        error.message
    }
}

fn integers<const N: usize>(list: [i64; N]) -> List {
    Integers(list.to_vec())
}

#[test]
fn sound_trees_pass_whatever_keeps_the_width_before_them() {
    let model = classifier();
    inspect(&model.bytes()).unwrap();
    inspect(
        &Model {
            before: Some("Identity"),
            ..model.clone()
        }
        .bytes(),
    )
    .unwrap();
    let flags = model
        .clone()
        .with("nodes_missing_value_tracks_true", integers([1, 0, 0, 0, 0, 0]));
    inspect(&flags.with("base_values", Floats(vec![0.5])).bytes()).unwrap();
    assert!(
        Model {
            before: Some("Concat"),
            ..model
        }
        .refusal()
        .contains("width is unknown")
    );
}

#[test]
fn ids_that_lead_astray_are_refused() {
    for (name, list, words) in [
        (
            "nodes_truenodeids",
            integers([7, 0, 0, 1, 0, 0]),
            "node 7 of tree 0, which does not exist",
        ),
        ("nodes_falsenodeids", integers([-1, 0, 0, 2, 0, 0]), "node -1"),
        ("nodes_truenodeids", integers([0, 0, 0, 1, 0, 0]), "circle"),
        (
            "nodes_featureids",
            integers([3, 0, 0, 1, 0, 0]),
            "column 3, the input has 3",
        ),
        ("nodes_featureids", integers([-1, 0, 0, 1, 0, 0]), "column -1"),
        (
            "nodes_featureids",
            integers([1 << 40, 0, 0, 1, 0, 0]),
            "no 32-bit number",
        ),
        (
            "nodes_nodeids",
            integers([0, 1, 1, 0, 1, 2]),
            "node 1 of tree 0 occurs twice",
        ),
        ("nodes_treeids", integers([0, 0, 1, 1, 1, 1]), "occurs twice"),
        ("class_nodeids", integers([1, 9, 1, 2]), "node 9"),
        ("class_treeids", integers([0, 0, 1, 5]), "tree 5"),
        (
            "class_ids",
            integers([0, 0, 0, 2]),
            "class or target 2, the trees have 2",
        ),
        ("class_ids", integers([0, 0, 0, -1]), "class or target -1"),
    ] {
        let message = classifier().with(name, list).refusal();
        assert!(message.contains(words), "{name}: {message} does not say {words}");
    }
}

#[test]
fn circles_behind_sound_nodes_are_found() {
    let circle = classifier()
        .with(
            "nodes_modes",
            Texts(vec![
                "BRANCH_LT",
                "BRANCH_LT",
                "LEAF",
                "BRANCH_LT",
                "LEAF",
                "LEAF",
            ]),
        )
        .with("nodes_truenodeids", integers([1, 0, 0, 1, 0, 0]))
        .with("nodes_falsenodeids", integers([2, 2, 0, 2, 0, 0]));
    assert!(circle.refusal().contains("circle"));
}

#[test]
fn absurdly_deep_trees_are_refused() {
    let count = 1100;
    let ids: Vec<i64> = (0..count).collect();
    let mut modes = vec!["BRANCH_LT"; count as usize];
    modes[count as usize - 1] = "LEAF";
    let next: Vec<i64> = (1..=count).map(|id| id.min(count - 1)).collect();
    let deep = classifier()
        .with("nodes_treeids", Integers(vec![0; count as usize]))
        .with("nodes_nodeids", Integers(ids))
        .with("nodes_featureids", Integers(vec![0; count as usize]))
        .with("nodes_values", Floats(vec![0.0; count as usize]))
        .with("nodes_modes", Texts(modes))
        .with("nodes_truenodeids", Integers(next.clone()))
        .with("nodes_falsenodeids", Integers(next))
        .with("class_treeids", integers([0]))
        .with("class_nodeids", Integers(vec![count - 1]))
        .with("class_ids", integers([0]))
        .with("class_weights", Floats(vec![1.0]));
    assert!(deep.refusal().contains("levels"));
}

#[test]
fn lists_of_different_lengths_and_unknown_words_are_refused() {
    for (name, list, words) in [
        ("nodes_treeids", integers([]), "no nodes"),
        (
            "nodes_nodeids",
            integers([0, 1, 2, 0, 1]),
            "6 nodes and 5 entries in nodes_nodeids",
        ),
        (
            "nodes_featureids",
            integers([0; 7]),
            "7 entries in nodes_featureids",
        ),
        ("nodes_values", Floats(vec![]), "0 entries in nodes_values"),
        ("nodes_modes", Texts(vec!["LEAF"]), "1 entries in nodes_modes"),
        (
            "nodes_missing_value_tracks_true",
            integers([1]),
            "1 entries in nodes_missing",
        ),
        ("nodes_hitrates", Floats(vec![1.0]), "1 entries in nodes_hitrates"),
        ("class_weights", Floats(vec![1.0]), "differ in length"),
        ("classlabels_int64s", integers([]), "0 classes"),
        ("classlabels_int64s", Integers(vec![0; 2000]), "2000 classes"),
        ("base_values", Floats(vec![0.0; 5]), "5 base values"),
        (
            "nodes_modes",
            Texts(vec!["BRANCH_LT", "LEAF", "LEAF", "BRANCH_WAT", "LEAF", "LEAF"]),
            "BRANCH_WAT",
        ),
        ("post_transform", Text("MAGIC"), "MAGIC"),
        ("nodes_values_as_tensor", Text(""), "64-bit"),
        ("surprise", Integer(1), "surprise"),
        ("target_ids", integers([0]), "target_ids"),
    ] {
        let message = classifier().with(name, list).refusal();
        assert!(message.contains(words), "{name}: {message} does not say {words}");
    }
    let mut twice = classifier();
    twice.attributes.push(("nodes_treeids", integers([0; 6])));
    assert!(twice.refusal().contains("twice"));
}

#[test]
fn regressors_are_checked_like_classifiers() {
    let mut model = classifier();
    model.operator = "TreeEnsembleRegressor";
    model
        .attributes
        .retain(|(name, _)| !name.starts_with("classlabels"));
    for (name, _) in &mut model.attributes {
        *name = match *name {
            "class_treeids" => "target_treeids",
            "class_nodeids" => "target_nodeids",
            "class_ids" => "target_ids",
            "class_weights" => "target_weights",
            "post_transform" => "aggregate_function",
            other => other,
        };
    }
    let model = model
        .with("n_targets", Integer(1))
        .with("aggregate_function", Text("SUM"));
    inspect(&model.bytes()).unwrap();
    for (name, list, words) in [
        ("n_targets", Integer(0), "0 classes or targets"),
        ("n_targets", Integer(-5), "classes or targets"),
        ("target_ids", integers([0, 0, 0, 1]), "target 1"),
        ("aggregate_function", Text("MEDIAN"), "MEDIAN"),
    ] {
        let message = model.clone().with(name, list).refusal();
        assert!(message.contains(words), "{name}: {message} does not say {words}");
    }
}
