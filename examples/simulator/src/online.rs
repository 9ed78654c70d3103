//! The model's inputs as a feature store keeps them: updated with every transaction, asked once.
//!
//! The windows are those of [`crate::features`], and equal them exactly when labels come within
//! [`LABEL_DELAY`] days: sums are whole cents and counts, nothing is forgotten early, nothing is approximated.

use std::collections::VecDeque;

use crate::{
    DAY,
    features::{LABEL_DELAY, WINDOWS, Window},
};

/// All customers and terminals. Holds 30 days of each customer and 37 of each terminal.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    customers: Vec<Track>,
    terminals: Vec<Track>,
}

/// Where a transaction stands among those of its terminal, for the label that comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    terminal: u32,
    number: u64,
}

impl Windows {
    /// Nobody has bought anything yet. Numbers of customers and terminals must be below these.
    #[must_use]
    pub fn new(customers: u32, terminals: u32) -> Self {
        Self {
            customers: vec![Track::default(); customers as usize],
            terminals: vec![Track::default(); terminals as usize],
        }
    }

    /// Counts a purchase and answers the customer's windows, this purchase included. `seconds` must not go back.
    pub fn customer(&mut self, customer: u32, seconds: u32, cents: i64) -> [Window; 3] {
        let track = &mut self.customers[customer as usize];
        track.push(seconds, cents);
        track.windows(i64::from(seconds))
    }

    /// Counts a purchase and answers the terminal's windows, which ended [`LABEL_DELAY`] days ago. `seconds` must
    /// not go back. The purchase counts as genuine until [`Windows::confirm_fraud`].
    pub fn terminal(&mut self, terminal: u32, seconds: u32) -> ([Window; 3], Position) {
        let track = &mut self.terminals[terminal as usize];
        let number = track.push(seconds, 0);
        let windows = track.windows(i64::from(seconds) - LABEL_DELAY * DAY);
        (windows, Position { terminal, number })
    }

    /// A purchase turned out to be fraud. One that has left all windows changes nothing.
    pub fn confirm_fraud(&mut self, position: Position) {
        self.terminals[position.terminal as usize].set(position.number, 1);
    }
}

/// What one key did, oldest first, and the sums of its windows. Entries are numbered from the first one ever.
#[derive(Clone, Debug, Default)]
struct Track {
    entries: VecDeque<(u32, i64)>,
    /// Number of the oldest entry that is kept.
    first: u64,
    /// Number of the entry after the windows' newest.
    end: u64,
    /// For each window the number of its oldest entry, and the sum.
    windows: [(u64, i64); 3],
}

impl Track {
    fn push(&mut self, seconds: u32, value: i64) -> u64 {
        self.entries.push_back((seconds, value));
        self.first + self.entries.len() as u64 - 1
    }

    fn entry(&self, number: u64) -> Option<(u32, i64)> {
        let index = number.checked_sub(self.first)?;
        self.entries.get(index as usize).copied()
    }

    fn set(&mut self, number: u64, value: i64) {
        let Some(index) = number.checked_sub(self.first) else {
            return;
        };
        let Some((_, old)) = self.entries.get_mut(index as usize) else {
            return;
        };
        let change = value - std::mem::replace(old, value);
        for (begin, sum) in &mut self.windows {
            if (*begin..self.end).contains(&number) {
                *sum += change;
            }
        }
    }

    /// Moves the windows so that they end at `until`, and forgets what is before all of them.
    fn windows(&mut self, until: i64) -> [Window; 3] {
        while let Some((seconds, value)) = self.entry(self.end)
            && i64::from(seconds) <= until
        {
            self.end += 1;
            for (_, sum) in &mut self.windows {
                *sum += value;
            }
        }
        let end = self.end;
        let windows = std::array::from_fn(|w| {
            let (mut begin, mut sum) = self.windows[w];
            while begin < end
                && let Some((seconds, value)) = self.entry(begin)
                && i64::from(seconds) <= until - WINDOWS[w] * DAY
            {
                begin += 1;
                sum -= value;
            }
            self.windows[w] = (begin, sum);
            Window {
                count: (end - begin) as u32,
                sum,
            }
        });
        let oldest = self.windows.map(|(begin, _)| begin).into_iter().min();
        while oldest.is_some_and(|oldest| self.first < oldest) {
            self.entries.pop_front();
            self.first += 1;
        }
        windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u32 = crate::DAY as u32;

    fn window(count: u32, sum: i64) -> Window {
        Window { count, sum }
    }

    #[test]
    fn a_purchase_counts_for_its_customer_at_once_and_until_exactly_the_window_has_passed() {
        let mut windows = Windows::new(1, 1);
        assert_eq!(windows.customer(0, 0, 100), [window(1, 100); 3]);
        assert_eq!(windows.customer(0, DAY - 1, 200)[0], window(2, 300));
        assert_eq!(windows.customer(0, DAY, 400)[0], window(2, 600));
        assert_eq!(
            windows.customer(0, 30 * DAY, 1),
            [window(1, 1), window(1, 1), window(3, 601)]
        );
    }

    #[test]
    fn a_terminal_is_judged_by_what_is_as_old_as_labels_are_late() {
        let mut windows = Windows::new(1, 1);
        let (empty, fraud) = windows.terminal(0, 0);
        assert_eq!(empty, [Window::default(); 3]);
        windows.confirm_fraud(fraud);
        assert_eq!(windows.terminal(0, 7 * DAY - 1).0, [window(0, 0); 3]);
        assert_eq!(windows.terminal(0, 7 * DAY).0, [window(1, 1); 3]);
        assert_eq!(
            windows.terminal(0, 8 * DAY).0,
            [window(0, 0), window(1, 1), window(1, 1)]
        );
    }

    #[test]
    fn a_label_that_comes_later_still_counts_in_the_windows_that_hold_its_purchase() {
        let mut windows = Windows::new(1, 1);
        let (_, fraud) = windows.terminal(0, 0);
        assert_eq!(windows.terminal(0, 10 * DAY).0[1], window(1, 0));
        windows.confirm_fraud(fraud);
        assert_eq!(windows.terminal(0, 10 * DAY).0[1], window(1, 1));
        windows.confirm_fraud(fraud);
        assert_eq!(windows.terminal(0, 10 * DAY).0[2], window(1, 1));
        assert_eq!(windows.terminal(0, 37 * DAY).0[2].sum, 0);
        windows.confirm_fraud(fraud);
        assert_eq!(windows.terminal(0, 37 * DAY).0[2].sum, 0);
    }

    #[test]
    fn what_no_window_reaches_is_forgotten() {
        let mut windows = Windows::new(1, 1);
        for day in 0..200 {
            windows.customer(0, day * DAY, 1);
            windows.terminal(0, day * DAY);
        }
        assert_eq!(windows.customers[0].entries.len(), 30);
        assert_eq!(windows.terminals[0].entries.len(), 37);
    }
}
