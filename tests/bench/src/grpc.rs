//! One `ModelInfer` of the Open Inference Protocol as it lies on the wire: the frame of gRPC, and protobuf written by hand.

/// Path of the method.
pub const METHOD: &str = "/inference.GRPCInferenceService/ModelInfer";

/// A request for one row.
pub fn infer(model: &str, inputs: &[f32]) -> Vec<u8> {
    let mut contents = Vec::new();
    let floats: Vec<u8> = inputs.iter().flat_map(|value| value.to_le_bytes()).collect();
    field(&mut contents, 6, &floats); // InferTensorContents.fp32_contents
    let mut tensor = Vec::new();
    field(&mut tensor, 1, b"features");
    field(&mut tensor, 2, b"FP32");
    field(&mut tensor, 3, &[1, inputs.len() as u8]);
    field(&mut tensor, 5, &contents);
    let mut request = Vec::new();
    field(&mut request, 1, model.as_bytes());
    field(&mut request, 5, &tensor);
    let mut frame = vec![0]; // not compressed
    frame.extend((request.len() as u32).to_be_bytes());
    frame.extend(request);
    frame
}

/// A field of wire type 2.
fn field(message: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    message.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        message.push(length as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_what_protobuf_and_grpc_say() {
        let frame = infer("m", &[1.0]);
        let tensor = b"\x0a\x08features\x12\x04FP32\x1a\x02\x01\x01\x2a\x06\x32\x04\x00\x00\x80\x3f";
        let request = [b"\x0a\x01m\x2a\x1c".as_slice(), tensor].concat();
        assert_eq!(tensor.len(), 0x1c);
        assert_eq!(frame, [b"\x00\x00\x00\x00\x21".as_slice(), &request].concat());
        let long = infer("m", &[0.0; 40]);
        assert_eq!(
            u32::from_be_bytes([long[1], long[2], long[3], long[4]]) as usize,
            long.len() - 5
        );
    }
}
