//! The engines on real models, with ONNX Runtime beside them.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

mod agreement;
mod explanations;
mod trial;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use fraudops_scorer::model::{Runtime, Verified, verify};

/// ONNX Runtime's library: ORT_DYLIB_PATH, else where scorer/onnxruntime.sh puts it.
fn library() -> PathBuf {
    let place = root().join("../target/onnxruntime/libonnxruntime.so");
    let library = std::env::var_os("ORT_DYLIB_PATH").map_or(place, PathBuf::from);
    assert!(
        library.exists(),
        "{} is missing: run `scorer/onnxruntime.sh target/onnxruntime` in the repository, or set ORT_DYLIB_PATH",
        library.display()
    );
    library
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::load(Some(&library())).expect("the library loads"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn model(path: &str) -> Verified {
    verify(&root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const QUICKSTART: &str = "../examples/quickstart/model/card-fraud-2026.11.1.onnx";
const QUICKSTART_NEXT: &str = "../examples/quickstart/model/card-fraud-2026.11.2.onnx";
