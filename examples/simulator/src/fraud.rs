//! The three kinds of fraud, laid over genuine transactions. Later kinds take over rows of earlier ones.

use std::ops::Range;

use rand::{Rng, seq::index};

use crate::{grouping::Grouping, random::Stream, settings::Settings, transactions::Transactions};

/// An amount above this many cents is fraud.
const AMOUNT_LIMIT: i64 = 22_000;
const TERMINALS_PER_DAY: usize = 2;
const TERMINAL_DAYS: u32 = 28;
const CARDS_PER_DAY: usize = 3;
const CARD_DAYS: u32 = 14;
/// Of the rows of compromised cards, one in this many is fraud.
const CARD_SHARE: usize = 3;
const CARD_FACTOR: i64 = 5;

/// Code of the column `TX_FRAUD_SCENARIO`.
const AMOUNT: u8 = 1;
const TERMINAL: u8 = 2;
const CARD: u8 = 3;

/// Marks the frauds, and multiplies the amounts of stolen cards. The last day starts no new compromise, as in
/// the handbook's data.
pub fn commit(rows: &mut Transactions, settings: &Settings) {
    commit_by_amount(rows);
    commit_at_terminals(rows, settings);
    commit_by_card(rows, settings);
}

fn commit_by_amount(rows: &mut Transactions) {
    for (scenario, cents) in rows.scenario.iter_mut().zip(&rows.cents) {
        if *cents > AMOUNT_LIMIT {
            *scenario = AMOUNT;
        }
    }
}

fn commit_at_terminals(rows: &mut Transactions, settings: &Settings) {
    let by_terminal = Grouping::new(&rows.terminal, settings.all_terminals());
    for day in 0..settings.days - 1 {
        let mut rng = Stream::CompromisedTerminals(day).rng(settings.seed);
        let count = times(TERMINALS_PER_DAY, settings.scenario.terminal_rate(day));
        for terminal in draw_distinct(settings.terminals, count, &mut rng) {
            for row in during(rows, by_terminal.rows(terminal), day..day + TERMINAL_DAYS) {
                rows.scenario[row] = TERMINAL;
            }
        }
    }
}

fn commit_by_card(rows: &mut Transactions, settings: &Settings) {
    let by_customer = Grouping::new(&rows.customer, settings.customers);
    for day in 0..settings.days - 1 {
        let mut rng = Stream::CompromisedCards(day).rng(settings.seed);
        let count = times(CARDS_PER_DAY, settings.scenario.card_rate(day));
        let candidates: Vec<usize> = draw_distinct(settings.customers, count, &mut rng)
            .into_iter()
            .flat_map(|customer| during(rows, by_customer.rows(customer), day..day + CARD_DAYS))
            .collect();
        for chosen in index::sample(&mut rng, candidates.len(), candidates.len() / CARD_SHARE) {
            let row = candidates[chosen];
            rows.cents[row] *= CARD_FACTOR;
            rows.scenario[row] = CARD;
        }
    }
}

fn times(per_day: usize, rate: f64) -> usize {
    (per_day as f64 * rate).round() as usize
}

/// Draws up to `count` different numbers below `below`.
fn draw_distinct(below: u32, count: usize, rng: &mut impl Rng) -> Vec<u32> {
    let below = below as usize;
    index::sample(rng, below, count.min(below))
        .into_iter()
        .map(|number| number as u32)
        .collect()
}

/// Those of `group`, which is sorted by time, that lie in the range of days.
fn during(rows: &Transactions, group: &[u32], days: Range<u32>) -> Vec<usize> {
    let first = group.partition_point(|&row| rows.day(row as usize) < days.start);
    let end = group.partition_point(|&row| rows.day(row as usize) < days.end);
    group[first..end].iter().map(|&row| row as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DAY;

    /// One customer who buys for 10.00 once a day at the only terminal.
    fn daily(days: u32) -> (Transactions, Settings) {
        let count = days as usize;
        let rows = Transactions {
            seconds: (0..days).map(|day| day * DAY as u32 + 1).collect(),
            customer: vec![0; count],
            terminal: vec![0; count],
            cents: vec![1_000; count],
            scenario: vec![0; count],
            ..Transactions::default()
        };
        (
            rows,
            Settings {
                customers: 1,
                terminals: 1,
                days,
                ..Settings::default()
            },
        )
    }

    #[test]
    fn exactly_the_limit_is_genuine() {
        let (mut rows, _) = daily(2);
        rows.cents = vec![AMOUNT_LIMIT, AMOUNT_LIMIT + 1];
        commit_by_amount(&mut rows);
        assert_eq!(rows.scenario, [0, AMOUNT]);
    }

    #[test]
    fn a_compromise_lasts_its_days_and_no_longer() {
        let (rows, _) = daily(40);
        let all: Vec<u32> = (0..40).collect();
        assert_eq!(
            during(&rows, &all, 3..3 + TERMINAL_DAYS),
            (3..31).collect::<Vec<_>>()
        );
        assert_eq!(
            during(&rows, &all, 30..30 + CARD_DAYS),
            (30..40).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_terminal_that_is_always_compromised_marks_every_row() {
        let (mut rows, settings) = daily(5);
        commit_at_terminals(&mut rows, &settings);
        assert_eq!(rows.scenario, [TERMINAL; 5]);
    }

    #[test]
    fn the_last_day_starts_no_compromise() {
        let (mut rows, settings) = daily(1);
        commit(&mut rows, &settings);
        assert_eq!(rows.scenario, [0]);
    }

    #[test]
    fn a_stolen_card_spends_five_times_as_much_and_takes_over_the_row() {
        let (mut rows, settings) = daily(30);
        commit(&mut rows, &settings);
        let stolen: Vec<i64> = (0..30)
            .filter(|&row| rows.scenario[row] == CARD)
            .map(|row| rows.cents[row])
            .collect();
        assert!(!stolen.is_empty());
        assert!(
            stolen.iter().all(|cents| cents % (1_000 * CARD_FACTOR) == 0),
            "{stolen:?}"
        );
        let others = (0..30).filter(|&row| rows.scenario[row] != CARD);
        assert!(
            others
                .clone()
                .all(|row| rows.cents[row] == 1_000 && rows.scenario[row] == TERMINAL)
        );
    }

    #[test]
    fn fewer_customers_than_cards_a_day_are_all_drawn() {
        let mut rng = Stream::CompromisedCards(0).rng(1);
        let mut drawn = draw_distinct(2, CARDS_PER_DAY, &mut rng);
        drawn.sort_unstable();
        assert_eq!(drawn, [0, 1]);
    }
}
