//! Reading of protobuf's wire format: fields of one message, bounded by its bytes, nothing copied.

/// The value of one field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: a text, bytes, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// What breaks the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message ends inside a field.
    #[error("the file ends in the middle of a field: it is truncated, or no ONNX file")]
    Truncated,
    /// A number takes more than ten bytes.
    #[error("a number is longer than 64 bits")]
    Varint,
    /// A field has no number, or an unknown wire type.
    #[error("a field has an impossible tag")]
    Tag,
    /// A field that should hold a message or text holds a number, or the other way round.
    #[error("field {0} has the wrong wire type")]
    Type(u32),
    /// A text is not UTF-8.
    #[error("field {0} is no valid UTF-8")]
    Utf8(u32),
}

/// The fields of a message, in the order of the bytes.
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Reads the given bytes as one message.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (head, tail) = self.0.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.take(1)?[0];
            if shift == 63 && byte > 1 {
                return Err(WireError::Varint);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Varint)
    }

    fn field(&mut self) -> Result<Field<'a>, WireError> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3)
            .ok()
            .filter(|n| *n > 0 && *n < 1 << 29)
            .ok_or(WireError::Tag)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(
                self.take(8)?.try_into().map_err(|_| WireError::Truncated)?,
            )),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(
                self.take(4)?.try_into().map_err(|_| WireError::Truncated)?,
            )),
            _ => return Err(WireError::Tag),
        };
        Ok(Field { number, value })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
}

impl<'a> Field<'a> {
    /// The field as bytes or as a nested message.
    pub fn bytes(&self) -> Result<&'a [u8], WireError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::Type(self.number)),
        }
    }

    /// The field as text.
    pub fn text(&self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Utf8(self.number))
    }

    /// The field as a number.
    pub fn integer(&self) -> Result<i64, WireError> {
        match self.value {
            Value::Varint(value) => Ok(value as i64),
            _ => Err(WireError::Type(self.number)),
        }
    }

    /// The field as a repeated number, packed or not: calls `each` for every one.
    pub fn integers(&self, mut each: impl FnMut(i64)) -> Result<(), WireError> {
        match self.value {
            Value::Varint(value) => each(value as i64),
            Value::Bytes(bytes) => {
                let mut packed = Fields(bytes);
                while !packed.0.is_empty() {
                    each(packed.varint()? as i64);
                }
            }
            _ => return Err(WireError::Type(self.number)),
        }
        Ok(())
    }

    /// The field as a repeated 32-bit float, packed or not: calls `each` for every one.
    pub fn floats(&self, mut each: impl FnMut(f32)) -> Result<(), WireError> {
        match self.value {
            Value::Fixed32(bits) => each(f32::from_bits(bits)),
            Value::Bytes(bytes) => {
                let (floats, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(WireError::Truncated);
                }
                floats.iter().for_each(|four| each(f32::from_le_bytes(*four)));
            }
            Value::Varint(_) | Value::Fixed64(_) => return Err(WireError::Type(self.number)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_texts_and_packed_numbers_are_read() {
        let bytes = [
            0x08, 0x96, 0x01, 0x12, 0x02, b'o', b'k', 0x1a, 0x03, 0x01, 0x96, 0x01,
        ];
        let fields: Vec<_> = Fields::of(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields[0].integer(), Ok(150));
        assert_eq!(fields[1].text(), Ok("ok"));
        let mut packed = Vec::new();
        fields[2].integers(|n| packed.push(n)).unwrap();
        assert_eq!(packed, [1, 150]);
    }

    #[test]
    fn floats_are_read_packed_or_one_by_one() {
        let bytes = [
            0x0d, 0, 0, 0x80, 0x3f, 0x12, 8, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0x1a, 3, 0, 0, 0,
        ];
        let fields: Vec<_> = Fields::of(&bytes).map(Result::unwrap).collect();
        let mut floats = Vec::new();
        for field in &fields[..2] {
            field.floats(|f| floats.push(f)).unwrap();
        }
        assert_eq!(floats, [1.0, 2.0, 3.0]);
        assert_eq!(fields[2].floats(|_| {}), Err(WireError::Truncated));
    }

    #[test]
    fn broken_bytes_are_errors() {
        for bytes in [
            &[0x12, 0x05, b'x'][..],
            &[0x08],
            &[0x0b],
            &[0x00, 0x00],
            &[0x08, 0xff, 0xff],
        ] {
            assert!(Fields::of(bytes).any(|f| f.is_err()), "{bytes:?}");
        }
        let endless = [&[0x08][..], &[0xff; 11]].concat();
        assert_eq!(Fields::of(&endless).next(), Some(Err(WireError::Varint)));
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Fields::of(&bytes).count() <= bytes.len());
        }
    }
}
