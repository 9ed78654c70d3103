//! Scenarios change what they name, on their days, and nothing else.

use fraudops_simulator::{Features, Scenario, Settings, Simulation, Transactions};

fn settings(scenario: Scenario) -> Settings {
    Settings {
        customers: 300,
        terminals: 200,
        days: 60,
        radius: 15.0,
        scenario,
        ..Settings::default()
    }
}

fn simulate(scenario: Scenario) -> Transactions {
    Simulation::new(settings(scenario)).expect("valid settings").run()
}

fn on(rows: &Transactions, days: std::ops::Range<u32>) -> impl Iterator<Item = usize> {
    (0..rows.len()).filter(move |&row| days.contains(&rows.day(row)))
}

#[test]
fn an_amount_drift_scales_amounts_from_its_day_on_and_leaves_the_truth() {
    let plain = simulate(Scenario::default());
    let drifted = simulate(Scenario {
        drifts: vec!["amount_scale=2@30".parse().expect("a drift")],
        ..Scenario::default()
    });
    assert_eq!(plain.scenario, drifted.scenario);
    assert_eq!(plain.terminal, drifted.terminal);
    for row in 0..plain.len() {
        let factor = if plain.day(row) < 30 { 1 } else { 2 };
        assert_eq!(drifted.cents[row], plain.cents[row] * factor);
    }
}

#[test]
fn a_season_has_more_purchases_of_more_and_later() {
    let rows = simulate(Scenario {
        seasons: vec!["30..40".parse().expect("days")],
        ..Scenario::default()
    });
    let mean = |days: std::ops::Range<u32>, value: &dyn Fn(usize) -> f64| {
        let count = on(&rows, days.clone()).count() as f64;
        on(&rows, days).map(value).sum::<f64>() / count
    };
    let count = |days| on(&rows, days).count() as f64;
    let more = count(30..40) / count(20..30);
    assert!((1.25..1.55).contains(&more), "{more}");
    let amount = |row: usize| rows.cents[row] as f64;
    let dearer = mean(30..40, &amount) / mean(20..30, &amount);
    assert!((1.1..1.4).contains(&dearer), "{dearer}");
    let second = |row: usize| f64::from(rows.seconds[row] % 86_400);
    assert!(mean(30..40, &second) > mean(20..30, &second) + 1_000.0);
    assert!((count(40..50) / count(20..30) - 1.0).abs() < 0.12);
}

#[test]
fn a_fraud_wave_multiplies_the_frauds_of_its_days() {
    let plain = simulate(Scenario::default());
    let wave = simulate(Scenario {
        attacks: vec!["s2_rate=5@30..37".parse().expect("an attack")],
        ..Scenario::default()
    });
    let at_terminals =
        |rows: &Transactions, days| on(rows, days).filter(|&row| rows.scenario[row] == 2).count();
    assert_eq!(at_terminals(&plain, 0..30), at_terminals(&wave, 0..30));
    assert!(at_terminals(&wave, 36..50) > at_terminals(&plain, 36..50) * 3 / 2);
}

#[test]
fn tested_cards_are_small_amounts_at_one_terminal_within_an_hour() {
    let plain = simulate(Scenario::default());
    let rows = simulate(Scenario {
        attacks: vec!["card_testing=50@30..32".parse().expect("an attack")],
        ..Scenario::default()
    });
    assert_eq!(rows.len(), plain.len() + 100);
    for day in 30..32 {
        let tests: Vec<usize> = on(&rows, day..day + 1)
            .filter(|&row| rows.scenario[row] == 4)
            .collect();
        assert!(
            (40..=50).contains(&tests.len()),
            "others may take rows over: {}",
            tests.len()
        );
        let terminal = rows.terminal[tests[0]];
        for &test in &tests {
            assert_eq!(rows.terminal[test], terminal);
            assert!((50..=250).contains(&rows.cents[test]));
            assert!(rows.seconds[test] - rows.seconds[tests[0]] < 3_600);
        }
    }
}

#[test]
fn new_merchants_sell_from_the_day_they_open_on() {
    let scenario = Scenario {
        growth: vec!["10@30..40".parse().expect("a growth")],
        ..Scenario::default()
    };
    let rows = simulate(scenario.clone());
    let settings = settings(scenario);
    assert_eq!(settings.all_terminals(), 300);
    let mut first = vec![None; 300];
    for row in 0..rows.len() {
        first[rows.terminal[row] as usize].get_or_insert(rows.day(row));
    }
    let opened: Vec<u32> = (0..100).filter_map(|new| first[200 + new]).collect();
    assert!(opened.len() > 90, "{}", opened.len());
    assert!((0..100).all(|new| first[200 + new].is_none_or(|day| day >= 30 + new as u32 / 10)));
    assert_eq!(Features::compute(&rows, &settings).terminal.len(), rows.len());
}

#[test]
fn the_same_scenario_gives_the_same_rows() {
    let scenario = || Scenario {
        drifts: vec!["rate_scale=1.5@20".parse().expect("a drift")],
        attacks: vec![
            "card_testing=20@10".parse().expect("an attack"),
            "s3_rate=3@9..12".parse().expect("one"),
        ],
        growth: vec!["3@5..25".parse().expect("a growth")],
        ..Scenario::default()
    };
    assert_eq!(simulate(scenario()), simulate(scenario()));
}
