//! vdm
fn main() {}
