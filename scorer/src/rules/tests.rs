use proptest::prelude::*;

use super::{fixture::*, *};
use crate::decision::Decision;

/// What one condition gives for the transaction of the fixture, with a score of 0.25: a hit, none, or no result.
fn outcome(when: &str) -> Option<bool> {
    let rules =
        compile(&[rule("r", when, Action::Block, Mode::Enforce)]).unwrap_or_else(|e| panic!("{when}: {e}"));
    let row = row();
    let verdict = rules.before(&facts(&row)).and(rules.after(&facts(&row), 0.25));
    match (verdict.hits, verdict.errors) {
        (0, 0) => Some(false),
        (1, 0) => Some(true),
        (0, 1) => None,
        other => panic!("{when}: {other:?}"),
    }
}

fn problem(when: &str) -> String {
    let error = compile(&[rule("r", when, Action::Block, Mode::Enforce)]);
    error
        .err()
        .unwrap_or_else(|| panic!("{when} was compiled"))
        .to_string()
}

#[test]
fn conditions_mean_what_they_say() {
    for (when, expected) in [
        ("TX_AMOUNT > 9.5 && TX_AMOUNT <= 10.0", true),
        ("TX_AMOUNT == 10", true),
        ("TX_DURING_WEEKEND == 1 && TX_DURING_NIGHT != 1", true),
        ("TX_AMOUNT > 2.0 * CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW", false),
        ("CUSTOMER_ID in lists.vip", false),
        (
            "CUSTOMER_ID - 41 in lists.blocked && !(TERMINAL_ID in lists.blocked)",
            true,
        ),
        ("CUSTOMER_ID in [1, 42, 7]", true),
        ("CUSTOMER_ID in []", false),
        ("TX_AMOUNT in [10, 11.5]", true),
        ("TERMINAL_ID % 2 == 1 && TERMINAL_ID / 2 == 21", true),
        ("TX_TIME_SECONDS * 2 - -1 == 63 && TX_TIME_DAYS + 1 == 1", true),
        ("(TX_AMOUNT > 100.0 ? CUSTOMER_ID : TERMINAL_ID) == 43", true),
        ("(TX_AMOUNT > 5.0 ? TX_AMOUNT : score) > 5.0", true),
        (
            "int(TX_AMOUNT / 3.0) == 3 && double(CUSTOMER_ID) / 4.0 == 10.5",
            true,
        ),
        ("TRANSACTION_ID == 1 && -CUSTOMER_ID < 0 && -TX_AMOUNT < 0", true),
        (
            "TX_DATETIME.getHours() >= 22 && TX_DATETIME.getDayOfWeek() == 0",
            true,
        ),
        (
            "TX_DATETIME.getFullYear() == 2018 && TX_DATETIME.getMonth() == 3",
            true,
        ),
        (
            "TX_DATETIME.getDate() == 1 && TX_DATETIME.getDayOfMonth() == 0",
            true,
        ),
        (
            "TX_DATETIME.getMinutes() == 15 && TX_DATETIME.getSeconds() == 31",
            true,
        ),
        ("TX_DATETIME < timestamp(\"2018-04-02T00:00:00+00:00\")", true),
        ("timestamp(\"2018-04-02T00:30:00+02:00\").getHours() == 22", true),
        ("(TX_AMOUNT > 1.0) != (score > 0.5) && (true == true)", true),
        ("score >= 0.25 && score < 0.3", true),
        ("TX_AMOUNT\n  > // a comment\n  1.0", true),
    ] {
        assert_eq!(outcome(when), Some(expected), "{when}");
    }
}

#[test]
fn a_literal_is_compared_in_the_precision_of_the_input() {
    let rules = compile(&[
        rule("a", "TX_AMOUNT >= 99.99", Action::Block, Mode::Enforce),
        rule(
            "b",
            "99.99 == TX_AMOUNT && TX_AMOUNT in [99.99]",
            Action::Block,
            Mode::Enforce,
        ),
        rule("c", "score < 0.7", Action::Block, Mode::Enforce),
    ]);
    let row = [99.99; 15];
    let rules = rules.unwrap();
    assert_eq!(rules.before(&facts(&row)).hits, 0b011);
    assert_eq!(rules.after(&facts(&row), 0.7).hits, 0);
}

