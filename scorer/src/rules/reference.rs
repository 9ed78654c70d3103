//! The rules of the system that this project replaces, from the manifest that users are given.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::{fixture::*, *};

const MANIFEST: &str = include_str!("../../../examples/rules/fraudmodel.yaml");
const CUSTOMERS: [i64; 7] = [323, 1693, 4354, 4259, 3879, 3544, 2375];
const TERMINALS: [i64; 6] = [4692, 4923, 79, 3769, 5899, 9251];

fn rules() -> Rules {
    let manifest: Value = serde_yaml::from_str(MANIFEST).unwrap();
    let configs: Vec<RuleConfig> = serde_json::from_value(manifest["spec"]["rules"].clone()).unwrap();
    let lists: BTreeMap<String, ListConfig> =
        serde_json::from_value(manifest["spec"]["lists"].clone()).unwrap();
    let lists = Lists::open(&lists, std::path::Path::new("/nowhere")).unwrap();
    Rules::compile(&configs, &lists, &fields()).unwrap()
}

/// As the replaced system decides.
fn reference(customer: i64, terminal: i64, amount: f32, average: f32) -> [bool; 3] {
    let (amount, average) = (f64::from(amount), f64::from(average));
    [
        CUSTOMERS.contains(&customer),
        TERMINALS.contains(&terminal),
        average > 0.0 && amount > 100.0 && amount > 5.0 * average,
    ]
}

fn ours(rules: &Rules, customer: i64, terminal: i64, amount: f32, average: f32) -> [bool; 3] {
    let mut row = row();
    (row[0], row[6]) = (amount, average);
    let facts = Facts {
        customer,
        terminal,
        ..facts(&row)
    };
    let verdict = rules.before(&facts).and(rules.after(&facts, 0.0));
    assert_eq!(verdict.errors, 0);
    let hits = [0, 1, 2].map(|rule| verdict.hits & 1 << rule != 0);
    assert_eq!(
        verdict.action.map(|(action, _)| action),
        hits.contains(&true).then_some(Action::Block)
    );
    hits
}

#[test]
fn the_example_manifest_blocks_what_the_replaced_system_blocks() {
    let rules = rules();
    assert_eq!((rules.len(), rules.name(0)), (3, Some("blocked-customer")));
    for customer in CUSTOMERS {
        assert_eq!(ours(&rules, customer, 1, 10.0, 10.0), [true, false, false]);
    }
    for terminal in TERMINALS {
        assert_eq!(ours(&rules, 1, terminal, 10.0, 10.0), [false, true, false]);
    }
    for (amount, average, blocked) in [
        (100.5, 20.0, true),
        (100.0, 10.0, false),
        (500.0, 100.0, false),
        (500.5, 100.0, true),
        (1000.0, 0.0, false),
        (99.0, 1.0, false),
    ] {
        assert_eq!(
            ours(&rules, 1, 1, amount, average),
            [false, false, blocked],
            "{amount} {average}"
        );
    }
    assert_eq!(ours(&rules, 323, 79, 1000.0, 1.0), [true, true, true]);
}

proptest! {
    #[test]
    fn the_example_manifest_equals_the_replaced_system(
        customer in prop_oneof![proptest::sample::select(&CUSTOMERS[..]), 0..6000_i64],
        terminal in prop_oneof![proptest::sample::select(&TERMINALS[..]), 0..10_000_i64],
        amount in 0.0_f32..1000.0,
        average in prop_oneof![Just(0.0_f32), 0.0_f32..200.0],
    ) {
        let ours = ours(&rules(), customer, terminal, amount, average);
        prop_assert_eq!(ours, reference(customer, terminal, amount, average));
    }
}
