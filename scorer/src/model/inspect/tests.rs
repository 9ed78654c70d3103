use proptest::prelude::*;

use super::*;

const TINY: &[u8] = include_bytes!("../../../tests/fixtures/tiny.onnx");

fn message(bytes: &[u8]) -> String {
    let error = inspect(bytes).expect_err("the file must be refused");
    assert_eq!(error.reason, Reason::NotOnnx);
    error.message
}

/// A field of wire type 2.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mut value in [u64::from(number) << 3 | 2, content.len() as u64] {
        while value > 0x7f {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
    }
    bytes.extend_from_slice(content);
    bytes
}

fn model(graph: &[u8]) -> Vec<u8> {
    [vec![0x08, 8], field(7, graph)].concat()
}

/// A node with one attribute.
fn node(attribute: &[u8]) -> Vec<u8> {
    field(1, &field(5, attribute))
}

#[test]
fn a_good_model_shows_its_inputs_outputs_and_metadata() {
    let outline = inspect(TINY).unwrap();
    let show = |values: &[(String, ValueType)]| -> Vec<String> {
        values.iter().map(|(n, t)| format!("{n} {t}")).collect()
    };
    assert_eq!(show(&outline.inputs), ["features float32[N,15]"]);
    assert_eq!(
        show(&outline.outputs),
        ["label int64[N]", "probabilities float32[N,2]"]
    );
    assert_eq!(outline.metadata["fraudops.dev/schema"], "v1");
    assert_eq!((outline.nodes, outline.ir_version), (1, 8));
}

#[test]
fn every_truncation_is_refused_or_lost_only_its_tail_of_metadata() {
    let whole = inspect(TINY).unwrap();
    for length in 0..TINY.len() {
        if let Ok(part) = inspect(&TINY[..length]) {
            assert!(
                part.metadata.len() < whole.metadata.len(),
                "{length} bytes passed for the whole file"
            );
        }
    }
}

#[test]
fn what_is_no_onnx_is_refused() {
    for bytes in [
        &b""[..],
        b"not a model at all",
        b"\x89PNG\r\n\x1a\n",
        b"{}",
        b"PK\x03\x04",
        &[0; 64],
        &[0xff; 64],
    ] {
        message(bytes);
    }
}

#[test]
fn files_that_point_outside_are_refused_wherever_the_tensor_hides() {
    let outside = field(
        13,
        &[field(1, b"location"), field(2, b"../../etc/passwd")].concat(),
    );
    let flagged = vec![0x70, 1];
    for tensor in [&outside, &flagged] {
        let nested = field(6, &field(5, tensor));
        for graph in [
            field(5, tensor),
            field(15, &field(1, tensor)),
            field(15, &field(2, tensor)),
            node(&field(5, tensor)),
            node(&field(10, tensor)),
            node(&field(22, &field(1, tensor))),
            node(&field(23, &field(2, tensor))),
            node(&nested),
            node(&field(11, &node(&field(5, tensor)))),
        ] {
            assert!(message(&model(&graph)).contains("outside the file"));
        }
    }
    let address = field(
        13,
        &[field(1, b"location"), field(2, b"*/_ORT_MEM_ADDR_/*")].concat(),
    );
    assert!(message(&model(&field(5, &address))).contains("address in memory"));
}

#[test]
fn foreign_domains_functions_and_training_graphs_are_refused() {
    assert!(message(&model(&field(1, &field(7, b"com.example")))).contains("com.example"));
    let opset = [model(&[]), field(8, &field(1, b"com.microsoft"))].concat();
    assert!(message(&opset).contains("com.microsoft"));
    assert!(message(&[model(&[]), field(25, &[])].concat()).contains("functions"));
    assert!(message(&[model(&[]), field(20, &[])].concat()).contains("training"));
    assert!(message(&[model(&[]), model(&[])].concat()).contains("more than one graph"));
}

