//! What customers buy, before anybody cheats.

use rand::{Rng, seq::IndexedRandom};
use rand_distr::{Distribution, Normal, Poisson};
use rayon::prelude::*;

use crate::{
    DAY,
    random::Stream,
    settings::Settings,
    transactions::Transactions,
    world::{Customer, World},
};

/// Mean and standard deviation of the second of the day: noon, and most of the waking hours.
const TIME_OF_DAY: (f64, f64) = (43_200.0, 20_000.0);
/// How long stolen cards are tried out on a day.
const TESTING_SECONDS: u32 = 3_600;
/// Code of the column `TX_FRAUD_SCENARIO`.
const CARD_TEST: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Purchase {
    seconds: u32,
    terminal: u32,
    cents: i64,
    scenario: u8,
}

/// Draws all purchases and sorts them by time, then customer, then order of drawing.
#[must_use]
pub fn transactions(world: &World, settings: &Settings, epoch: i64) -> Transactions {
    let by_customer: Vec<Vec<Purchase>> = world
        .customers
        .par_iter()
        .map(|customer| purchases(customer, settings))
        .collect();
    let tests = (0..settings.days).flat_map(|day| card_tests(day, settings));
    let purchases: Vec<(u32, Purchase)> = (0u32..)
        .zip(by_customer)
        .flat_map(|(customer, bought)| bought.into_iter().map(move |purchase| (customer, purchase)))
        .chain(tests)
        .collect();
    sorted(&purchases, epoch)
}

fn sorted(purchases: &[(u32, Purchase)], epoch: i64) -> Transactions {
    // Time above, position below: one number to sort, and the position breaks ties.
    let mut order: Vec<u64> = (0u64..)
        .zip(purchases)
        .map(|(at, (_, bought))| u64::from(bought.seconds) << 32 | at)
        .collect();
    order.par_sort_unstable();
    let mut rows = Transactions {
        epoch,
        ..Transactions::default()
    };
    rows.seconds.reserve_exact(order.len());
    rows.customer.reserve_exact(order.len());
    rows.terminal.reserve_exact(order.len());
    rows.cents.reserve_exact(order.len());
    rows.scenario.reserve_exact(order.len());
    for key in order {
        let (
            customer,
            Purchase {
                seconds,
                terminal,
                cents,
                scenario,
            },
        ) = purchases[(key & u64::from(u32::MAX)) as usize];
        rows.seconds.push(seconds);
        rows.customer.push(customer);
        rows.terminal.push(terminal);
        rows.cents.push(cents);
        rows.scenario.push(scenario);
    }
    rows
}

fn purchases(customer: &Customer, settings: &Settings) -> Vec<Purchase> {
    let scenario = &settings.scenario;
    let mut rng = customer.rng.clone();
    (0..settings.days)
        .flat_map(|day| {
            // A rate of exactly zero is no Poisson distribution, and a customer who buys nothing.
            let count = Poisson::new(customer.daily_rate * scenario.rate_scale(day));
            let today = count.map_or(0, |count| count.sample(&mut rng) as u32);
            let noon = TIME_OF_DAY.0 + scenario.hour_shift(day) * 3_600.0;
            (0..today)
                .filter_map(|_| purchase(customer, day, noon, &mut rng))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Criminals who try out stolen cards: small amounts at one terminal within an hour.
fn card_tests(day: u32, settings: &Settings) -> Vec<(u32, Purchase)> {
    let count = settings.scenario.card_tests(day);
    if count == 0 {
        return Vec::new();
    }
    let mut rng = Stream::CardTests(day).rng(settings.seed);
    let terminal = rng.random_range(0..settings.terminals);
    let begin = rng.random_range(0..DAY as u32 - TESTING_SECONDS);
    let test = |_| {
        let tested = Purchase {
            seconds: day * DAY as u32 + begin + rng.random_range(0..TESTING_SECONDS),
            terminal,
            cents: rng.random_range(50..=250),
            scenario: CARD_TEST,
        };
        (rng.random_range(0..settings.customers), tested)
    };
    (0..count).map(test).collect()
}

/// One purchase, or none when it falls outside the day or no terminal is near.
fn purchase(customer: &Customer, day: u32, noon: f64, rng: &mut impl Rng) -> Option<Purchase> {
    let second = normal(noon, TIME_OF_DAY.1, rng).trunc();
    if second <= 0.0 || second >= DAY as f64 {
        return None;
    }
    let mean = customer.mean_amount;
    let drawn = normal(mean, mean / 2.0, rng);
    let amount = if drawn < 0.0 {
        rng.random_range(0.0..2.0 * mean)
    } else {
        drawn
    };
    let terminal = *customer.reachable_on(day).choose(rng)?;
    Some(Purchase {
        seconds: second as u32 + day * DAY as u32,
        terminal,
        cents: (amount * 100.0).round() as i64,
        scenario: 0,
    })
}

fn normal(mean: f64, deviation: f64, rng: &mut impl Rng) -> f64 {
    Normal::new(mean, deviation)
        .expect("means and deviations are finite")
        .sample(rng)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_second_stay_in_the_order_of_customers() {
        let at = |seconds, terminal| Purchase {
            seconds,
            terminal,
            cents: 1,
            scenario: 0,
        };
        let rows = sorted(
            &[
                (0, at(7, 0)),
                (0, at(5, 1)),
                (1, at(7, 2)),
                (1, at(7, 3)),
                (2, at(5, 4)),
            ],
            0,
        );
        assert_eq!(rows.terminal, [1, 4, 0, 2, 3]);
        assert_eq!(rows.seconds, [5, 5, 7, 7, 7]);
        assert_eq!(rows.customer, [0, 2, 0, 1, 1]);
    }

    #[test]
    fn a_customer_far_from_every_terminal_buys_nothing() {
        let settings = Settings {
            customers: 3,
            terminals: 1,
            radius: 1e-9,
            ..Settings::default()
        };
        assert!(transactions(&World::draw(&settings), &settings, 0).is_empty());
    }
}
