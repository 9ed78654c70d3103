//! Tensors inside the file: constants, weights, sparse ones.

use super::{Refusal, clip, entry, refuse};
use crate::model::wire::Fields;

/// Elements that one tensor may have.
const MAX_ELEMENTS: i64 = 1 << 28;

/// Elements of a sparse tensor with its zeros, which are all allocated when it is loaded.
const MAX_SPARSE_ELEMENTS: i64 = 1 << 24;

/// The smallest elements are of four bits: no tensor has more of them for each byte of the file.
const MAX_ELEMENTS_PER_BYTE: usize = 2;

/// A marker that ONNX Runtime takes for an address in memory.
const MEMORY_MARKER: &str = "ORT_MEM_ADDR";

/// Refuses tensors whose data lies elsewhere, and such of impossible size. Answers the tensor's name.
pub fn check(bytes: &[u8]) -> Result<&str, Refusal> {
    let (mut name, mut elements) = ("", Some(1_i64));
    let mut outside = false;
    for field in Fields::of(bytes) {
        let field = field?;
        match field.number {
            1 => field.integers(|size| elements = multiply(elements, size))?,
            8 => name = field.text()?,
            13 => {
                let (key, value) = entry(field.bytes()?)?;
                if key.contains(MEMORY_MARKER) || value.contains(MEMORY_MARKER) {
                    return refuse("a tensor names an address in memory as its data");
                }
                outside = true;
            }
            14 => outside |= field.integer()? != 0,
            _ => {}
        }
    }
    if outside {
        let advice = "save the model as one file (onnx.save without save_as_external_data)";
        return refuse(format!(
            "tensor `{}` keeps its data outside the file; {advice}",
            clip(name)
        ));
    }
    match elements {
        Some(0..=1) => Ok(name),
        Some(count @ 2..=MAX_ELEMENTS) if count as usize <= MAX_ELEMENTS_PER_BYTE * bytes.len() => Ok(name),
        _ => refuse(format!("tensor `{}` has an impossible size", clip(name))),
    }
}

/// The same for a sparse tensor: its values and its indices.
pub fn check_sparse(bytes: &[u8]) -> Result<(), Refusal> {
    let mut elements = Some(1_i64);
    for field in Fields::of(bytes) {
        let field = field?;
        match field.number {
            1 | 2 => {
                check(field.bytes()?)?;
            }
            3 => field.integers(|size| elements = multiply(elements, size))?,
            _ => {}
        }
    }
    match elements {
        Some(0..=MAX_SPARSE_ELEMENTS) => Ok(()),
        _ => refuse("a sparse tensor has an impossible size"),
    }
}

fn multiply(product: Option<i64>, size: i64) -> Option<i64> {
    product.filter(|_| size >= 0).and_then(|p| p.checked_mul(size))
}
