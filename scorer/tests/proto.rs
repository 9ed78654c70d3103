//! The code and the descriptors that are made from the proto file. `UPDATE=1 cargo test --test proto` writes them.

use std::{fs, path::Path};

use prost::Message;
use protox::prost_reflect::prost_types::FileDescriptorSet;

const PROTO: &str = "proto/open_inference_grpc.proto";
const DESCRIPTORS: &str = "proto/open_inference_grpc.binpb";
const CODE: &str = "src/http/grpc/inference.rs";

fn code(descriptors: FileDescriptorSet) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .out_dir(folder.path())
        .compile_fds(descriptors)
        .expect("code is made");
    fs::read(folder.path().join("inference.rs")).expect("the package has a file")
}

fn check(file: &str, made: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, made).expect("the file can be written");
    }
    let there = fs::read(&path).unwrap_or_default();
    assert!(there == made, "{file} is stale: run `make proto`");
}

#[test]
fn the_generated_code_and_descriptors_are_those_of_the_proto_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut descriptors =
        protox::compile([folder.join(PROTO)], [folder.join("proto")]).expect("the proto file is right");
    check(CODE, &code(descriptors.clone()));
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    check(DESCRIPTORS, &descriptors.encode_to_vec());
}
