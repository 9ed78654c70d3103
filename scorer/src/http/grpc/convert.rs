//! Messages of the protocol to rows, and scores to messages: pure.

use super::{
    bridge::Facts,
    inference::{
        InferTensorContents, ModelInferRequest, ModelInferResponse, ModelMetadataResponse,
        model_infer_request::InferInputTensor, model_infer_response::InferOutputTensor,
        model_metadata_response::TensorMetadata,
    },
};
use crate::{
    decision::Decision,
    http::oip::{
        self,
        tensor::{self, Datatype, Invalid, Output, finite},
    },
};

/// What is to be scored, and how the answer is to look.
#[derive(Debug, PartialEq)]
pub struct Work {
    /// Row after row.
    pub rows: Vec<f32>,
    /// The outputs, in the order asked for.
    pub outputs: Vec<Output>,
    /// Whether the answer has raw contents; as in the request.
    pub raw: bool,
}

/// Checks a request and takes its rows out.
pub fn work(request: &ModelInferRequest, width: usize, max_rows: usize) -> Result<Work, Invalid> {
    tensor::check_id(&request.id)?;
    let outputs = tensor::select(request.outputs.iter().map(|output| output.name.as_str()))?;
    let [input] = request.inputs.as_slice() else {
        return Err(Invalid::at(
            "inputs",
            format!("there must be one, {}", tensor::INPUT),
        ));
    };
    tensor::check_name(&input.name)?;
    let datatype: Datatype = input.datatype.parse()?;
    let count = tensor::rows_of(&input.shape, width, max_rows)? * width;
    let raw = !request.raw_input_contents.is_empty();
    let rows = if raw {
        from_raw(request, input, datatype, count, width)?
    } else {
        from_contents(input, datatype, count, width)?
    };
    Ok(Work { rows, outputs, raw })
}

fn from_raw(
    request: &ModelInferRequest,
    input: &InferInputTensor,
    datatype: Datatype,
    count: usize,
    width: usize,
) -> Result<Vec<f32>, Invalid> {
    let expected = count * datatype.size();
    match request.raw_input_contents.as_slice() {
        [bytes] if input.contents.is_none() && bytes.len() == expected => datatype.read(bytes, width),
        [_] if input.contents.is_some() => Err(Invalid::at(
            "inputs[0].contents",
            "it must be absent beside raw_input_contents",
        )),
        _ => {
            let problem = format!("there must be one, of {expected} bytes by shape and datatype");
            Err(Invalid::at("raw_input_contents", problem))
        }
    }
}

fn from_contents(
    input: &InferInputTensor,
    datatype: Datatype,
    count: usize,
    width: usize,
) -> Result<Vec<f32>, Invalid> {
    let none = InferTensorContents::default();
    let contents = input.contents.as_ref().unwrap_or(&none);
    let (field, values): (_, Vec<f64>) = match datatype {
        Datatype::Fp32 => (
            "fp32_contents",
            contents.fp32_contents.iter().map(|v| f64::from(*v)).collect(),
        ),
        Datatype::Fp64 => ("fp64_contents", contents.fp64_contents.clone()),
        Datatype::Int64 => (
            "int64_contents",
            contents.int64_contents.iter().map(|v| *v as f64).collect(),
        ),
    };
    if values.len() != count {
        let problem = format!("the shape needs {count} values there");
        return Err(Invalid::at(&format!("inputs[0].contents.{field}"), problem));
    }
    let values = values.into_iter().enumerate();
    values.map(|(index, value)| finite(value, index, width)).collect()
}

/// The answer to a request that was scored.
pub fn response(facts: &Facts, id: String, work: &Work, scored: &[(f32, Decision)]) -> ModelInferResponse {
    let mut answer = ModelInferResponse {
        model_name: facts.name.clone(),
        model_version: facts.version.clone(),
        id,
        ..ModelInferResponse::default()
    };
    for output in &work.outputs {
        answer.outputs.push(InferOutputTensor {
            name: output.name().to_owned(),
            datatype: output.datatype().to_owned(),
            shape: vec![scored.len() as i64],
            contents: (!work.raw).then(|| contents(*output, scored)),
            ..InferOutputTensor::default()
        });
        if work.raw {
            let mut bytes = Vec::new();
            oip::encode(*output, scored, &mut bytes);
            answer.raw_output_contents.push(bytes);
        }
    }
    answer
}