#[test]
fn what_has_no_result_is_no_hit_and_is_counted() {
    for when in [
        "TERMINAL_ID / (CUSTOMER_ID - 42) == 1",
        "TERMINAL_ID % (CUSTOMER_ID - 42) == 1",
        "TERMINAL_ID + 9223372036854775807 > 0",
        "TERMINAL_ID * 9223372036854775807 > 0",
        "-9223372036854775807 - TERMINAL_ID < 0",
        "int(TX_AMOUNT * 1e300) > 0",
        "(TX_AMOUNT - 10.0) / (TX_AMOUNT - 10.0) > 0.0",
        "!(TERMINAL_ID / 0 == 1)",
        "(TERMINAL_ID / 0 == 1) && true",
        "(TERMINAL_ID / 0 == 1) || false",
        "TERMINAL_ID / 0 == 1 ? true : true",
    ] {
        assert_eq!(outcome(when), None, "{when}");
    }
    for (when, expected) in [
        ("(TERMINAL_ID / 0 == 1) && false", false),
        ("(TERMINAL_ID / 0 == 1) || true", true),
        ("false && (TERMINAL_ID / 0 == 1)", false),
        ("true ? true : (TERMINAL_ID / 0 == 1)", true),
        ("TX_AMOUNT / 0.0 > 5.0", true),
    ] {
        assert_eq!(outcome(when), Some(expected), "{when}");
    }
}

#[test]
fn a_missing_value_has_no_result() {
    let rules = compile(&[
        rule("amount", "TX_AMOUNT > 1.0", Action::Block, Mode::Enforce),
        rule("not-amount", "!(TX_AMOUNT > 1.0)", Action::Block, Mode::Enforce),
        rule("id", "TRANSACTION_ID > 0", Action::Block, Mode::Enforce),
        rule("time", "TX_DATETIME.getHours() > 0", Action::Block, Mode::Enforce),
        rule(
            "short-row",
            "TERMINAL_ID_RISK_30DAY_WINDOW > 0.0",
            Action::Block,
            Mode::Enforce,
        ),
        rule(
            "guarded",
            "CUSTOMER_ID == 42 || TX_AMOUNT > 1.0",
            Action::Block,
            Mode::Enforce,
        ),
        rule("score", "score > 0.0", Action::Block, Mode::Enforce),
    ])
    .unwrap();
    let row = [f32::NAN];
    let facts = Facts {
        id: None,
        datetime: None,
        ..facts(&row)
    };
    let verdict = rules.before(&facts).and(rules.after(&facts, f32::NAN));
    assert_eq!((verdict.hits, verdict.errors), (0b010_0000, 0b101_1111));
}

