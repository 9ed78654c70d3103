use proptest::prelude::*;

use super::*;
use crate::payload::Break;

fn refusal<T: FromStr<Err = NotAChange> + std::fmt::Debug>(text: &str) -> String {
    text.parse::<T>().unwrap_err().to_string()
}

fn file_refusal(text: &str) -> String {
    let error = File::parse(text, "s.yaml").unwrap_err();
    let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

#[test]
fn a_change_holds_on_its_days_and_no_longer() {
    let scenario = Scenario {
        drifts: vec![
            "amount_scale=1.2@3".parse().unwrap(),
            "amount_scale=2@4..6".parse().unwrap(),
        ],
        attacks: vec!["s2_rate=10@1..2".parse().unwrap()],
        ..Scenario::default()
    };
    let scales: Vec<f64> = (0..8).map(|day| scenario.amount_scale(day)).collect();
    assert_eq!(scales, [1.0, 1.0, 1.0, 1.2, 2.4, 2.4, 1.2, 1.2]);
    assert_eq!([0, 1, 2].map(|day| scenario.terminal_rate(day)), [1.0, 10.0, 1.0]);
    assert_eq!(
        (
            scenario.card_rate(1),
            scenario.card_tests(1),
            scenario.hour_shift(3)
        ),
        (1.0, 0, 0.0)
    );
}

#[test]
fn a_season_is_more_purchases_of_more_later_in_the_day() {
    let scenario = Scenario {
        seasons: vec!["5..7".parse().unwrap()],
        ..Scenario::default()
    };
    let day = |day| {
        (
            scenario.amount_scale(day),
            scenario.rate_scale(day),
            scenario.hour_shift(day),
        )
    };
    assert_eq!(day(4), (1.0, 1.0, 0.0));
    assert_eq!(day(5), (1.25, 1.4, 1.0));
}

#[test]
fn merchants_open_day_by_day() {
    let scenario = Scenario {
        growth: vec!["2@1..3".parse().unwrap(), "1@2".parse().unwrap()],
        ..Scenario::default()
    };
    assert_eq!(scenario.openings(4), [1, 1, 2, 2, 2, 3]);
    assert_eq!(scenario.new_terminals(4), 6);
}

#[test]
fn what_is_wrong_is_said_with_the_way_out() {
    assert_eq!(
        refusal::<Drift>("amount_scale=1.2"),
        "must have the form NAME=VALUE@DAYS, such as amount_scale=1.2@100"
    );
    assert_eq!(
        refusal::<Drift>("price=1.2@3"),
        "price is unknown: use amount_scale, rate_scale or hour_shift"
    );
    assert_eq!(
        refusal::<Drift>("amount_scale=NaN@3"),
        "the value must be a factor from 0.001 to 1000"
    );
    assert_eq!(
        refusal::<Attack>("s2_rate=-1@3"),
        "the value must be a factor from 0 to 1000"
    );
    assert_eq!(
        refusal::<Attack>("s2_rate=2@x"),
        "days must be DAY or FROM..UNTIL, from 0"
    );
    assert_eq!(
        refusal::<Attack>("s2_rate=2@9..3"),
        "the days end before they start: 3 must be after 9"
    );
    assert_eq!(refusal::<Season>(""), "days must be DAY or FROM..UNTIL, from 0");
    assert_eq!(refusal::<Growth>("0@3"), "the number must be 1 to 100000 a day");
    let late = Scenario {
        seasons: vec!["30..40".parse().unwrap()],
        ..Scenario::default()
    };
    assert_eq!(
        late.check(30).unwrap_err().to_string(),
        "--season @30..40: begins after the last day, 29: give more --days"
    );
}

#[test]
fn a_file_says_what_flags_say() {
    let text = "drift: [amount_scale=1.2@100]\nattack:\n- card_testing=300@120..122\nseason: [\"9..12\"]\n\
                new-merchants: [20@5]\nbreak: risk_zero\n";
    let file = File::parse(text, "s.yaml").unwrap();
    assert_eq!(file.scenario.drifts, ["amount_scale=1.2@100".parse().unwrap()]);
    assert_eq!(file.scenario.card_tests(121), 300);
    assert_eq!(file.scenario.seasons.len() + file.scenario.growth.len(), 2);
    assert_eq!(file.broken, Some(Break::RiskZero));
}

#[test]
fn a_bad_file_is_refused_with_the_field() {
    let empty = "--scenario s.yaml: is empty: give drift, attack, season, new-merchants or break";
    for text in ["", " \n", "# nothing\n", "drift: []\n"] {
        assert_eq!(file_refusal(text), empty, "{text:?}");
    }
    assert_eq!(
        file_refusal("drift: [amount_scale=1.2@9, amount_scale=@9]"),
        "--scenario s.yaml: drift[1] amount_scale=@9: the value must be a factor from 0.001 to 1000"
    );
    assert_eq!(
        file_refusal("attack: [\"s3_rate=2@7..7\"]"),
        "--scenario s.yaml: attack[0] s3_rate=2@7..7: the days end before they start: 7 must be after 7"
    );
    for (text, part) in [
        ("drifts: [a]", "drifts"),
        (
            "drift: 7",
            ": line 1 column 8: expected sequence start, in `drift: 7`",
        ),
        ("drift: [", "s.yaml"),
        ("break: nothing", "nothing"),
        ("[1, 2]", "s.yaml"),
    ] {
        let message = file_refusal(text);
        assert!(
            message.starts_with("--scenario s.yaml: ") && message.contains(part),
            "{text}: {message}"
        );
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        let _ = text.parse::<Drift>();
        let _ = text.parse::<Attack>();
        let _ = text.parse::<Growth>();
        let _ = File::parse(&text, "s.yaml");
    }
}
