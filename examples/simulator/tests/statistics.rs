//! The default data set has the statistics of the handbook's published one.
//!
//! Bounds are about four standard deviations between seeds, so they hold for any seed; three are tried.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::LazyLock,
};

use fraudops_simulator::{
    Settings, Simulation, Transactions,
    settings::{is_night, is_weekend},
};

const SEEDS: [u64; 3] = [0, 1, 2];

static DATA_SETS: LazyLock<Vec<Transactions>> = LazyLock::new(|| {
    let simulate = |seed| {
        let settings = Settings {
            seed,
            ..Settings::default()
        };
        Simulation::new(settings).expect("the settings are valid").run()
    };
    SEEDS.into_iter().map(simulate).collect()
});

/// After this day as many compromises end as begin.
const STEADY: u32 = 30;

#[track_caller]
fn within(name: &str, bounds: RangeInclusive<f64>, value: f64) {
    assert!(bounds.contains(&value), "{name} is {value}, expected {bounds:?}");
}

fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    (
        mean,
        (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt(),
    )
}

fn per_day(data: &Transactions, rows: impl Iterator<Item = usize>) -> Vec<f64> {
    let mut days = vec![0.0; Settings::default().days as usize];
    rows.for_each(|row| days[data.day(row) as usize] += 1.0);
    days
}

fn share(rows: &Transactions, holds: impl Fn(i64) -> bool) -> f64 {
    (0..rows.len())
        .filter(|&row| holds(rows.unix_seconds(row)))
        .count() as f64
        / rows.len() as f64
}

#[test]
fn rows_and_frauds_are_as_many_as_published() {
    for rows in DATA_SETS.iter() {
        let [_, amount, terminal, card, _] = rows.rows_by_scenario().map(|rows| rows as f64);
        within("rows", 1_716_000.0..=1_832_000.0, rows.len() as f64);
        within(
            "fraud rate",
            0.0080..=0.0087,
            (amount + terminal + card) / rows.len() as f64,
        );
        within("scenario 1", 700.0..=1_350.0, amount);
        within("scenario 2", 8_500.0..=9_700.0, terminal);
        within("scenario 3", 4_200.0..=5_200.0, card);
    }
}

#[test]
fn amounts_are_spread_as_published() {
    for rows in DATA_SETS.iter() {
        let amounts = rows.cents.iter().map(|&cents| cents as f64 / 100.0);
        within(
            "largest amount",
            1_100.0..=4_500.0,
            amounts.clone().fold(0.0, f64::max),
        );
        within("mean amount", 51.5..=57.0, mean_and_deviation(amounts).0);

        let mut genuine: Vec<i64> = (0..rows.len())
            .filter(|&row| !rows.is_fraud(row))
            .map(|row| rows.cents[row])
            .collect();
        genuine.sort_unstable();
        assert!(
            genuine.last().is_some_and(|&cents| cents <= 22_000),
            "genuine amounts never exceed 220"
        );
        for (quantile, published) in [
            (0.25, 20.9),
            (0.5, 44.5),
            (0.75, 76.6),
            (0.95, 129.7),
            (0.99, 167.0),
            (0.999, 203.1),
        ] {
            let cents = genuine[(quantile * genuine.len() as f64) as usize];
            within(
                &format!("quantile {quantile}"),
                published * 0.94..=published * 1.06,
                cents as f64 / 100.0,
            );
        }
    }
}

#[test]
fn days_are_alike() {
    for rows in DATA_SETS.iter() {
        let (mean, deviation) = mean_and_deviation(per_day(rows, 0..rows.len()).into_iter());
        within("rows of a day", 9_380.0..=10_010.0, mean);
        within("their deviation", 75.0..=125.0, deviation);
    }
}

#[test]
fn frauds_ramp_up_and_stay() {
    for rows in DATA_SETS.iter() {
        let frauds = per_day(rows, (0..rows.len()).filter(|&row| rows.is_fraud(row)));
        let (mean, deviation) = mean_and_deviation(frauds[STEADY as usize..].iter().copied());
        within("frauds of a day", 78.0..=92.0, mean);
        within("their deviation", 5.0..=14.0, deviation);
        within(
            "frauds of a day in the first week",
            13.0..=27.0,
            mean_and_deviation(frauds[..7].iter().copied()).0,
        );

        let mut cards: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for row in (0..rows.len()).filter(|&row| rows.is_fraud(row) && rows.day(row) >= STEADY) {
            cards.entry(rows.day(row)).or_default().insert(rows.customer[row]);
        }
        within(
            "compromised cards of a day",
            68.0..=82.0,
            mean_and_deviation(cards.values().map(|c| c.len() as f64)).0,
        );
    }
}

#[test]
fn nights_and_weekends_have_their_share() {
    for rows in DATA_SETS.iter() {
        within("share at night", 0.171..=0.177, share(rows, is_night));
        within("share on weekends", 0.286..=0.294, share(rows, is_weekend));
    }
}

#[test]
fn nearly_every_customer_buys() {
    for rows in DATA_SETS.iter() {
        let buyers = rows.customer.iter().collect::<BTreeSet<_>>().len();
        within("customers with a row", 4_980.0..=5_000.0, buyers as f64);
    }
}