#[test]
fn what_is_wrong_with_a_condition_is_told_with_its_place_and_the_way_out() {
    for (when, told) in [
        (
            "TX_AMUONT > 1.0",
            "rule `r`: line 1, column 1: there is no field TX_AMUONT; there are TRANSACTION_ID,",
        ),
        (
            "TX_AMOUNT > 1.0 &&\n FOO == 1",
            "line 2, column 2: there is no field FOO",
        ),
        ("tx_amount > 1.0", "there is no field tx_amount"),
        (".TX_AMOUNT > 1.0", "there is no field .TX_AMOUNT"),
        (
            "CUSTOMER_ID in lists.blokced",
            "there is no list blokced in spec.lists; there are: blocked, vip",
        ),
        ("lists.vip == 1", "a list may only stand to the right of `in`"),
        ("lists == 1", "write `CUSTOMER_ID in lists.<name>`"),
        ("TX_AMOUNT in lists.vip", "lists hold ints"),
        ("TX_DATETIME in [1]", "`in` needs a number, this is timestamp"),
        ("CUSTOMER_ID in [1.5]", "must hold int literals"),
        ("TX_AMOUNT in [TX_AMOUNT]", "must hold number literals"),
        ("CUSTOMER_ID in CUSTOMER_ID", "to the right of `in`"),
        ("[1, 2] == 1", "a list may only stand"),
        ("CUSTOMER_ID == \"42\"", "no field is a text"),
        ("CUSTOMER_ID == null", "no field is null"),
        ("CUSTOMER_ID == b\"x\"", "no field holds bytes"),
        ("CUSTOMER_ID == 5u", "write 5 instead of 5u"),
        (
            "TX_AMOUNT > 5 * TX_AMOUNT",
            "line 1, column 15: this cannot be computed from int and double: write 5.0 instead of 5",
        ),
        ("(true ? 1 : 1.0) == 1", "write 5.0 instead of 5"),
        ("TX_AMOUNT % 2.0 == 0.0", "% needs two ints"),
        (
            "CUSTOMER_ID == (TX_AMOUNT > 1.0)",
            "int and bool cannot be compared",
        ),
        ("true < false", "bool and bool cannot be compared"),
        ("TX_DATETIME > 1", "timestamp and int cannot be compared"),
        (
            "TX_AMOUNT",
            "the condition gives double, it must give true or false",
        ),
        (
            "TX_AMOUNT && true",
            "true or false is needed here, this is double",
        ),
        ("!CUSTOMER_ID", "true or false is needed here, this is int"),
        ("-TX_DATETIME == 1", "- needs a number"),
        ("foo(1)", "there is no function foo with 1 argument(s)"),
        ("int(1, 2) == 1", "there is no function int with 2 argument(s)"),
        ("int(TX_DATETIME) == 1", "int() needs a number"),
        ("double(true) == 1", "double() needs a number"),
        ("TX_DATETIME > timestamp(\"yesterday\")", "no RFC 3339 timestamp"),
        (
            "TX_DATETIME > timestamp(TX_TIME_SECONDS)",
            "timestamp() needs a text",
        ),
        ("TX_DATETIME.getEra() == 1", "there is no function .getEra()"),
        (
            "TX_AMOUNT.getHours() == 1",
            "getHours() needs a timestamp, this is double",
        ),
        (
            "TX_DATETIME.getHours(\"Europe/Berlin\") == 1",
            "takes no time zone",
        ),
        ("\"abc\".matches(\"a*\")", "there is no function .matches()"),
        ("has(lists.vip)", "has() is not possible"),
        ("TX_AMOUNT.cents == 1", "there is no field .cents"),
        ("[1, 2].all(x, x > 1)", "loops"),
        ("{1: 2} == 1", "maps and messages"),
        ("TX_AMOUNT[0] == 1", "[ ] is not possible"),
        ("TX_AMOUNT >", "this is no CEL expression"),
        ("", "the condition is empty"),
    ] {
        let problem = problem(when);
        assert!(problem.contains(told), "{when}: {problem}");
    }
    let long = problem(&vec!["CUSTOMER_ID == 1"; 40].join(" || "));
    assert!(long.contains("159 operations, more than 128"), "{long}");
}

#[test]
fn the_order_is_allow_block_review_and_shadow_rules_only_count() {
    let rules = compile(&[
        rule("review-late", "TX_AMOUNT > 100.0", Action::Review, Mode::Enforce),
        rule("review-score", "score > 0.2", Action::Review, Mode::Enforce),
        rule(
            "block",
            "CUSTOMER_ID in lists.blocked",
            Action::Block,
            Mode::Enforce,
        ),
        rule("block-score", "score > 0.9", Action::Block, Mode::Enforce),
        rule(
            "allow-score",
            "CUSTOMER_ID in lists.vip && score < 0.5",
            Action::Allow,
            Mode::Enforce,
        ),
        rule("allow-shadow", "true", Action::Allow, Mode::Shadow),
    ])
    .unwrap();
    let decide = |customer, amount, score: f32, band| {
        let mut row = row();
        row[0] = amount;
        let facts = Facts {
            customer,
            ..facts(&row)
        };
        let verdict = rules.before(&facts).and(rules.after(&facts, score));
        assert_ne!(verdict.hits & 1 << 5, 0, "a shadow hit is counted");
        (
            verdict.action.map(|(_, rule)| rule),
            verdict.hit_rules().count() - 1,
            verdict.decide(band),
        )
    };
    use Decision::{Approve, Block, Review};
    assert_eq!(decide(42, 1.0, 0.1, Approve), (None, 0, Approve));
    assert_eq!(decide(42, 101.0, 0.1, Approve), (Some(0), 1, Review));
    assert_eq!(decide(42, 101.0, 0.8, Block), (Some(0), 2, Block));
    assert_eq!(decide(42, 1.0, 0.3, Approve), (Some(1), 1, Review));
    assert_eq!(decide(1, 101.0, 0.95, Block), (Some(2), 4, Block));
    assert_eq!(decide(42, 1.0, 0.95, Block), (Some(3), 2, Block));
    assert_eq!(decide(7, 101.0, 0.4, Review), (Some(4), 3, Approve));
    assert_eq!(
        (rules.name(4), rules.kind(5)),
        (Some("allow-score"), Some((Action::Allow, Mode::Shadow)))
    );
    assert_eq!((rules.len(), rules.name(6), rules.reason(0)), (6, None, None));
}

