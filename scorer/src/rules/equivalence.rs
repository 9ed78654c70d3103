//! Compiled rules against the interpreter of the crate `cel`: the same condition on the same transaction gives the same.

use cel::{Context, Program, Value};
use proptest::prelude::*;

use super::{fixture::*, *};

/// One transaction that owns its row.
#[derive(Clone, Debug)]
struct Case {
    id: Option<i64>,
    datetime: Option<i64>,
    customer: i64,
    terminal: i64,
    row: [f32; 3],
    score: f32,
}

impl Case {
    fn compiled(&self, when: &str) -> Result<Option<bool>, String> {
        let fields = FieldTypes::new(["A", "B", "C"]);
        let rules = Rules::compile(
            &[rule("r", when, Action::Block, Mode::Enforce)],
            &lists(),
            &fields,
        );
        let rules = rules.map_err(|error| error.to_string())?;
        let facts = Facts {
            id: self.id,
            datetime: self
                .datetime
                .map(|second| jiff::Timestamp::from_second(second).unwrap()),
            customer: self.customer,
            terminal: self.terminal,
            time_seconds: 5,
            time_days: 0,
            row: &self.row,
        };
        let verdict = rules.before(&facts).and(rules.after(&facts, self.score));
        Ok((verdict.errors == 0).then_some(verdict.hits == 1))
    }

    fn interpreted(&self, when: &str) -> Option<bool> {
        let mut context = Context::default();
        let mut whole = |name: &str, value: Option<i64>| {
            if let Some(value) = value {
                context.add_variable_from_value(name, value);
            }
        };
        whole("TRANSACTION_ID", self.id);
        whole("CUSTOMER_ID", Some(self.customer));
        whole("TERMINAL_ID", Some(self.terminal));
        whole("TX_TIME_SECONDS", Some(5));
        whole("TX_TIME_DAYS", Some(0));
        let numbers = [
            ("A", self.row[0]),
            ("B", self.row[1]),
            ("C", self.row[2]),
            ("score", self.score),
        ];
        for (name, value) in numbers.into_iter().filter(|(_, value)| !value.is_nan()) {
            context.add_variable_from_value(name, f64::from(value));
        }
        if let Some(second) = self.datetime {
            let text = jiff::Timestamp::from_second(second).unwrap().to_string();
            let time = Program::compile(&format!("timestamp('{text}')"))
                .unwrap()
                .execute(&Context::default());
            context.add_variable_from_value("TX_DATETIME", time.unwrap());
        }
        let all = [("vip", vec![7_i64]), ("blocked", vec![1, 2, 3])];
        context.add_variable_from_value("lists", std::collections::HashMap::from(all));
        match Program::compile(when).unwrap().execute(&context) {
            Ok(Value::Bool(value)) => Some(value),
            Ok(other) => panic!("{when} gives {other:?}"),
            Err(_) => None,
        }
    }
}

fn case() -> impl Strategy<Value = Case> {
    let id = || {
        prop_oneof![
            Just(0),
            Just(1),
            Just(7),
            Just(i64::MAX),
            Just(i64::MIN),
            -9..9_i64,
            any::<i64>()
        ]
    };
    let number = || {
        prop_oneof![
            Just(0.0_f32),
            Just(-0.0),
            Just(1.0),
            Just(2.5),
            Just(f32::NAN),
            Just(f32::INFINITY),
            any::<f32>()
        ]
    };
    let datetime = proptest::option::weighted(0.9, -2_000_000_000..4_000_000_000_i64);
    (
        proptest::option::weighted(0.9, id()),
        datetime,
        id(),
        id(),
        [number(), number(), number()],
        number(),
    )
        .prop_map(|(id, datetime, customer, terminal, row, score)| Case {
            id,
            datetime,
            customer,
            terminal,
            row,
            score,
        })
}

fn one_of(all: &'static [&'static str]) -> BoxedStrategy<String> {
    proptest::sample::select(all).prop_map(String::from).boxed()
}

const ORDERS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
const PARTS: &[&str] = &[
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
];

fn pair(
    a: BoxedStrategy<String>,
    operators: &'static [&'static str],
    b: BoxedStrategy<String>,
) -> BoxedStrategy<String> {
    (a, one_of(operators), b)
        .prop_map(|(a, op, b)| format!("({a} {op} {b})"))
        .boxed()
}

fn conditional(condition: BoxedStrategy<String>, value: BoxedStrategy<String>) -> BoxedStrategy<String> {
    (condition, value.clone(), value)
        .prop_map(|(c, yes, no)| format!("({c} ? {yes} : {no})"))
        .boxed()
}

