//! The tensors of the protocol, shared by HTTP and gRPC.

use std::str::FromStr;

/// Name of the input.
pub const INPUT: &str = "features";
/// Name of the output with the probabilities.
pub const SCORE: &str = "fraud_probability";
/// Name of the output with the decisions.
pub const DECISION: &str = "decision";

/// Bytes of an `id`.
const MAX_ID_BYTES: usize = 256;

/// A request that cannot be scored: what is wrong, and where. Nothing that the client sent is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    /// Puts the place before the problem.
    pub fn at(place: &str, problem: impl std::fmt::Display) -> Self {
        Self(format!("{place}: {problem}"))
    }
}

/// Datatypes that the input may have. The model reads FP32: other values are rounded to the nearest FP32, which is exact for
/// whole numbers up to 2^24 and within 6e-8 relative otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datatype {
    /// As the model reads it.
    Fp32,
    /// Rounded.
    Fp64,
    /// Rounded.
    Int64,
}

impl FromStr for Datatype {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        match name {
            "FP32" => Ok(Self::Fp32),
            "FP64" => Ok(Self::Fp64),
            "INT64" => Ok(Self::Int64),
            _ => Err(Invalid::at(
                "inputs[0].datatype",
                "it must be FP32, FP64 or INT64",
            )),
        }
    }
}

impl Datatype {
    /// Bytes of one value in binary data.
    pub fn size(self) -> usize {
        match self {
            Self::Fp32 => 4,
            Self::Fp64 | Self::Int64 => 8,
        }
    }

    /// Reads little-endian values, row after row. The length must fit; every value must be a finite FP32.
    pub fn read(self, bytes: &[u8], width: usize) -> Result<Vec<f32>, Invalid> {
        let values = bytes.chunks_exact(self.size()).enumerate();
        values
            .map(|(index, raw)| {
                let value = match self {
                    Self::Fp32 => raw.try_into().map(|raw| f64::from(f32::from_le_bytes(raw))),
                    Self::Fp64 => raw.try_into().map(f64::from_le_bytes),
                    Self::Int64 => raw.try_into().map(|raw| i64::from_le_bytes(raw) as f64),
                };
                finite(value.unwrap_or(f64::NAN), index, width)
            })
            .collect()
    }
}

/// The value as FP32, if it is finite there; the error names row and column.
pub fn finite(value: f64, index: usize, width: usize) -> Result<f32, Invalid> {
    let narrow = value as f32;
    if narrow.is_finite() {
        return Ok(narrow);
    }
    let width = width.max(1);
    let (row, column) = (index / width, index % width);
    let problem = format!("row {row}, column {column} is not a finite 32-bit number");
    Err(Invalid::at("inputs[0].data", problem))
}

/// Checks the input's name.
pub fn check_name(name: &str) -> Result<(), Invalid> {
    if name == INPUT {
        return Ok(());
    }
    Err(Invalid::at(
        "inputs[0].name",
        format!("the model has one input, {INPUT}"),
    ))
}

/// The number of rows of a shape, which must be `[n, width]` with n from 1 to `max_rows`.
pub fn rows_of(shape: &[i64], width: usize, max_rows: usize) -> Result<usize, Invalid> {
    let wrong = |problem: String| Invalid::at("inputs[0].shape", problem);
    let &[rows, columns] = shape else {
        return Err(wrong(format!("it must be [n, {width}]")));
    };
    if columns != width as i64 {
        return Err(wrong(format!(
            "it must be [n, {width}]; the second number is not {width}"
        )));
    }
    match usize::try_from(rows) {
        Ok(rows) if (1..=max_rows).contains(&rows) => Ok(rows),
        _ => Err(wrong(format!("the number of rows must be from 1 to {max_rows}"))),
    }
}

/// Checks that an id can be given back.
pub fn check_id(id: &str) -> Result<(), Invalid> {
    if id.len() <= MAX_ID_BYTES {
        return Ok(());
    }
    Err(Invalid::at(
        "id",
        format!("it has more than {MAX_ID_BYTES} bytes"),
    ))
}

/// One of the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The probabilities.
    Score,
    /// The decisions.
    Decision,
}

impl Output {
    /// Both, in their order.
    pub const ALL: [Self; 2] = [Self::Score, Self::Decision];

    /// The name in requests and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Score => SCORE,
            Self::Decision => DECISION,
        }
    }

    /// The datatype in answers.
    pub fn datatype(self) -> &'static str {
        match self {
            Self::Score => "FP32",
            Self::Decision => "BYTES",
        }
    }
}

/// The outputs asked for, in the order asked for; both when none is named.
pub fn select<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<Output>, Invalid> {
    let mut selected = Vec::new();
    for (index, name) in names.enumerate() {
        let place = format!("outputs[{index}].name");
        let known = Output::ALL.into_iter().find(|output| output.name() == name);
        let output = known.ok_or_else(|| {
            Invalid::at(
                &place,
                format!("the model has the outputs {SCORE} and {DECISION}"),
            )
        })?;
        if selected.contains(&output) {
            return Err(Invalid::at(&place, "it is asked for twice"));
        }
        selected.push(output);
    }
    Ok(if selected.is_empty() {
        Output::ALL.to_vec()
    } else {
        selected
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_rows_by_width() {
        assert_eq!(rows_of(&[1, 15], 15, 512), Ok(1));
        assert_eq!(rows_of(&[512, 15], 15, 512), Ok(512));
        for wrong in [
            &[][..],
            &[15],
            &[1, 15, 1],
            &[1, 14],
            &[0, 15],
            &[-1, 15],
            &[513, 15],
            &[i64::MAX, 15],
            &[1, i64::MIN],
        ] {
            let error = rows_of(wrong, 15, 512).expect_err("the shape is wrong");
            assert!(error.0.starts_with("inputs[0].shape"), "{error}");
        }
    }

    #[test]
    fn all_datatypes_are_narrowed_and_what_is_not_finite_is_placed() {
        let bytes: Vec<u8> = [1.5_f64, 0.1].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(Datatype::Fp64.read(&bytes, 2), Ok(vec![1.5, 0.1]));
        let bytes: Vec<u8> = [7_i64, -(1 << 24)].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(Datatype::Int64.read(&bytes, 2), Ok(vec![7.0, -16_777_216.0]));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let bytes: Vec<u8> = [0.0, 0.0, bad, 0.0]
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect();
            let error = Datatype::Fp32.read(&bytes, 2).expect_err("not finite");
            assert_eq!(
                error.0,
                "inputs[0].data: row 1, column 0 is not a finite 32-bit number"
            );
        }
        assert!(Datatype::Fp64.read(&1e300_f64.to_le_bytes(), 1).is_err());
    }

    #[test]
    fn outputs_are_selected_in_the_order_asked_for() {
        assert_eq!(select([].into_iter()), Ok(Output::ALL.to_vec()));
        assert_eq!(
            select([DECISION, SCORE].into_iter()),
            Ok(vec![Output::Decision, Output::Score])
        );
        let unknown = select([SCORE, "label"].into_iter()).expect_err("unknown");
        assert!(unknown.0.starts_with("outputs[1].name"), "{unknown}");
        assert!(select([SCORE, SCORE].into_iter()).is_err());
    }
}