#[test]
fn without_rules_nothing_is_said() {
    let rules = compile(&[]).unwrap();
    assert!(rules.is_empty());
    assert_eq!(rules.before(&facts(&row())), Verdict::default());
}

#[test]
fn the_longest_conditions_are_parsed_in_a_bounded_time_or_refused() {
    let started = std::time::Instant::now();
    for when in [
        "a?b:".repeat(250) + "c",
        "-".repeat(1000) + "1",
        "!".repeat(1000) + "a",
        "a.".repeat(500) + "a",
        "a[".repeat(16) + "1" + &"]".repeat(16),
        "((((((((1+1))))))))*".repeat(40) + "1",
        "{1:".repeat(16) + "1" + &"}".repeat(16),
        "a(".repeat(16) + &")".repeat(16),
    ] {
        let _ = compile(&[rule("r", &when, Action::Block, Mode::Enforce)]);
    }
    assert!(started.elapsed().as_secs() < 20);
}

/// Pieces of conditions, so that a good part of what is thrown together gets past the parser.
const PIECES: [&str; 44] = [
    "TX_AMOUNT",
    "CUSTOMER_ID",
    "TX_DATETIME",
    "score",
    "lists.vip",
    "lists",
    "1",
    "1.5",
    "-9223372036854775808",
    "0",
    "1e308",
    "5u",
    "\"a\"",
    "'b'",
    "b'c'",
    "null",
    "true",
    "false",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "<",
    "==",
    "in",
    "?",
    ":",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    "int(",
    "timestamp(",
    ".getHours()",
    "has(",
    ".all(x, ",
];

proptest! {
    #[test]
    fn any_text_is_compiled_or_refused(when in ".{0,60}") {
        let _ = compile(&[rule("r", &when, Action::Block, Mode::Enforce)]);
    }

    #[test]
    fn any_bytes_are_compiled_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let when = String::from_utf8_lossy(&bytes);
        let _ = compile(&[rule(&when, "true", Action::Block, Mode::Enforce)]);
        let _ = compile(&[rule("r", &when, Action::Block, Mode::Enforce)]);
        let printable: String = bytes.iter().map(|byte| char::from(byte % 95 + 32)).collect();
        let _ = compile(&[rule("r", &printable, Action::Block, Mode::Enforce)]);
    }

    #[test]
    fn any_sequence_of_pieces_is_compiled_or_refused_and_then_evaluated(
        pieces in proptest::collection::vec(0..PIECES.len(), 1..24),
        customer in any::<i64>(),
        amount in any::<f32>(),
    ) {
        let when: Vec<_> = pieces.iter().map(|piece| PIECES[*piece]).collect();
        if let Ok(rules) = compile(&[rule("r", &when.join(" "), Action::Block, Mode::Enforce)]) {
            let row = [amount];
            let facts = Facts { customer, ..facts(&row) };
            let verdict = rules.before(&facts).and(rules.after(&facts, amount));
            prop_assert!(verdict.hits & verdict.errors == 0);
        }
    }
}