fn ints(depth: usize) -> BoxedStrategy<String> {
    let fields = one_of(&[
        "TRANSACTION_ID",
        "CUSTOMER_ID",
        "TERMINAL_ID",
        "TX_TIME_SECONDS",
        "TX_TIME_DAYS",
    ]);
    let literals = one_of(&[
        "0",
        "1",
        "2",
        "-1",
        "7",
        "42",
        "9223372036854775807",
        "-9223372036854775808",
    ]);
    // In UTC only: of another offset the interpreter gives the local hour, where the CEL specification says UTC.
    let part = (one_of(UTC), one_of(PARTS)).prop_map(|(time, part)| format!("{time}.{part}()"));
    if depth == 0 {
        return prop_oneof![2 => fields, 2 => literals, 1 => part].boxed();
    }
    let inner = ints(depth - 1);
    prop_oneof![
        2 => inner.clone(),
        3 => pair(inner.clone(), &["+", "-", "*", "/", "%"], inner.clone()),
        1 => inner.clone().prop_map(|a| format!("-({a})")),
        1 => doubles(depth - 1).prop_map(|a| format!("int({a})")),
        1 => conditional(bools(depth - 1), inner),
    ]
    .boxed()
}

fn doubles(depth: usize) -> BoxedStrategy<String> {
    let fields = one_of(&["A", "B", "C", "score"]);
    // All exact in 32 bits: the rounding of literals is our own, and tested elsewhere.
    let literals = one_of(&[
        "0.0",
        "0.5",
        "1.0",
        "-2.5",
        "100.0",
        "1e10",
        "9223372036854775808.0",
    ]);
    if depth == 0 {
        return prop_oneof![2 => fields, 1 => literals].boxed();
    }
    let inner = doubles(depth - 1);
    prop_oneof![
        2 => inner.clone(),
        3 => pair(inner.clone(), &["+", "-", "*", "/"], inner.clone()),
        1 => inner.clone().prop_map(|a| format!("-({a})")),
        1 => ints(depth - 1).prop_map(|a| format!("double({a})")),
        1 => conditional(bools(depth - 1), inner),
    ]
    .boxed()
}

const UTC: &[&str] = &["TX_DATETIME", "timestamp(\"2018-04-01T00:00:00Z\")"];

fn times(depth: usize) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        2 => one_of(UTC),
        1 => one_of(&["timestamp('1969-12-31T23:59:59.5+01:00')"]),
    ];
    let leaf = leaf.boxed();
    if depth == 0 {
        return leaf;
    }
    prop_oneof![3 => leaf, 1 => conditional(bools(depth - 1), times(depth - 1))].boxed()
}

fn bools(depth: usize) -> BoxedStrategy<String> {
    let member = ints(0).prop_flat_map(|a| {
        one_of(&["lists.vip", "lists.blocked", "[]", "[1]", "[7, -1, 0]"])
            .prop_map(move |list| format!("({a} in {list})"))
    });
    let decimal_member = doubles(0).prop_flat_map(|a| {
        one_of(&["[]", "[1.0]", "[2.5, 1, 0]"]).prop_map(move |list| format!("({a} in {list})"))
    });
    if depth == 0 {
        return prop_oneof![
            1 => one_of(&["true", "false"]),
            2 => pair(ints(0), ORDERS, ints(0)),
            3 => pair(doubles(0), ORDERS, doubles(0)),
            1 => member,
            1 => decimal_member,
        ]
        .boxed();
    }
    let inner = bools(depth - 1);
    let (whole, number, time) = (ints(depth - 1), doubles(depth - 1), times(depth - 1));
    prop_oneof![
        1 => inner.clone(),
        4 => pair(inner.clone(), &["&&", "||"], inner.clone()),
        1 => pair(inner.clone(), &["==", "!="], inner.clone()),
        1 => inner.clone().prop_map(|a| format!("!{a}")),
        1 => conditional(inner.clone(), inner),
        2 => pair(whole.clone(), ORDERS, whole.clone()),
        2 => pair(number.clone(), ORDERS, number.clone()),
        1 => pair(whole.clone(), ORDERS, number.clone()),
        1 => pair(number, ORDERS, whole),
        1 => pair(time.clone(), ORDERS, time),
        1 => member,
        1 => decimal_member,
    ]
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_compiled_condition_gives_what_the_interpreter_gives(when in bools(3), case in case()) {
        match case.compiled(&when) {
            Ok(compiled) => prop_assert_eq!(compiled, case.interpreted(&when), "{}", when),
            Err(error) => prop_assert!(error.contains("split it into several rules"), "{}: {}", when, error),
        }
    }
}
