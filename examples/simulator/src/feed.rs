//! Transactions one after the other, with the model's inputs and the labels that come in between.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{
    DAY,
    features::Window,
    labels::Labels,
    online::{Position, Windows},
    settings::{InvalidSetting, Settings, invalid},
    transactions::Transactions,
};

/// The part of the simulation that is sent; what is before only fills the windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// First day, from 0.
    pub from: u32,
    /// The day after the last one.
    pub until: u32,
}

impl Period {
    /// Checks that there is such a period in the simulation.
    pub fn new(from: u32, until: Option<u32>, days: u32) -> Result<Self, InvalidSetting> {
        let until = until.unwrap_or(days);
        if from >= days {
            let problem = format!("the simulation has days 0 to {}: give more --days", days - 1);
            return Err(invalid("from-day", &from, &problem));
        }
        if until > days {
            let problem = format!("the simulation ends with day {}: give more --days", days - 1);
            return Err(invalid("until-day", &until, &problem));
        }
        if until <= from {
            let problem = format!("the end must be after the start, --from-day {from}");
            return Err(invalid("until-day", &until, &problem));
        }
        Ok(Self { from, until })
    }
}

/// One transaction, as whoever has to decide about it sees it, and the truth about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Number of the row in the simulation.
    pub row: u32,
    /// Unix time of the first second of the simulation.
    pub epoch: i64,
    /// Seconds since then.
    pub seconds: u32,
    /// Number of the customer.
    pub customer: u32,
    /// Number of the terminal.
    pub terminal: u32,
    /// Amount in cents.
    pub cents: i64,
    /// The customer's windows, sums in cents.
    pub customer_windows: [Window; 3],
    /// The terminal's windows, sums in frauds.
    pub terminal_windows: [Window; 3],
    /// 0 genuine, else the code of the scenario.
    pub scenario: u8,
    /// Whether a label will come, should the simulation go on for long enough.
    pub label_comes: bool,
}

/// What became of an earlier transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// When, in seconds since the simulation's epoch.
    pub seconds: u64,
    /// Number of the row.
    pub row: u32,
    /// What it was.
    pub is_fraud: bool,
}

/// What happens next: labels that came until then, oldest first, and then the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Labels of transactions that were fed.
    pub known: Vec<Known>,
    /// The next transaction.
    pub transaction: Transaction,
}

/// The transactions in the order of time. The same settings always give the same feed.
#[derive(Clone, Debug)]
pub struct Feed {
    rows: Transactions,
    windows: Windows,
    labels: Labels,
    pending: BinaryHeap<Reverse<(Known, Position)>>,
    first: usize,
    next: usize,
    end: usize,
}

impl Feed {
    /// Fills the windows with what is before the period. `rows` and `labels` are of `settings`.
    #[must_use]
    pub fn new(rows: Transactions, settings: &Settings, labels: Labels, period: Period) -> Self {
        let begin = |day: u32| {
            rows.seconds
                .partition_point(|&seconds| seconds / (DAY as u32) < day)
        };
        let (first, end) = (begin(period.from), begin(period.until));
        let mut feed = Self {
            windows: Windows::new(settings.customers, settings.all_terminals()),
            rows,
            labels,
            pending: BinaryHeap::new(),
            first,
            next: 0,
            end,
        };
        while feed.next < feed.first {
            feed.step(feed.next);
        }
        feed
    }

