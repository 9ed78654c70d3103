//! tests/cluster
fn main() {}
