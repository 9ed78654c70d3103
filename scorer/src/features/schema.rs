//! Which fields a request has, and which of them the model reads, in what order.

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

/// One field of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name in the JSON object.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Column of the tensor that it fills, if the model reads it.
    pub column: Option<usize>,
}

/// The request schema: every field is required, unknown ones are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    fields: Vec<Field>,
    width: usize,
}

const NOT_FOR_THE_MODEL: [(&str, Kind); 6] = [
    ("TRANSACTION_ID", Kind::Integer),
    ("TX_DATETIME", Kind::DateTime),
    ("CUSTOMER_ID", Kind::Integer),
    ("TERMINAL_ID", Kind::Integer),
    ("TX_TIME_SECONDS", Kind::Integer),
    ("TX_TIME_DAYS", Kind::Integer),
];

const MODEL_INPUTS: [(&str, Kind); 15] = [
    ("TX_AMOUNT", Kind::Float),
    ("TX_DURING_WEEKEND", Kind::Flag),
    ("TX_DURING_NIGHT", Kind::Flag),
    ("CUSTOMER_ID_NB_TX_1DAY_WINDOW", Kind::Float),
    ("CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW", Kind::Float),
    ("CUSTOMER_ID_NB_TX_7DAY_WINDOW", Kind::Float),
    ("CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW", Kind::Float),
    ("CUSTOMER_ID_NB_TX_30DAY_WINDOW", Kind::Float),
    ("CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW", Kind::Float),
    ("TERMINAL_ID_NB_TX_1DAY_WINDOW", Kind::Float),
    ("TERMINAL_ID_RISK_1DAY_WINDOW", Kind::Float),
    ("TERMINAL_ID_NB_TX_7DAY_WINDOW", Kind::Float),
    ("TERMINAL_ID_RISK_7DAY_WINDOW", Kind::Float),
    ("TERMINAL_ID_NB_TX_30DAY_WINDOW", Kind::Float),
    ("TERMINAL_ID_RISK_30DAY_WINDOW", Kind::Float),
];

impl Schema {
    /// The card-payment request: 21 fields, 15 of them inputs of the model.
    pub fn card_payment() -> Self {
        let plain = NOT_FOR_THE_MODEL.iter().map(|&(name, kind)| Field {
            name,
            kind,
            column: None,
        });
        let inputs = MODEL_INPUTS.iter().enumerate();
        let inputs = inputs.map(|(column, &(name, kind))| Field {
            name,
            kind,
            column: Some(column),
        });
        Self {
            fields: plain.chain(inputs).collect(),
            width: MODEL_INPUTS.len(),
        }
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
    pub fn inputs(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.fields.iter().filter(|f| f.column.is_some()).map(|f| f.name)
    }

    /// Index of a field; `expected` is tried first, because clients keep the order of the fields.
    pub fn position(&self, name: &str, expected: usize) -> Option<usize> {
        match self.fields.get(expected) {
            Some(field) if field.name == name => Some(expected),
            _ => self.fields.iter().position(|f| f.name == name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_payment_schema_has_21_fields_and_15_inputs_in_order() {
        let schema = Schema::card_payment();
        assert_eq!((schema.fields().len(), schema.width()), (21, 15));
        let inputs: Vec<_> = schema.inputs().collect();
        assert_eq!(inputs[0], "TX_AMOUNT");
        assert_eq!(inputs[14], "TERMINAL_ID_RISK_30DAY_WINDOW");
        assert!(
            schema.fields().len() <= 64,
            "seen fields are kept in one 64-bit word"
        );
    }

    #[test]
    fn a_field_is_found_whether_it_was_expected_or_not() {
        let schema = Schema::card_payment();
        assert_eq!(schema.position("TX_AMOUNT", 6), Some(6));
        assert_eq!(schema.position("TX_AMOUNT", 0), Some(6));
        assert_eq!(schema.position("TX_AMOUNT", 99), Some(6));
        assert_eq!(schema.position("tx_amount", 6), None);
    }
}