    /// Number of transactions that are still to come.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.end - self.next
    }

    /// When the next transaction happens, in seconds since the simulation's epoch.
    #[must_use]
    pub fn next_seconds(&self) -> Option<u32> {
        (self.next < self.end).then(|| self.rows.seconds[self.next])
    }

    fn step(&mut self, row: usize) -> Step {
        self.next = row + 1;
        let seconds = self.rows.seconds[row];
        let known = self.learn(u64::from(seconds));
        let (customer, terminal) = (self.rows.customer[row], self.rows.terminal[row]);
        let customer_windows = self.windows.customer(customer, seconds, self.rows.cents[row]);
        let (terminal_windows, position) = self.windows.terminal(terminal, seconds);
        let is_fraud = self.rows.is_fraud(row);
        let delay = self.labels.next_delay(is_fraud);
        // A genuine label changes no window: nobody waits for one of a transaction that is not sent.
        if let Some(delay) = delay.filter(|_| is_fraud || row >= self.first) {
            let known = Known {
                seconds: u64::from(seconds) + delay,
                row: row as u32,
                is_fraud,
            };
            self.pending.push(Reverse((known, position)));
        }
        let transaction = Transaction {
            row: row as u32,
            epoch: self.rows.epoch,
            seconds,
            customer,
            terminal,
            cents: self.rows.cents[row],
            customer_windows,
            terminal_windows,
            scenario: self.rows.scenario[row],
            label_comes: delay.is_some(),
        };
        Step { known, transaction }
    }

    /// Takes the labels that came until now.
    fn learn(&mut self, seconds: u64) -> Vec<Known> {
        let mut fed = Vec::new();
        while let Some(Reverse((known, position))) = self.pending.peek().copied()
            && known.seconds <= seconds
        {
            self.pending.pop();
            if known.is_fraud {
                self.windows.confirm_fraud(position);
            }
            if known.row as usize >= self.first {
                fed.push(known);
            }
        }
        fed
    }
}

impl Iterator for Feed {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        (self.next < self.end).then(|| self.step(self.next))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining(), Some(self.remaining()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Features, Simulation, labels::LabelDelay};

    fn small() -> Settings {
        Settings {
            customers: 60,
            terminals: 40,
            days: 70,
            radius: 30.0,
            ..Settings::default()
        }
    }

    fn feed(delay: LabelDelay, period: Period) -> (Feed, Features) {
        let settings = small();
        let rows = Simulation::new(settings.clone()).unwrap().run();
        let features = Features::compute(&rows, &settings);
        let labels = Labels::new(delay, settings.seed).unwrap();
        (Feed::new(rows, &settings, labels, period), features)
    }

    const ALL: Period = Period { from: 0, until: 70 };

    #[test]
    fn windows_equal_those_of_the_table_wherever_the_feed_begins() {
        for from in [0, 40, 69] {
            let (feed, features) = feed(LabelDelay::default(), Period { from, until: 70 });
            assert!(feed.remaining() > 0);
            for Step { transaction, .. } in feed {
                let row = transaction.row as usize;
                assert_eq!(transaction.customer_windows, features.customer[row], "row {row}");
                assert_eq!(transaction.terminal_windows, features.terminal[row], "row {row}");
            }
        }
    }

    #[test]
    fn a_label_comes_before_the_first_transaction_that_is_not_earlier_and_once() {
        let (feed, _) = feed(LabelDelay::default(), ALL);
        let rows = feed.rows.clone();
        let mut labelled = vec![false; rows.len()];
        let mut last = 0;
        for Step { known, transaction } in feed {
            for known in known {
                assert!(known.seconds <= u64::from(transaction.seconds));
                assert_eq!(known.is_fraud, rows.is_fraud(known.row as usize));
                assert!(!std::mem::replace(&mut labelled[known.row as usize], true));
            }
            last = transaction.seconds;
        }
        for (row, labelled) in labelled.into_iter().enumerate() {
            assert_eq!(labelled, rows.seconds[row] + 7 * DAY as u32 <= last, "row {row}");
        }
    }

    #[test]
    fn without_labels_no_terminal_has_a_risk() {
        let never = LabelDelay {
            never: 1.0,
            ..LabelDelay::default()
        };
        let (feed, _) = feed(never, ALL);
        for Step { known, transaction } in feed {
            assert_eq!(known, []);
            assert!(!transaction.label_comes);
            assert_eq!(transaction.terminal_windows.map(|window| window.sum), [0; 3]);
        }
    }

    #[test]
    fn a_period_that_is_not_there_is_refused_by_name() {
        let refusal = |from, until| Period::new(from, until, 30).unwrap_err().to_string();
        assert_eq!(
            refusal(37, None),
            "--from-day 37: the simulation has days 0 to 29: give more --days"
        );
        assert_eq!(
            refusal(10, Some(10)),
            "--until-day 10: the end must be after the start, --from-day 10"
        );
        assert!(refusal(0, Some(31)).starts_with("--until-day 31: the simulation ends with day 29"));
        assert_eq!(Period::new(10, None, 30), Ok(Period { from: 10, until: 30 }));
    }
}
