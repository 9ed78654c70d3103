//! The model's inputs: what a customer and a terminal did in the last 1, 7 and 30 days.
//!
//! Sums are kept in integer cents and counts, so they are exact; a mean is divided out when it is asked for.

use rayon::prelude::*;

use crate::{DAY, grouping::Grouping, settings::Settings, transactions::Transactions};

/// Lengths of the windows in days.
pub const WINDOWS: [i64; 3] = [1, 7, 30];
/// A label is known this many days after the transaction.
pub const LABEL_DELAY: i64 = 7;

/// One window of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Number of rows in the window.
    pub count: u32,
    /// Cents of a customer's window, frauds of a terminal's.
    pub sum: i64,
}

impl Window {
    /// The mean; 0 of an empty window.
    #[must_use]
    pub fn mean(self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum as f64 / f64::from(self.count)
        }
    }
}

/// The windows of every row, in the order of rows; within a row in the order of [`WINDOWS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Time in (t − W, t], the row itself included; of the same second only rows up to this one.
    pub customer: Vec<[Window; 3]>,
    /// Time in (t − delay − W, t − delay]: only rows whose label is known by then.
    pub terminal: Vec<[Window; 3]>,
}

impl Features {
    /// Computes all windows. Uses the threads of the current rayon pool.
    #[must_use]
    pub fn compute(rows: &Transactions, settings: &Settings) -> Self {
        let customers = Grouping::new(&rows.customer, settings.customers);
        let terminals = Grouping::new(&rows.terminal, settings.all_terminals());
        let (customer, terminal) = rayon::join(
            || scatter(rows.len(), &customers, |group| customer_windows(rows, group)),
            || scatter(rows.len(), &terminals, |group| terminal_windows(rows, group)),
        );
        Self { customer, terminal }
    }
}

/// Runs `windows` on every group and puts the results in the order of rows.
fn scatter(
    len: usize,
    grouping: &Grouping,
    windows: impl Fn(&[u32]) -> Vec<[Window; 3]> + Sync,
) -> Vec<[Window; 3]> {
    let by_group: Vec<Vec<[Window; 3]>> = (0..grouping.keys())
        .into_par_iter()
        .map(|key| windows(grouping.rows(key)))
        .collect();
    let mut by_row = vec![[Window::default(); 3]; len];
    for (key, results) in (0..grouping.keys()).zip(by_group) {
        for (&row, result) in grouping.rows(key).iter().zip(results) {
            by_row[row as usize] = result;
        }
    }
    by_row
}

fn customer_windows(rows: &Transactions, group: &[u32]) -> Vec<[Window; 3]> {
    let cents = Prefix::new(group.iter().map(|&row| rows.cents[row as usize]));
    let mut begin = WINDOWS.map(|days| Edge::new(days * DAY));
    (0..group.len())
        .map(|at| {
            let now = i64::from(rows.seconds[group[at] as usize]);
            std::array::from_fn(|w| cents.window(begin[w].advance(rows, group, now), at + 1))
        })
        .collect()
}

fn terminal_windows(rows: &Transactions, group: &[u32]) -> Vec<[Window; 3]> {
    let frauds = Prefix::new(group.iter().map(|&row| i64::from(rows.is_fraud(row as usize))));
    let delay = LABEL_DELAY * DAY;
    let mut begin = WINDOWS.map(|days| Edge::new(delay + days * DAY));
    let mut end = Edge::new(delay);
    group
        .iter()
        .map(|&row| {
            let now = i64::from(rows.seconds[row as usize]);
            let end = end.advance(rows, group, now);
            std::array::from_fn(|w| frauds.window(begin[w].advance(rows, group, now), end))
        })
        .collect()
}

/// The first position of a group whose time is after `now - age`. Moves forward only, as `now` does.
struct Edge {
    age: i64,
    at: usize,
}

impl Edge {
    fn new(age: i64) -> Self {
        Self { age, at: 0 }
    }

    fn advance(&mut self, rows: &Transactions, group: &[u32], now: i64) -> usize {
        while group
            .get(self.at)
            .is_some_and(|&row| i64::from(rows.seconds[row as usize]) <= now - self.age)
        {
            self.at += 1;
        }
        self.at
    }
}

