//! What clients must know about the model in service: its name, and the fields of a request with what training saw of them.

use serde_json::{Map, Number, Value, json};

use crate::{
    features::{Kind, Schema},
    state::Card,
};

/// The smallest number that is rounded to infinity as a 32-bit float: 2^128 - 2^103.
const BEYOND_F32: f64 = 3.402_823_567_797_336_6e38;

/// The request and who answers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    /// Name and version of the model, when one is ready.
    pub model: Option<(String, String)>,
    /// From these scores on: review, block.
    pub thresholds: Option<(f64, f64)>,
    /// All fields, in the order that clients usually send.
    pub fields: Vec<FieldFacts>,
}

/// One field of the request.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldFacts {
    /// Name in the JSON object.
    pub name: String,
    /// What it may hold.
    pub kind: Kind,
    /// Column of the model's input, from zero, if the model reads it.
    pub column: Option<usize>,
    /// What training saw, as the model's metadata says it.
    pub training: Option<Training>,
}

/// Range and median of a feature in training. Values outside are not refused because of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Median.
    pub median: f64,
}

impl Contract {
    /// The contract of a schema, with what the card's metadata says about the features.
    pub fn new(schema: &Schema, card: Option<&Card>) -> Self {
        let features = card.and_then(|card| card.metadata.get("features"));
        let fields = schema.fields().iter().map(|field| FieldFacts {
            name: field.name.to_string(),
            kind: field.kind,
            column: field.column,
            training: features.and_then(|all| training(all, &field.name)),
        });
        Self {
            model: card.map(|card| (card.name.clone(), card.version.clone())),
            thresholds: card.map(|card| (card.review, card.block)),
            fields: fields.collect(),
        }
    }

    /// A transaction that is as ordinary as it gets: the median of every feature.
    pub fn median_transaction(&self) -> Value {
        let fields = self.fields.iter();
        let object: Map<String, Value> = fields
            .map(|field| (field.name.clone(), field.ordinary()))
            .collect();
        Value::Object(object)
    }
}

fn training(features: &Value, name: &str) -> Option<Training> {
    let all = features.as_array()?;
    let feature = all.iter().find(|feature| feature["name"] == name)?;
    let number = |key: &str| feature.get(key)?.as_f64();
    Some(Training {
        min: number("min")?,
        max: number("max")?,
        median: number("median")?,
    })
}

impl FieldFacts {
    fn ordinary(&self) -> Value {
        let median = self.training.map_or(0.0, |training| training.median);
        match self.kind {
            Kind::DateTime => Value::from("2026-01-05T12:00:00Z"),
            Kind::Integer if self.column.is_none() => Value::from(1),
            Kind::Integer => Value::from(median.round() as i64),
            Kind::Flag => Value::from(i64::from(median >= 0.5)),
            Kind::Float => Number::from_f64(median).map_or(Value::from(0), Value::Number),
        }
    }

    /// The field as JSON Schema, draft 2020-12.
    pub fn json_schema(&self) -> Value {
        let mut schema = match self.kind {
            Kind::Integer => json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX}),
            Kind::Flag => json!({"type": "integer", "enum": [0, 1]}),
            Kind::Float => {
                json!({"type": "number", "exclusiveMinimum": -BEYOND_F32, "exclusiveMaximum": BEYOND_F32})
            }
            Kind::DateTime => json!({"type": "string", "format": "date-time"}),
        };
        let role = match self.column {
            Some(column) => format!("Input {} of the model.", column + 1),
            None => "Not read by the model.".to_owned(),
        };
        let seen = self.training.map_or(String::new(), |t| {
            format!(" In training {} to {}, median {}.", t.min, t.max, t.median)
        });
        schema["description"] = Value::from(role + &seen);
        schema
    }

    /// The type in words, for people.
    pub fn type_in_words(&self) -> &'static str {
        match self.kind {
            Kind::Integer => "integer",
            Kind::Flag => "0 or 1",
            Kind::Float => "number",
            Kind::DateTime => "date and time (RFC 3339)",
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::features::parse_row;

    /// The card of a model whose first feature has a profile.
    pub fn card() -> Card {
        let features = json!([
            {"name": "TX_AMOUNT", "min": 0.5, "max": 961.25, "median": 44.5},
            {"name": "TX_DURING_NIGHT", "min": 0.0, "max": 1.0, "median": 0.0},
        ]);
        Card {
            name: "card-fraud".into(),
            version: "2026.11.1".into(),
            sha256: "00".repeat(32),
            algorithm: "trees".into(),
            review: 0.1,
            block: 0.5,
            engine: crate::engine::Kind::Tree,
            engine_reason: String::new(),
            golden_difference: 0.0,
            metadata: json!({"features": features}),
        }
    }

    #[test]
    fn fields_carry_what_training_saw() {
        let contract = Contract::new(&Schema::card_payment(), Some(&card()));
        let amount = contract.fields.iter().find(|f| f.name == "TX_AMOUNT").unwrap();
        assert_eq!(amount.training.unwrap().median, 44.5);
        let schema = amount.json_schema();
        assert_eq!(
            schema["description"],
            "Input 1 of the model. In training 0.5 to 961.25, median 44.5."
        );
        let customer = contract.fields.iter().find(|f| f.name == "CUSTOMER_ID").unwrap();
        assert_eq!(customer.json_schema()["description"], "Not read by the model.");
    }

    #[test]
    fn the_bound_of_numbers_is_where_32_bit_floats_end() {
        assert!((BEYOND_F32 as f32).is_infinite());
        assert_eq!(BEYOND_F32.next_down() as f32, f32::MAX);
    }

    #[test]
    fn the_median_transaction_is_a_good_request_with_and_without_a_model() {
        let schema = Schema::card_payment();
        for card in [None, Some(card())] {
            let transaction = Contract::new(&schema, card.as_ref()).median_transaction();
            let mut row = vec![0.0; schema.width()];
            parse_row(&schema, transaction.to_string().as_bytes(), &mut row).unwrap();
            assert_eq!(row[0], if card.is_some() { 44.5 } else { 0.0 });
        }
    }
}
