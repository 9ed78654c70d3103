//! What a request says beside the model's inputs.

/// One card payment: who pays whom, and when. The model's inputs are in the tensor row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// `TRANSACTION_ID`.
    pub id: i64,
    /// `TX_DATETIME`, milliseconds since 1970.
    pub time: i64,
    /// `CUSTOMER_ID`.
    pub customer: i64,
    /// `TERMINAL_ID`.
    pub terminal: i64,
    /// `TX_TIME_SECONDS`.
    pub time_seconds: i64,
    /// `TX_TIME_DAYS`.
    pub time_days: i64,
    /// Columns whose value was missing and was filled in, one bit each.
    pub imputed: u128,
}

impl Transaction {
    /// Sets the field at `index` of the envelope, in the order of [`super::schema::ENVELOPE`].
    pub(super) fn set(&mut self, index: usize, value: i64) {
        let fields = [
            &mut self.id,
            &mut self.time,
            &mut self.customer,
            &mut self.terminal,
            &mut self.time_seconds,
            &mut self.time_days,
        ];
        if let Some(field) = fields.into_iter().nth(index) {
            *field = value;
        }
    }
}
