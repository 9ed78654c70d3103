//! Which fields a request has, and which of them the model reads, in what order. Made from the model's own metadata.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Fields of a request that are not for the model: who pays whom, and when.
pub const ENVELOPE: [(&str, Kind); 6] = [
    ("TRANSACTION_ID", Kind::Integer),
    ("TX_DATETIME", Kind::DateTime),
    ("CUSTOMER_ID", Kind::Integer),
    ("TERMINAL_ID", Kind::Integer),
    ("TX_TIME_SECONDS", Kind::Integer),
    ("TX_TIME_DAYS", Kind::Integer),
];

/// The inputs of the card-payment models, in their order.
pub const CARD_PAYMENT: [&str; 15] = [
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

/// Inputs that are 0 or 1 although the model calls them floats.
const FLAGS: [&str; 2] = ["TX_DURING_WEEKEND", "TX_DURING_NIGHT"];

/// Inputs that a model may have: fields that occurred are kept in one 128-bit word, together with the envelope.
pub const MAX_INPUTS: usize = 128 - ENVELOPE.len();
const MAX_NAME: usize = 128;

/// What a field may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number that fits 64 bits.
    Integer,
    /// 0 or 1.
    Flag,
    /// A finite number that fits a 32-bit float.
    Float,
    /// RFC 3339 or ISO 8601, with or without an offset.
    DateTime,
}

/// What becomes of a request without a value (absent or `null`) for an input of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// It is refused.
    #[default]
    Reject,
    /// The median of the training data takes the place.
    Median,
    /// The model gets a NaN, which it was trained to understand.
    Native,
}

/// One input of the model, as its metadata describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Input<'a> {
    /// Name of the request's field.
    pub name: &'a str,
    /// Policy for a missing value.
    pub missing: Missing,
    /// Median of the training data.
    pub median: Option<f32>,
}

/// One field of the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name in the JSON object.
    pub name: Box<str>,
    /// What it may hold.
    pub kind: Kind,
    /// Column of the tensor that it fills, if the model reads it.
    pub column: Option<usize>,
    /// What takes the place of a missing value; none: the request is refused.
    pub default: Option<f32>,
}

/// The request schema. Fields that it does not know are ignored.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    fields: Vec<Field>,
    width: usize,
}

/// Why the inputs of a model make no request schema.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// No input, or more than 122.
    #[error("the model has {0} features, 1 to {MAX_INPUTS} can be served")]
    Count(usize),
    /// A name that cannot be a field.
    #[error("column {column}: the name must have 1 to {MAX_NAME} printable ASCII characters")]
    Name {
        /// Column of the tensor.
        column: usize,
    },
    /// The name is there twice, or means something else in a request.
    #[error("column {column} is called {name}, which another field of the request is called already")]
    Taken {
        /// Column of the tensor.
        column: usize,
        /// The name.
        name: String,
    },
    /// The inputs of a card-payment model in another order: its columns and names were mixed up when it was exported.
    #[error(
        "column {column} of the model is {found}, a card-payment model has {expected} there; export it with the columns in the order of the request"
    )]
    Order {
        /// Column of the tensor.
        column: usize,
        /// What the model calls it.
        found: String,
        /// What it is called in every other model.
        expected: &'static str,
    },
    /// Missing values are to be replaced by a median that is not there.
    #[error("{0} has \"missing\": \"median\" and no finite median")]
    NoMedian(String),
}

impl Schema {
    /// The schema of a card-payment model that refuses missing values.
    pub fn card_payment() -> Self {
        let inputs = CARD_PAYMENT.map(|name| Input {
            name,
            missing: Missing::Reject,
            median: None,
        });
        Self::of(&inputs).expect("the names are right")
    }

    /// The schema of requests to a model with these inputs, in the order of its columns.
    ///
    /// # Errors
    /// Names that are missing, doubled, or taken by the envelope; the card-payment inputs in another order.
    pub fn of(inputs: &[Input<'_>]) -> Result<Self, SchemaError> {
        if inputs.is_empty() || inputs.len() > MAX_INPUTS {
            return Err(SchemaError::Count(inputs.len()));
        }
        check_order(inputs)?;
        let mut fields: Vec<Field> = ENVELOPE
            .iter()
            .map(|(name, kind)| Field {
                name: (*name).into(),
                kind: *kind,
                column: None,
                default: None,
            })
            .collect();
        for (column, input) in inputs.iter().enumerate() {
            let printable = input.name.bytes().all(|b| b.is_ascii_graphic());
            if input.name.is_empty() || input.name.len() > MAX_NAME || !printable {
                return Err(SchemaError::Name { column });
            }
            if fields.iter().any(|field| *field.name == *input.name) {
                let name = input.name.to_owned();
                return Err(SchemaError::Taken { column, name });
            }
            fields.push(Field {
                name: input.name.into(),
                kind: if FLAGS.contains(&input.name) {
                    Kind::Flag
                } else {
                    Kind::Float
                },
                column: Some(column),
                default: default(input)?,
            });
        }
        Ok(Self {
            fields,
            width: inputs.len(),
        })
    }

    /// All fields, in the order that clients usually send.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Number of columns of the tensor row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Names of the model's inputs, by column.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.fields[ENVELOPE.len()..].iter().map(|field| &*field.name)
    }

