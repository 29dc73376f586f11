//! Attacks that have succeeded against other gateways, and the class of every endpoint.

mod endpoints;
mod exploits;

use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::Upstream;

const ALICE: &str = "vdm_alice_0123456789abcdef";
const BOB: &str = "vdm_bob_0123456789abcdef";
const ADMIN: &str = "vdm_admin_0123456789abcdef";
const PROXY: &str = "vdm_proxy_0123456789abcdef";

/// A gateway with every kind of key.
fn with_all_keys(upstream: &Upstream) -> Setup {
    Gateway::before(upstream)
        .env("PROXY_API_KEY", PROXY)
        .env("VDM_ADMIN_KEY", ADMIN)
        .toml(&format!("[client-keys]\nalice = '{ALICE}'\nbob = '{BOB}'"))
}