fn contents(output: Output, scored: &[(f32, Decision)]) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    for (score, decision) in scored {
        match output {
            Output::Score => contents.fp32_contents.push(*score),
            Output::Decision => contents.bytes_contents.push(decision.as_str().into()),
        }
    }
    contents
}

/// The model as the protocol describes it.
pub fn metadata(facts: &Facts) -> ModelMetadataResponse {
    let tensor = |name: &str, datatype: &str, shape: &[i64]| TensorMetadata {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
    };
    let outputs = Output::ALL
        .iter()
        .map(|output| tensor(output.name(), output.datatype(), &[-1]));
    ModelMetadataResponse {
        name: facts.name.clone(),
        versions: vec![facts.version.clone()],
        platform: oip::PLATFORM.to_owned(),
        inputs: vec![tensor(tensor::INPUT, "FP32", &[-1, facts.width as i64])],
        outputs: outputs.collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn request(datatype: &str, shape: &[i64], contents: InferTensorContents) -> ModelInferRequest {
        ModelInferRequest {
            inputs: vec![InferInputTensor {
                name: tensor::INPUT.to_owned(),
                datatype: datatype.to_owned(),
                shape: shape.to_vec(),
                contents: Some(contents),
                ..InferInputTensor::default()
            }],
            ..ModelInferRequest::default()
        }
    }

    fn floats(values: &[f32]) -> InferTensorContents {
        InferTensorContents {
            fp32_contents: values.to_vec(),
            ..InferTensorContents::default()
        }
    }

    #[test]
    fn typed_and_raw_contents_give_the_same_rows() {
        let typed = request("FP32", &[2, 2], floats(&[1.0, 2.0, 3.0, 4.0]));
        let mut raw = typed.clone();
        raw.inputs[0].contents = None;
        raw.raw_input_contents = vec![
            [1.0_f32, 2.0, 3.0, 4.0]
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect(),
        ];
        let (typed, raw) = (work(&typed, 2, 8).unwrap(), work(&raw, 2, 8).unwrap());
        assert_eq!(typed.rows, raw.rows);
        assert_eq!((typed.raw, raw.raw), (false, true));
    }

    #[test]
    fn what_cannot_be_scored_is_named() {
        let good = request("FP32", &[1, 2], floats(&[1.0, 2.0]));
        type Change = fn(&mut ModelInferRequest);
        let table: [(&str, Change); 9] = [
            ("id:", |r| r.id = "x".repeat(257)),
            ("inputs:", |r| r.inputs.clear()),
            ("inputs:", |r| r.inputs.push(InferInputTensor::default())),
            ("inputs[0].name", |r| r.inputs[0].name = "input-0".into()),
            ("inputs[0].datatype", |r| r.inputs[0].datatype = "BYTES".into()),
            ("inputs[0].shape", |r| r.inputs[0].shape = vec![9, 2]),
            ("inputs[0].contents.fp32_contents", |r| {
                r.inputs[0].contents = Some(floats(&[1.0]))
            }),
            ("inputs[0].data: row 0, column 1", |r| {
                r.inputs[0].contents = Some(floats(&[1.0, f32::NAN]));
            }),
            ("inputs[0].contents:", |r| r.raw_input_contents = vec![vec![0; 8]]),
        ];
        for (place, change) in table {
            let mut request = good.clone();
            change(&mut request);
            let error = work(&request, 2, 8).expect_err(place);
            assert!(error.0.starts_with(place), "{place}: {error}");
        }
        assert!(work(&good, 2, 8).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_and_checked_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(request) = ModelInferRequest::decode(bytes.as_slice()) {
                let _ = work(&request, 15, 512);
            }
        }

        #[test]
        fn any_shape_is_checked_without_a_panic(
            shape in prop::collection::vec(any::<i64>(), 0..4), values in prop::collection::vec(any::<f32>(), 0..40),
        ) {
            if let Ok(work) = work(&request("FP32", &shape, floats(&values)), 3, 8) {
                prop_assert!(work.rows.len() % 3 == 0 && work.rows.iter().all(|value| value.is_finite()));
            }
        }
    }
}
