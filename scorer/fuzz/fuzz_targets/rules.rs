//! Any text as the condition of a rule: never a panic, what is compiled is within the bound of its cost, and it means what it
//! means to the interpreter of the crate `cel`.
//!
//! What follows the first zero byte is a transaction to evaluate it on, beside a few that are always there.

#![no_main]

use std::{
    collections::{BTreeMap, HashMap},
    panic,
    path::Path,
    process,
    sync::{LazyLock, Once},
    thread,
};

use cel::{
    Context, Program, Value,
    common::ast::{Expr, IdedExpr, LiteralValue},
    parser::Parser,
};
use fraudops_scorer::rules::{
    Action, Facts, FieldTypes, ListConfig, Lists, MAX_OPERATIONS, Mode, RuleConfig, Rules,
};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

/// Bytes of the longest condition.
const MAX_BYTES: usize = 1024;
/// The interpreter and its parser recurse.
const STACK: usize = 256 << 20;

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let list = |values: &[i64]| ListConfig {
        values: values.to_vec(),
    };
    let all = BTreeMap::from([("vip".into(), list(&[7])), ("blocked".into(), list(&[1, 2, 3]))]);
    Lists::open(&all, Path::new("/nowhere")).expect("the lists are good ones")
});

fuzz_target!(|input: &[u8]| {
    expect_panics_of_the_parser();
    let (when, rest) = match input.iter().position(|byte| *byte == 0) {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &input[..0]),
    };
    let when = String::from_utf8_lossy(when);
    let rule = RuleConfig {
        name: "r".to_owned(),
        when: when.to_string(),
        action: Action::Block,
        mode: Mode::Enforce,
        reason: None,
    };
    let rules = match Rules::compile(&[rule], &LISTS, &FieldTypes::new(["A", "B", "C"])) {
        Ok(rules) => rules,
        Err(error) => {
            assert!(error.problem.len() < 3 * MAX_BYTES, "{error}");
            return;
        }
    };
    assert!(when.len() <= MAX_BYTES);
    let cases: Vec<_> = CASES.into_iter().chain([Case::read(rest)]).collect();
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("reference".into()).stack_size(STACK);
        let thread = thread.spawn_scoped(scope, || compare(&when, &rules, &cases));
        thread
            .expect("a thread")
            .join()
            .expect("its panics end the process");
    });
});

/// The parser of `cel` may panic: where the scorer calls it that is an error like others.
fn expect_panics_of_the_parser() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook(); // libFuzzer's, which ends the process
        panic::set_hook(Box::new(move |info| match thread::current().name() {
            Some("rules") => {}
            Some("reference") => {
                eprintln!("{info}");
                process::abort();
            }
            _ => usual(info),
        }));
    });
}

fn compare(when: &str, rules: &Rules, cases: &[Case]) {
    let (tree, _) = Parser::new()
        .parse_with_source_info(when)
        .expect("what was compiled can be parsed");
    let operations = operations(&tree);
    assert!(operations <= MAX_OPERATIONS, "{operations} operations: {when}");
    let program = is_comparable(&tree).then(|| Program::compile(when).expect("it can be parsed again"));
    for case in cases {
        let compiled = case.compiled(rules);
        if let Some(program) = &program {
            assert_eq!(compiled, case.interpreted(program), "{when} on {case:?}");
        }
    }
}

/// Names, numbers, operators and calls.
fn operations(node: &IdedExpr) -> usize {
    1 + children(node).into_iter().map(operations).sum::<usize>()
}

fn children(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Select(select) => vec![&*select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        _ => Vec::new(),
    }
}

/// Whether both must agree: literals that 32 bits hold exactly, and times in the one form that all parsers read alike.
fn is_comparable(node: &IdedExpr) -> bool {
    let exact = |value: f64| f64::from(value as f32) == value;
    let itself = match &node.expr {
        Expr::Literal(LiteralValue::Int(value)) => exact(*value.inner() as f64),
        Expr::Literal(LiteralValue::Double(value)) => exact(*value.inner()),
        Expr::Literal(LiteralValue::String(text)) => is_plain_time(text.inner().as_bytes()),
        _ => true,
    };
    itself && children(node).into_iter().all(is_comparable)
}

