//! `vdm health reset`: resets the health of providers and keys in the running gateway.

use clap::Args;

use super::exit_code::Exit;
use super::server::GatewayArgs;
use crate::process::control::ResetTarget;

#[derive(Args, Debug)]
pub(super) struct ResetArgs {
    /// Provider to reset; all providers if omitted
    #[arg(value_name = "PROVIDER")]
    provider: Option<String>,
    /// Reset only the key with this id, as logs and `vdm health server` show it
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    #[command(flatten)]
    order: GatewayArgs,
}

impl ResetArgs {
    pub(super) fn run(self) -> Exit {
        self.order.reset_health(ResetTarget { provider: self.provider, key: self.key })
    }
}
