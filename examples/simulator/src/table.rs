//! Rows as Arrow columns, with the names that the model and the API know.

use std::{ops::Range, sync::Arc};

use arrow::{
    array::{
        ArrayRef, Float64Array, Int8Array, Int32Array, Int64Array, RecordBatch, TimestampMillisecondArray,
    },
    datatypes::{Field, Schema},
    error::ArrowError,
};

use crate::{
    features::{Features, WINDOWS, Window},
    settings::{is_night, is_weekend},
    transactions::Transactions,
};

/// Rows in one batch.
const BATCH: usize = 65_536;
/// As an offset: it needs no time zone database to read.
const UTC: &str = "+00:00";

/// Transactions, with features or without, as a series of batches.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    rows: &'a Transactions,
    features: Option<&'a Features>,
}

impl<'a> Table<'a> {
    /// Puts rows and features side by side; both must be about the same rows.
    #[must_use]
    pub fn new(rows: &'a Transactions, features: Option<&'a Features>) -> Self {
        Self { rows, features }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Names and types of the columns.
    #[must_use]
    pub fn schema(&self) -> Arc<Schema> {
        let fields: Vec<Field> = self
            .columns(0..0)
            .into_iter()
            .map(|(name, column)| Field::new(name, column.data_type().clone(), false))
            .collect();
        Arc::new(Schema::new(fields))
    }

    /// All rows, a part at a time.
    pub fn batches(self) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> + 'a {
        let schema = self.schema();
        (0..self.len()).step_by(BATCH).map(move |first| {
            let columns = self.columns(first..(first + BATCH).min(self.len()));
            RecordBatch::try_new(
                Arc::clone(&schema),
                columns.into_iter().map(|(_, column)| column).collect(),
            )
        })
    }

    fn columns(&self, part: Range<usize>) -> Vec<(String, ArrayRef)> {
        let rows = self.rows;
        let each = || part.clone();
        let at = |row| rows.unix_seconds(row);
        let datetime = TimestampMillisecondArray::from_iter_values(each().map(|row| at(row) * 1_000));
        let amount = each().map(|row| rows.cents[row] as f64 / 100.0);
        let mut columns: Vec<(String, ArrayRef)> = vec![
            (
                "TRANSACTION_ID".into(),
                Arc::new(Int64Array::from_iter_values(each().map(|row| row as i64))),
            ),
            ("TX_DATETIME".into(), Arc::new(datetime.with_timezone(UTC))),
            (
                "CUSTOMER_ID".into(),
                int32(each().map(|row| rows.customer[row] as i32)),
            ),
            (
                "TERMINAL_ID".into(),
                int32(each().map(|row| rows.terminal[row] as i32)),
            ),
            ("TX_AMOUNT".into(), float64(amount)),
            (
                "TX_TIME_SECONDS".into(),
                int32(each().map(|row| rows.seconds[row] as i32)),
            ),
            (
                "TX_TIME_DAYS".into(),
                int32(each().map(|row| rows.day(row) as i32)),
            ),
            (
                "TX_FRAUD".into(),
                int8(each().map(|row| i8::from(rows.is_fraud(row)))),
            ),
            (
                "TX_FRAUD_SCENARIO".into(),
                int8(each().map(|row| rows.scenario[row] as i8)),
            ),
        ];
        if let Some(features) = self.features {
            columns.push((
                "TX_DURING_WEEKEND".into(),
                int8(each().map(|row| i8::from(is_weekend(at(row))))),
            ));
            columns.push((
                "TX_DURING_NIGHT".into(),
                int8(each().map(|row| i8::from(is_night(at(row))))),
            ));
            let euros = |window: Window| window.mean() / 100.0;
            columns.extend(windows(
                &features.customer[each()],
                "CUSTOMER_ID",
                "AVG_AMOUNT",
                euros,
            ));
            columns.extend(windows(
                &features.terminal[each()],
                "TERMINAL_ID",
                "RISK",
                Window::mean,
            ));
        }
        columns
    }
}

/// A count and a mean for each length of window.
fn windows<'a>(
    rows: &'a [[Window; 3]],
    key: &'a str,
    mean: &'a str,
    value: impl Fn(Window) -> f64 + Copy + 'a,
) -> impl Iterator<Item = (String, ArrayRef)> + 'a {
    WINDOWS.iter().enumerate().flat_map(move |(w, days)| {
        [
            (
                format!("{key}_NB_TX_{days}DAY_WINDOW"),
                int32(rows.iter().map(|row| row[w].count as i32)),
            ),
            (
                format!("{key}_{mean}_{days}DAY_WINDOW"),
                float64(rows.iter().map(|row| value(row[w]))),
            ),
        ]
    })
}

fn int8(values: impl Iterator<Item = i8>) -> ArrayRef {
    Arc::new(Int8Array::from_iter_values(values))
}

fn int32(values: impl Iterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

fn float64(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}
