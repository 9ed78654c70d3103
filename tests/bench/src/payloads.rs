//! Requests from simulated transactions: realistic, all different, and none that the reference's rules would stop.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, ensure};

/// Stands where a request's own number goes; as many characters as the number has digits.
pub const NUMBER: &str = "@@@@@@@@@@";

/// Different bodies of one load.
pub const COUNT: usize = 1_000;

const BLOCKED_CUSTOMERS: [&str; 7] = ["323", "1693", "4354", "4259", "3879", "3544", "2375"];
const BLOCKED_TERMINALS: [&str; 6] = ["4692", "4923", "79", "3769", "5899", "9251"];
/// Days in which the simulator's windows fill.
const RAMP: i64 = 31;

/// Bodies of `POST /predict` without their number.
pub struct Payloads {
    /// One body for each transaction.
    pub bodies: Vec<String>,
    /// The 15 inputs of each, as JSON numbers separated by commas.
    pub inputs: Vec<String>,
}

impl Payloads {
    /// Reads transactions with features, as the simulator writes them (CSV without quotes).
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Self::of(&text, COUNT)
    }

    fn of(text: &str, count: usize) -> Result<Self> {
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().context("no header")?.split(',').collect();
        let rows: Vec<Vec<&str>> = lines
            .map(|line| line.split(',').collect())
            .filter(|row: &Vec<&str>| row.len() == header.len() && is_wanted(&header, row))
            .collect();
        ensure!(
            rows.len() >= count,
            "{} usable transactions, {count} are needed",
            rows.len()
        );
        // From the whole period, not from its first days.
        let chosen = (0..count).map(|i| &rows[i * rows.len() / count]);
        let (bodies, inputs) = chosen
            .map(|row| (body(&header, row), inputs(&header, row)))
            .unzip();
        Ok(Self { bodies, inputs })
    }

    /// A body with a number of ten digits, for a client that sends it once.
    pub fn numbered(&self, number: u64) -> String {
        let body = &self.bodies[number as usize % self.bodies.len()];
        body.replacen(NUMBER, &format!("{number:010}"), 1)
    }

    /// Arrays of `size` transactions, each with another number: bodies of `POST /predict/batch`.
    pub fn batches(&self, size: usize, count: usize) -> Vec<String> {
        let batch = |batch: usize| {
            let first = 5_000_000_000 + (batch * size) as u64;
            let rows: Vec<String> = (0..size as u64).map(|i| self.numbered(first + i)).collect();
            format!("[{}]", rows.join(","))
        };
        (0..count).map(batch).collect()
    }
}

fn cell<'a>(header: &[&str], row: &[&'a str], name: &str) -> &'a str {
    let column = header.iter().position(|column| *column == name);
    column.map_or("", |column| row[column])
}

fn is_wanted(header: &[&str], row: &[&str]) -> bool {
    let number = |name: &str| cell(header, row, name).parse::<f64>().unwrap_or_default();
    let (amount, average) = (number("TX_AMOUNT"), number("CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW"));
    let is_unusual = average > 0.0 && amount > 100.0 && amount > 5.0 * average;
    number("TX_TIME_DAYS") as i64 >= RAMP
        && !BLOCKED_CUSTOMERS.contains(&cell(header, row, "CUSTOMER_ID"))
        && !BLOCKED_TERMINALS.contains(&cell(header, row, "TERMINAL_ID"))
        && !is_unusual
}

/// The 21 fields in the order in which the reference's client sends them.
fn body(header: &[&str], row: &[&str]) -> String {
    let mut body = format!("{{\"TRANSACTION_ID\":{NUMBER}");
    let plain = ["CUSTOMER_ID", "TERMINAL_ID", "TX_TIME_SECONDS", "TX_TIME_DAYS"];
    let _ = write!(body, ",\"TX_DATETIME\":\"{}\"", cell(header, row, "TX_DATETIME"));
    for name in plain.into_iter().chain(model_inputs(header)) {
        let _ = write!(body, ",\"{name}\":{}", cell(header, row, name));
    }
    body + "}"
}

fn inputs(header: &[&str], row: &[&str]) -> String {
    let values: Vec<&str> = model_inputs(header).map(|name| cell(header, row, name)).collect();
    values.join(",")
}

fn model_inputs<'a>(header: &'a [&'a str]) -> impl Iterator<Item = &'a str> + 'a {
    let is_input =
        |name: &&str| *name == "TX_AMOUNT" || name.starts_with("TX_DURING") || name.ends_with("_WINDOW");
    header.iter().copied().filter(is_input)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TIME_SECONDS,TX_TIME_DAYS,TX_FRAUD,TX_DURING_NIGHT,CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW
1,2018-05-02T03:01:01Z,2,1,35.46,10861,31,0,1,35.5
2,2018-05-02T03:01:01Z,323,1,35.46,10861,31,0,1,35.5
3,2018-05-02T03:01:01Z,2,79,35.46,10861,31,0,1,35.5
4,2018-05-02T03:01:01Z,2,1,999,10861,31,0,1,35.5
5,2018-04-02T03:01:01Z,2,1,35.46,10861,1,0,1,35.5
";

    #[test]
    fn transactions_that_a_rule_would_stop_are_left_out() {
        assert!(Payloads::of(TEXT, 2).is_err());
        let payloads = Payloads::of(TEXT, 1).unwrap();
        let body: serde_json::Value = serde_json::from_str(&payloads.numbered(1_000_000_000)).unwrap();
        assert_eq!(
            (&body["TRANSACTION_ID"], &body["CUSTOMER_ID"]),
            (&1_000_000_000.into(), &2.into())
        );
        assert!(body.get("TX_FRAUD").is_none(), "a client does not know the label");
        assert_eq!(payloads.inputs[0], "35.46,1,35.5");
    }

    #[test]
    fn no_number_occurs_twice_in_batches() {
        let batches = Payloads::of(TEXT, 1).unwrap().batches(3, 2);
        let numbers: Vec<String> = batches
            .iter()
            .flat_map(|batch| {
                let rows: Vec<serde_json::Value> = serde_json::from_str(batch).unwrap();
                rows.into_iter().map(|row| row["TRANSACTION_ID"].to_string())
            })
            .collect();
        let mut distinct = numbers.clone();
        distinct.dedup();
        assert_eq!((numbers.len(), distinct.len()), (6, 6));
    }
}
