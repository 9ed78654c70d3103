//! The rows, column by column.

use crate::DAY;

/// Transactions in the order of time. All columns have the same length; a row's number is its id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transactions {
    /// Unix time of the first second of the first day.
    pub epoch: i64,
    /// Seconds since the epoch, ascending.
    pub seconds: Vec<u32>,
    /// Number of the customer.
    pub customer: Vec<u32>,
    /// Number of the terminal.
    pub terminal: Vec<u32>,
    /// Amount in cents.
    pub cents: Vec<i64>,
    /// 0 genuine, 1 amount, 2 terminal, 3 card, 4 a stolen card that is tried out (only in scenarios).
    pub scenario: Vec<u8>,
}

impl Transactions {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seconds.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }

    /// Day of a row, 0 is the first.
    #[must_use]
    pub fn day(&self, row: usize) -> u32 {
        self.seconds[row] / DAY as u32
    }

    /// Unix time of a row.
    #[must_use]
    pub fn unix_seconds(&self, row: usize) -> i64 {
        self.epoch + i64::from(self.seconds[row])
    }

    /// Whether a row is fraud.
    #[must_use]
    pub fn is_fraud(&self, row: usize) -> bool {
        self.scenario[row] > 0
    }

    /// Rows of each scenario; index 0 counts the genuine ones.
    #[must_use]
    pub fn rows_by_scenario(&self) -> [usize; 5] {
        let mut rows = [0; 5];
        for &scenario in &self.scenario {
            rows[usize::from(scenario)] += 1;
        }
        rows
    }
}