/// Sums of the first n values, for every n.
struct Prefix(Vec<i64>);

impl Prefix {
    fn new(values: impl Iterator<Item = i64>) -> Self {
        let sums = values.scan(0, |sum, value| {
            *sum += value;
            Some(*sum)
        });
        Self(std::iter::once(0).chain(sums).collect())
    }

    fn window(&self, begin: usize, end: usize) -> Window {
        Window {
            count: (end - begin) as u32,
            sum: self.0[end] - self.0[begin],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: u32 = 3;

    /// The definition, read aloud: quadratic, and obviously right.
    fn by_definition(rows: &Transactions) -> Features {
        let time = |row: usize| i64::from(rows.seconds[row]);
        let sum = |members: Vec<usize>, value: &dyn Fn(usize) -> i64| Window {
            count: members.len() as u32,
            sum: members.into_iter().map(value).sum(),
        };
        let all = 0..rows.len();
        let customer = |row: usize, days: i64| {
            let is_in = |other: &usize| {
                rows.customer[*other] == rows.customer[row]
                    && time(*other) > time(row) - days * DAY
                    && *other <= row
            };
            sum(all.clone().filter(is_in).collect(), &|other| rows.cents[other])
        };
        let terminal = |row: usize, days: i64| {
            let known = time(row) - LABEL_DELAY * DAY;
            let is_in = |other: &usize| {
                rows.terminal[*other] == rows.terminal[row]
                    && time(*other) > known - days * DAY
                    && time(*other) <= known
            };
            sum(all.clone().filter(is_in).collect(), &|other| {
                i64::from(rows.scenario[other] > 0)
            })
        };
        Features {
            customer: all
                .clone()
                .map(|row| WINDOWS.map(|days| customer(row, days)))
                .collect(),
            terminal: all
                .clone()
                .map(|row| WINDOWS.map(|days| terminal(row, days)))
                .collect(),
        }
    }

    fn any_rows() -> impl Strategy<Value = Transactions> {
        // Times a few seconds around whole days: rows of the same second, and rows exactly on a window's edge.
        let seconds = (0u32..45, 0u32..3).prop_map(|(day, second)| day * DAY as u32 + second);
        let row = (seconds, 0..KEYS, 0..KEYS, 0i64..100_000, 0u8..4);
        prop::collection::vec(row, 0..120).prop_map(|mut drawn| {
            drawn.sort_by_key(|row| row.0);
            let mut rows = Transactions::default();
            for (seconds, customer, terminal, cents, scenario) in drawn {
                rows.seconds.push(seconds);
                rows.customer.push(customer);
                rows.terminal.push(terminal);
                rows.cents.push(cents);
                rows.scenario.push(scenario);
            }
            rows
        })
    }

    proptest! {
        #[test]
        fn windows_equal_their_definition(rows in any_rows()) {
            let settings = Settings { customers: KEYS, terminals: KEYS, ..Settings::default() };
            prop_assert_eq!(Features::compute(&rows, &settings), by_definition(&rows));
        }
    }

    #[test]
    fn exactly_one_window_old_is_out_and_exactly_the_delay_old_is_in() {
        let day = DAY as u32;
        let rows = Transactions {
            seconds: vec![0, day, 8 * day],
            customer: vec![0; 3],
            terminal: vec![0; 3],
            cents: vec![100, 200, 300],
            scenario: vec![1, 0, 0],
            ..Transactions::default()
        };
        let settings = Settings {
            customers: 1,
            terminals: 1,
            ..Settings::default()
        };
        let features = Features::compute(&rows, &settings);
        assert_eq!(features.customer[1][0], Window { count: 1, sum: 200 });
        // 7 days before the third row: the second row exactly, the first one a whole window earlier.
        assert_eq!(features.terminal[2][0], Window { count: 1, sum: 0 });
        assert_eq!(features.terminal[2][1], Window { count: 2, sum: 1 });
        assert_eq!(features.terminal[0][2].mean(), 0.0);
    }
}
