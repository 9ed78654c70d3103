//! Requests in the form in which clients write them, read without a general JSON parser: known fields, plain numbers and texts
//! without escapes, every field once.
//!
//! Whatever else there is, be it wrong or only unusual, is [`None`] here and read by the visitor, which alone knows how to
//! complain. Both read the same numbers to the last bit; tests and fuzzing compare them.

use crate::features::{
    card_number,
    datetime::milliseconds,
    schema::{Kind, Schema},
    transaction::Transaction,
};

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Reads a request into `row`. With [`None`] the row's content means nothing.
pub fn read(schema: &Schema, body: &[u8], row: &mut [f32]) -> Option<Transaction> {
    let fields = schema.fields();
    let mut transaction = Transaction::default();
    let (mut rest, mut seen, mut expected) = (Text(body), 0_u128, 0);
    rest.blank();
    rest.byte(b'{')?;
    loop {
        let index = rest.field(schema, expected)?;
        expected = index + 1;
        if seen & (1 << index) != 0 {
            return None;
        }
        seen |= 1 << index;
        rest.blank();
        rest.byte(b':')?;
        rest.blank();
        let field = &fields[index];
        match (field.column, field.kind) {
            (None, Kind::DateTime) => {
                let text = rest.text()?;
                if card_number::is_in(text) {
                    return None;
                }
                transaction.set(index, milliseconds(text)?);
            }
            (None, _) => transaction.set(index, rest.number()?.whole()?),
            (Some(column), Kind::Flag) => match rest.number()?.whole()? {
                flag @ (0 | 1) => row[column] = flag as f32,
                _ => return None,
            },
            // What has 64 bits for its digits is within the range of a 32-bit number.
            (Some(column), _) => row[column] = rest.number()?.float()? as f32,
        }
        rest.blank();
        match rest.next()? {
            b',' => rest.blank(),
            b'}' => break,
            _ => return None,
        }
    }
    rest.blank();
    let all = u128::MAX >> (128 - fields.len());
    (rest.0.is_empty() && seen == all).then_some(transaction)
}

/// A number as it is written: digits without the point, and how many of them stand behind it.
struct Number {
    negative: bool,
    digits: u64,
    decimals: Option<usize>,
}

impl Number {
    fn whole(&self) -> Option<i64> {
        if self.decimals.is_some() || (self.negative && self.digits == 0) {
            return None;
        }
        let value = i64::try_from(self.digits).ok()?;
        Some(if self.negative { -value } else { value })
    }

    /// As `serde_json` makes it, which divides once by a power of ten.
    fn float(&self) -> Option<f64> {
        let Some(decimals) = self.decimals else {
            return Some(self.whole()? as f64);
        };
        let value = self.digits as f64 / POWERS.get(decimals)?;
        Some(if self.negative { -value } else { value })
    }
}

/// What is left to read.
struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    fn blank(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.0 {
            self.0 = rest;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    /// The name of a field; most clients keep to the order of the document.
    fn field(&mut self, schema: &Schema, expected: usize) -> Option<usize> {
        let name = schema.fields().get(expected).map_or("", |field| &field.name);
        if let Some([b'"', rest @ ..]) = self.0.strip_prefix(b"\"")?.strip_prefix(name.as_bytes())
            && !name.is_empty()
        {
            self.0 = rest;
            return Some(expected);
        }
        schema.position(self.text()?, expected)
    }

    /// A text of printable ASCII without escapes.
    fn text(&mut self) -> Option<&'a str> {
        self.byte(b'"')?;
        let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        let length = self.0.iter().position(|byte| !plain(byte))?;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        self.byte(b'"')?;
        std::str::from_utf8(text).ok()
    }

    /// Appends the digits that follow, and says how many there are; none when the value has more than 64 bits.
    fn digits(&mut self, value: &mut u64) -> Option<usize> {
        let before = self.0.len();
        while let [digit @ b'0'..=b'9', rest @ ..] = self.0 {
            *value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            self.0 = rest;
        }
        Some(before - self.0.len())
    }

    /// A number without exponent whose digits fit into 64 bits.
    fn number(&mut self) -> Option<Number> {
        let negative = self.0.first() == Some(&b'-');
        self.0 = &self.0[usize::from(negative)..];
        let zero = self.0.first() == Some(&b'0');
        let mut digits = 0;
        let before = self.digits(&mut digits)?;
        if before == 0 || (zero && before > 1) {
            return None;
        }
        let mut decimals = None;
        if let [b'.', rest @ ..] = self.0 {
            self.0 = rest;
            let count = self.digits(&mut digits)?;
            if count == 0 {
                return None;
            }
            decimals = Some(count);
        }
        if let Some(b'e' | b'E') = self.0.first() {
            return None;
        }
        Some(Number {
            negative,
            digits,
            decimals,
        })
    }
}