#[test]
fn absurd_nesting_and_sizes_are_refused() {
    let mut graph = Vec::new();
    for _ in 0..70 {
        graph = node(&field(6, &graph));
    }
    assert!(message(&model(&graph)).contains("nested deeper"));
    let nodes = field(1, &field(4, b"Identity")).repeat(MAX_TEST_NODES);
    assert!(message(&model(&nodes)).contains("nodes"));
    let overflow = field(
        1,
        &[
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f,
        ],
    );
    assert!(message(&model(&field(5, &overflow))).contains("impossible size"));
    let negative = field(1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    assert!(message(&model(&field(5, &negative))).contains("impossible size"));
}

#[test]
fn operators_that_no_fraud_model_needs_are_refused() {
    for operator in ["Loop", "If", "RandomNormal", "Rm -rf", ""] {
        let message = message(&model(&field(1, &field(4, operator.as_bytes()))));
        assert!(message.contains(&format!("operator `{operator}`")), "{message}");
    }
    let scaler_without_its_domain = model(&field(1, &field(4, b"Scaler")));
    assert!(message(&scaler_without_its_domain).contains("Scaler"));
    let known = [field(4, b"Scaler"), field(7, b"ai.onnx.ml")].concat();
    assert!(inspect(&model(&field(1, &known))).is_ok());
}

#[test]
fn a_tensor_with_more_elements_than_the_file_has_bytes_is_refused() {
    let million = field(1, &[0xc0, 0x84, 0x3d]);
    assert!(message(&model(&field(5, &million))).contains("impossible size"));
    let thousand = [field(1, &[0xe8, 0x07]), field(9, &[0; 4000])].concat();
    assert!(inspect(&model(&field(5, &thousand))).is_ok());
    let sparse = [field(3, &[0x80, 0x80, 0x80, 0x20])].concat();
    assert!(message(&model(&field(15, &sparse))).contains("sparse"));
}

const MAX_TEST_NODES: usize = 1_000_001;

#[test]
fn the_default_domain_may_be_imported_twice() {
    let twice = [model(&[]), field(8, &[]), field(8, &[])].concat();
    assert!(inspect(&twice).is_ok(), "some exporters write it twice");
}

const QUICKSTART: &[u8] = include_bytes!("../../../../examples/quickstart/model/card-fraud-2026.11.1.onnx");

#[test]
fn real_models_pass() {
    for bytes in [TINY, QUICKSTART] {
        assert!(inspect(bytes).is_ok());
    }
}

/// What the tree engine makes of bytes that pass the inspection: it reads them too, and must not panic either.
fn grow(bytes: &[u8]) {
    if inspect(bytes).is_ok() {
        let shape = crate::model::Shape {
            input: "features".into(),
            width: 15,
            output: "probabilities".into(),
            column: 1,
        };
        if let Ok(mut engine) = crate::engine::tree::native(bytes, &shape) {
            let _ = crate::engine::Engine::score(&mut engine, &[0.0; 15], &mut Vec::new());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = inspect(&bytes);
    }

    #[test]
    fn no_damage_makes_it_panic(at in 0..TINY.len(), byte in any::<u8>()) {
        let mut bytes = TINY.to_vec();
        bytes[at] = byte;
        grow(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_flipped_bits_of_a_real_model_make_it_panic_or_hang(
        flips in proptest::collection::vec((0..QUICKSTART.len(), 0..8_u8), 1..8)
    ) {
        let mut bytes = QUICKSTART.to_vec();
        for (at, bit) in flips {
            bytes[at] ^= 1 << bit;
        }
        grow(&bytes);
    }

    #[test]
    fn no_missing_bytes_of_a_real_model_make_it_panic_or_hang(at in 0..QUICKSTART.len(), length in 1..64_usize) {
        let mut bytes = QUICKSTART.to_vec();
        bytes.drain(at..(at + length).min(QUICKSTART.len()));
        grow(&bytes);
    }
}
