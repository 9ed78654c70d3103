//! Transactions as requests: what is sent, and what a broken client would send.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, ser::SerializeMap};

use crate::{
    features::WINDOWS,
    feed::Transaction,
    settings::{is_night, is_weekend},
};

/// Number of inputs of the model.
pub const INPUTS: usize = 15;

/// Names of the model's inputs, in the order of its columns.
pub const NAMES: [&str; INPUTS] = [
    "TX_AMOUNT",
    "TX_DURING_WEEKEND",
    "TX_DURING_NIGHT",
    "CUSTOMER_ID_NB_TX_1DAY_WINDOW",
    "CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW",
    "CUSTOMER_ID_NB_TX_7DAY_WINDOW",
    "CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW",
    "CUSTOMER_ID_NB_TX_30DAY_WINDOW",
    "CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW",
    "TERMINAL_ID_NB_TX_1DAY_WINDOW",
    "TERMINAL_ID_RISK_1DAY_WINDOW",
    "TERMINAL_ID_NB_TX_7DAY_WINDOW",
    "TERMINAL_ID_RISK_7DAY_WINDOW",
    "TERMINAL_ID_NB_TX_30DAY_WINDOW",
    "TERMINAL_ID_RISK_30DAY_WINDOW",
];

const AMOUNT: usize = 0;
const CUSTOMER: std::ops::Range<usize> = 3..9;
const RISKS: [usize; 3] = [10, 12, 14];
const SWAPPED: (usize, usize) = (11, 12);

/// A mistake of whoever computes the inputs. What really happened, and so the labels, stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Break {
    /// The risk of terminals is 0: their store is down
    RiskZero,
    /// All six inputs about the customer are 0
    CustomerZero,
    /// The amount is in cents
    Cents,
    /// TERMINAL_ID_NB_TX_7DAY_WINDOW and TERMINAL_ID_RISK_7DAY_WINDOW are exchanged
    Swap,
}

impl Break {
    fn damage(self, inputs: &mut [f64; INPUTS]) {
        match self {
            Self::RiskZero => RISKS.into_iter().for_each(|risk| inputs[risk] = 0.0),
            Self::CustomerZero => inputs[CUSTOMER].fill(0.0),
            Self::Cents => inputs[AMOUNT] = (inputs[AMOUNT] * 100.0).round(),
            Self::Swap => inputs.swap(SWAPPED.0, SWAPPED.1),
        }
    }
}

/// The model's inputs in the order of [`NAMES`]: amounts in euros, risks from 0 to 1.
#[must_use]
pub fn inputs(transaction: &Transaction, broken: Option<Break>) -> [f64; INPUTS] {
    let at = transaction.epoch + i64::from(transaction.seconds);
    let mut inputs = [0.0; INPUTS];
    inputs[AMOUNT] = transaction.cents as f64 / 100.0;
    inputs[1] = f64::from(u8::from(is_weekend(at)));
    inputs[2] = f64::from(u8::from(is_night(at)));
    for w in 0..WINDOWS.len() {
        inputs[3 + 2 * w] = f64::from(transaction.customer_windows[w].count);
        inputs[4 + 2 * w] = transaction.customer_windows[w].mean() / 100.0;
        inputs[9 + 2 * w] = f64::from(transaction.terminal_windows[w].count);
        inputs[10 + 2 * w] = transaction.terminal_windows[w].mean();
    }
    if let Some(broken) = broken {
        broken.damage(&mut inputs);
    }
    inputs
}

/// How requests are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// Added to the row's number to make `TRANSACTION_ID`.
    pub first_id: u64,
    /// What is wrong with the inputs.
    pub broken: Option<Break>,
    /// Whether the truth is told: for data, never for a scorer.
    pub truth: bool,
}

impl Payload {
    /// The object that `/predict` takes, in one line.
    #[must_use]
    pub fn predict(&self, transaction: &Transaction) -> Vec<u8> {
        to_json(&Object {
            payload: self,
            transaction,
        })
    }

    /// The request that the Open Inference Protocol takes, in one line.
    #[must_use]
    pub fn infer(&self, transaction: &Transaction) -> Vec<u8> {
        to_json(&Infer {
            id: self.id(transaction).to_string(),
            inputs: [Tensor {
                name: "features",
                datatype: "FP32",
                shape: [1, INPUTS],
                data: inputs(transaction, self.broken).map(|value| value as f32),
            }],
        })
    }

    fn id(&self, transaction: &Transaction) -> u64 {
        self.first_id + u64::from(transaction.row)
    }
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1_024);
    serde_json::to_writer(&mut bytes, value).expect("numbers and names are JSON, and memory takes them");
    bytes
}

struct Object<'a> {
    payload: &'a Payload,
    transaction: &'a Transaction,
}

impl Serialize for Object<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Transaction {
            epoch,
            seconds,
            customer,
            terminal,
            scenario,
            ..
        } = *self.transaction;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("TRANSACTION_ID", &self.payload.id(self.transaction))?;
        map.serialize_entry("TX_DATETIME", &DateTime(epoch + i64::from(seconds)))?;
        map.serialize_entry("CUSTOMER_ID", &customer)?;
        map.serialize_entry("TERMINAL_ID", &terminal)?;
        map.serialize_entry("TX_TIME_SECONDS", &seconds)?;
        map.serialize_entry("TX_TIME_DAYS", &(seconds / crate::DAY as u32))?;
        for (name, value) in NAMES.iter().zip(inputs(self.transaction, self.payload.broken)) {
            match *name {
                "TX_DURING_WEEKEND" | "TX_DURING_NIGHT" => map.serialize_entry(name, &(value as u8))?,
                _ => map.serialize_entry(name, &value)?,
            }
        }
        if self.payload.truth {
            map.serialize_entry("TX_FRAUD", &u8::from(scenario > 0))?;
            map.serialize_entry("TX_FRAUD_SCENARIO", &scenario)?;
        }
        map.end()
    }
}

/// Unix seconds, written as RFC 3339 in UTC.
struct DateTime(i64);

impl Serialize for DateTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings were checked to end before the year 10000.
        Timestamp::from_second(self.0).map_err(|_| fmt::Error)?.fmt(f)
    }
}

#[derive(Serialize)]
struct Infer {
    id: String,
    inputs: [Tensor; 1],
}

#[derive(Serialize)]
struct Tensor {
    name: &'static str,
    datatype: &'static str,
    shape: [usize; 2],
    data: [f32; INPUTS],
}

#[cfg(test)]
mod tests;
