//! Any bytes as a model file: never a panic, and an outline no larger than the file.

#![no_main]

use fraudops_scorer::model::inspect;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    if let Ok(outline) = inspect(file) {
        assert!(outline.ir_version > 0);
        assert!(outline.nodes <= file.len());
        let metadata: usize = outline
            .metadata
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        assert!(metadata <= file.len());
        assert!(outline.inputs.len() + outline.outputs.len() <= file.len());
    }
});
