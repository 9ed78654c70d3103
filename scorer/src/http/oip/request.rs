//! An inference request: JSON, or JSON followed by binary tensor data.

mod data;

use http::HeaderMap;
use serde::{Deserialize, Deserializer, de};

use super::{
    HEADER_LENGTH,
    tensor::{self, Datatype, Invalid, Output},
};
use crate::http::json_problem::describe;
use data::Data;

/// What is to be scored, and what the answer is to hold.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// To be given back.
    pub id: Option<String>,
    /// Row after row.
    pub rows: Vec<f32>,
    /// The outputs, each with whether it comes as binary data.
    pub selection: Vec<(Output, bool)>,
}

#[derive(Deserialize)]
struct Wire {
    id: Option<String>,
    parameters: Option<Parameters>,
    #[serde(deserialize_with = "one_input")]
    inputs: Input,
    outputs: Option<Vec<Wanted>>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    parameters: Option<Parameters>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Wanted {
    name: String,
    parameters: Option<Parameters>,
}

/// Parameters that mean something here; others are ignored, as the protocol wants it.
#[derive(Default, Deserialize)]
struct Parameters {
    binary_data_size: Option<usize>,
    binary_data: Option<bool>,
    binary_data_output: Option<bool>,
}

/// A list of exactly one input, without room for more.
fn one_input<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Input, D::Error> {
    struct One;
    impl<'de> de::Visitor<'de> for One {
        type Value = Input;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list with one input")
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut inputs: A) -> Result<Input, A::Error> {
            let input = inputs
                .next_element()?
                .ok_or_else(|| de::Error::invalid_length(0, &self))?;
            match inputs.next_element::<de::IgnoredAny>()? {
                None => Ok(input),
                Some(_) => Err(de::Error::invalid_length(2, &self)),
            }
        }
    }
    deserializer.deserialize_seq(One)
}

/// Reads a request for a model with so many columns.
pub fn read(headers: &HeaderMap, body: &[u8], width: usize, max_rows: usize) -> Result<Request, Invalid> {
    let (json, binary) = split(headers, body)?;
    let wire: Wire = serde_json::from_slice(json).map_err(|error| Invalid(describe(&error, json.len())))?;
    if let Some(id) = &wire.id {
        tensor::check_id(id)?;
    }
    let wanted = wire.outputs.unwrap_or_default();
    let outputs = tensor::select(wanted.iter().map(|wanted| wanted.name.as_str()))?;
    let by_default = wire
        .parameters
        .and_then(|p| p.binary_data_output)
        .unwrap_or(false);
    let selection = outputs.into_iter().enumerate().map(|(index, output)| {
        let parameters = wanted.get(index).and_then(|wanted| wanted.parameters.as_ref());
        (
            output,
            parameters.and_then(|p| p.binary_data).unwrap_or(by_default),
        )
    });
    Ok(Request {
        id: wire.id,
        selection: selection.collect(),
        rows: rows(wire.inputs, binary, width, max_rows)?,
    })
}

/// Splits the JSON from the binary data behind it.
fn split<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), Invalid> {
    let Some(length) = headers.get(HEADER_LENGTH) else {
        return Ok((body, None));
    };
    let length = length.to_str().ok().and_then(|text| text.parse::<usize>().ok());
    let parts = length.and_then(|length| body.split_at_checked(length));
    let (json, binary) = parts.ok_or_else(|| {
        Invalid::at(
            HEADER_LENGTH.as_str(),
            "it must be the length of the JSON in the body",
        )
    })?;
    Ok((json, Some(binary)))
}

fn rows(input: Input, binary: Option<&[u8]>, width: usize, max_rows: usize) -> Result<Vec<f32>, Invalid> {
    tensor::check_name(&input.name)?;
    let datatype: Datatype = input.datatype.parse()?;
    let count = tensor::rows_of(&input.shape, width, max_rows)? * width;
    let announced = input.parameters.and_then(|p| p.binary_data_size);
    match (announced, input.data) {
        (None, Some(data)) => match binary {
            None | Some([]) => data.rows(datatype, count, width),
            Some(_) => Err(Invalid::at(
                "body",
                "there is binary data, but no input has binary_data_size",
            )),
        },
        (Some(announced), None) => {
            let expected = count * datatype.size();
            let bytes = binary.unwrap_or_default();
            if announced != expected || bytes.len() != expected {
                let problem = format!("shape and datatype need {expected} bytes of binary data");
                return Err(Invalid::at("inputs[0].parameters.binary_data_size", problem));
            }
            datatype.read(bytes, width)
        }
        (Some(_), Some(_)) => Err(Invalid::at(
            "inputs[0]",
            "it has data and binary_data_size; one of them is enough",
        )),
        (None, None) => Err(Invalid::at("inputs[0].data", "it is missing")),
    }
}
