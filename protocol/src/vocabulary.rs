#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Usage { pub input: u64, pub output: u64, pub cache_read: u64, pub cache_creation: u64 }