    /// Name of a column.
    pub fn input(&self, column: usize) -> Option<&str> {
        Some(&self.fields.get(ENVELOPE.len() + column)?.name)
    }

    /// What takes the place of a missing value of this column.
    pub fn default_of(&self, column: usize) -> Option<f32> {
        self.fields.get(ENVELOPE.len() + column)?.default
    }

    /// Index of a field; `expected` is tried first, because clients keep the order of the fields.
    pub fn position(&self, name: &str, expected: usize) -> Option<usize> {
        match self.fields.get(expected) {
            Some(field) if *field.name == *name => Some(expected),
            _ => self.fields.iter().position(|f| *f.name == *name),
        }
    }
}

fn default(input: &Input<'_>) -> Result<Option<f32>, SchemaError> {
    match (input.missing, input.median) {
        (Missing::Reject, _) => Ok(None),
        (Missing::Native, _) => Ok(Some(f32::NAN)),
        (Missing::Median, Some(median)) if median.is_finite() => Ok(Some(median)),
        (Missing::Median, _) => Err(SchemaError::NoMedian(input.name.to_owned())),
    }
}

/// A request is read by name, so a model may have its columns in any order. But names that moved against a card-payment
/// model's fixed order are a mistake of the export, and would score every payment on the wrong columns.
fn check_order(inputs: &[Input<'_>]) -> Result<(), SchemaError> {
    let same = inputs.len() == CARD_PAYMENT.len()
        && CARD_PAYMENT
            .iter()
            .all(|name| inputs.iter().any(|i| i.name == *name));
    if !same {
        return Ok(());
    }
    for (column, (input, expected)) in inputs.iter().zip(CARD_PAYMENT).enumerate() {
        if input.name != expected {
            let found = input.name.to_owned();
            return Err(SchemaError::Order {
                column,
                found,
                expected,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn input(name: &str) -> Input<'_> {
        Input {
            name,
            missing: Missing::Reject,
            median: None,
        }
    }

    #[test]
    fn the_card_payment_schema_has_21_fields_and_15_inputs_in_order() {
        let schema = Schema::card_payment();
        assert_eq!((schema.fields().len(), schema.width()), (21, 15));
        assert_eq!(schema.inputs().collect::<Vec<_>>(), CARD_PAYMENT);
        assert_eq!(schema.fields()[7].kind, Kind::Flag);
    }

    #[test]
    fn a_field_is_found_whether_it_was_expected_or_not() {
        let schema = Schema::card_payment();
        assert_eq!(schema.position("TX_AMOUNT", 6), Some(6));
        assert_eq!(schema.position("TX_AMOUNT", 0), Some(6));
        assert_eq!(schema.position("TX_AMOUNT", 999), Some(6));
        assert_eq!(schema.position("tx_amount", 6), None);
    }

    #[test]
    fn a_model_may_have_inputs_of_its_own() {
        let schema = Schema::of(&[input("MERCHANT_AGE"), input("TX_AMOUNT")]).unwrap();
        assert_eq!(schema.inputs().collect::<Vec<_>>(), ["MERCHANT_AGE", "TX_AMOUNT"]);
    }

    #[test]
    fn inputs_that_make_no_schema_are_named() {
        let many: Vec<String> = (0..=MAX_INPUTS).map(|n| format!("F{n}")).collect();
        let many: Vec<Input<'_>> = many.iter().map(|name| input(name)).collect();
        let mut swapped = CARD_PAYMENT.map(input);
        swapped.swap(3, 4);
        let median = Input {
            missing: Missing::Median,
            ..input("A")
        };
        for (inputs, told) in [
            (&[][..], "0 features"),
            (&many, "123 features"),
            (&[input("")], "column 0"),
            (&[input("A"), input("with space")], "column 1"),
            (&[input("A"), input("A")], "called A"),
            (&[input("CUSTOMER_ID")], "CUSTOMER_ID"),
            (
                &swapped,
                "column 3 of the model is CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW",
            ),
            (&[median], "no finite median"),
        ] {
            let error = Schema::of(inputs).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
