//! Options that many commands have: the configuration file, and which gateway a command is about.

use std::path::PathBuf;

use clap::Args;

use crate::config::Overrides;

/// The configuration that a command reads.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ConfigOptions {
    /// Read this configuration file as well; it overrides the other files
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// The gateway that a command is about.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct GatewayOptions {
    /// Address or host name of the gateway; overrides HOST and the files
    #[arg(long, value_name = "HOST")]
    pub(super) host: Option<String>,
    /// Port of the gateway; overrides PORT and the files
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Option<u16>,
    #[command(flatten)]
    pub(super) options: ConfigOptions,
}

/// How the command line names the gateway.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// `--host`
    Host,
    /// `--port` without `--host`
    Port,
    Configuration,
}

impl ConfigOptions {
    /// What this process overrides in the configuration.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides { config: self.config.clone(), ..Overrides::of_process() }
    }
}

impl GatewayOptions {
    /// What this process overrides in the configuration.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides { host: self.host.clone(), port: self.port, ..self.options.overrides() }
    }

    pub(super) fn naming(&self) -> Naming {
        match (&self.host, self.port) {
            (Some(_), _) => Naming::Host,
            (None, Some(_)) => Naming::Port,
            (None, None) => Naming::Configuration,
        }
    }
}