/// `2026-11-01T00:00:00Z`, of this millennium.
fn is_plain_time(text: &[u8]) -> bool {
    let pattern = b"2000-00-00T00:00:00Z";
    text.len() == pattern.len()
        && text[0] == b'2'
        && text.iter().zip(pattern).all(|(byte, wanted)| match wanted {
            b'0' | b'2' => byte.is_ascii_digit(),
            other => byte == other,
        })
        && !text.ends_with(b"60Z") // a leap second
}

/// One transaction.
#[derive(Clone, Copy, Debug)]
struct Case {
    id: Option<i64>,
    second: Option<i64>,
    customer: i64,
    terminal: i64,
    row: [f32; 3],
    score: f32,
}

const CASES: [Case; 4] = [
    Case {
        id: Some(1),
        second: Some(1_522_624_531), // Sunday, 1 April 2018, 23:15:31 UTC
        customer: 7,
        terminal: 43,
        row: [10.0, 0.0, 2.5],
        score: 0.25,
    },
    Case {
        id: None,
        second: None,
        customer: 1,
        terminal: 0,
        row: [f32::NAN, -0.0, f32::INFINITY],
        score: f32::NAN,
    },
    Case {
        id: Some(i64::MAX),
        second: Some(-1),
        customer: i64::MIN,
        terminal: -1,
        row: [f32::MAX, f32::MIN_POSITIVE, f32::NEG_INFINITY],
        score: 1.0,
    },
    Case {
        id: Some(0),
        second: Some(951_782_399), // the last second of 28 February 2000
        customer: 2,
        terminal: 3,
        row: [1.0, 1.0, 1.0],
        score: 0.0,
    },
];

impl Case {
    fn read(bytes: &[u8]) -> Self {
        let word = |at: usize| {
            let eight = bytes.get(8 * at..).and_then(|rest| rest.first_chunk());
            i64::from_le_bytes(*eight.unwrap_or(&[0; 8]))
        };
        let number = |at: usize| f32::from_bits(word(at) as u32);
        Self {
            id: (word(0) != 0).then_some(word(0)),
            second: (word(1) != 0).then_some(word(1) % 4_000_000_000),
            customer: word(2),
            terminal: word(3),
            row: [number(4), number(5), number(6)],
            score: number(7),
        }
    }

    fn compiled(&self, rules: &Rules) -> Option<bool> {
        let facts = Facts {
            id: self.id,
            datetime: self.second.and_then(|second| Timestamp::from_second(second).ok()),
            customer: self.customer,
            terminal: self.terminal,
            time_seconds: 5,
            time_days: 0,
            row: &self.row,
        };
        let verdict = rules.before(&facts).and(rules.after(&facts, self.score));
        assert_eq!(verdict.hits & verdict.errors, 0);
        (verdict.errors == 0).then_some(verdict.hits == 1)
    }

    fn interpreted(&self, program: &Program) -> Option<bool> {
        let mut context = Context::default();
        let whole = [
            ("TRANSACTION_ID", self.id),
            ("CUSTOMER_ID", Some(self.customer)),
            ("TERMINAL_ID", Some(self.terminal)),
            ("TX_TIME_SECONDS", Some(5)),
            ("TX_TIME_DAYS", Some(0)),
        ];
        for (name, value) in whole {
            if let Some(value) = value {
                context.add_variable_from_value(name, value);
            }
        }
        let [a, b, c] = self.row;
        let numbers = [("A", a), ("B", b), ("C", c), ("score", self.score)];
        for (name, value) in numbers.into_iter().filter(|(_, value)| !value.is_nan()) {
            context.add_variable_from_value(name, f64::from(value));
        }
        if let Some(time) = self.second.and_then(interpreted_time) {
            context.add_variable_from_value("TX_DATETIME", time);
        }
        let lists = HashMap::from([("vip", vec![7_i64]), ("blocked", vec![1, 2, 3])]);
        context.add_variable_from_value("lists", lists);
        match program.execute(&context) {
            Ok(Value::Bool(value)) => Some(value),
            Ok(other) => panic!("a condition gives {other:?}"),
            Err(_) => None,
        }
    }
}

fn interpreted_time(second: i64) -> Option<Value> {
    let text = Timestamp::from_second(second).ok()?.to_string();
    let program = Program::compile(&format!("timestamp('{text}')")).ok()?;
    program.execute(&Context::default()).ok()
}
