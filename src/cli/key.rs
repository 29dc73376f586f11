//! `vdm key new`: makes a key for a client and prints it once. Only its hash belongs in the configuration.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Args, Subcommand};

use super::exit_code::Exit;
use super::{print_json, print_to_stderr};
use crate::access_keys::KeyHash;
use crate::config::is_client_name;

/// Scanners for leaked secrets find keys by their prefix.
const PREFIX: &str = "vdm_";
/// Random bytes of a key.
const LENGTH: usize = 24;

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key for a client; prints it once, with the line for [client-keys].
    New(NewKeyArgs),
}

#[derive(Args, Debug)]
pub(super) struct NewKeyArgs {
    /// Name of the client in logs and metrics: letters, digits, - and _
    #[arg(value_name = "NAME")]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl KeyCommand {
    pub(super) fn run(self) -> Exit {
        match self {
            Self::New(new) => new.run(),
        }
    }
}

impl NewKeyArgs {
    fn run(self) -> Exit {
        let name = self.name.to_ascii_lowercase();
        if !is_client_name(&name) {
            print_to_stderr(format_args!("vdm: a name may hold letters, digits, - and _ only, 64 at most\n"));
            return Exit::Usage;
        }
        let Some(key) = random_key() else {
            print_to_stderr(format_args!("vdm: the system provides no random numbers\n"));
            return Exit::Internal;
        };
        let hash = KeyHash::from_key(key.as_bytes()).to_string();
        if self.json {
            print_json(&serde_json::json!({"name": name, "key": key, "hash": hash}));
            return Exit::Ok;
        }
        print_to_stderr(format_args!(
            "The key of {name}. It is not shown again; give it to the client as its API key:\n\n"
        ));
        // A closed pipe is not an error.
        let _ = writeln!(std::io::stdout(), "{key}");
        print_to_stderr(format_args!(
            "\nAdd this to vandamme-config.toml, then run `vdm server reload`:\n\n[client-keys]\n{name} = {{ hash = \"{hash}\" }}\n"
        ));
        Exit::Ok
    }
}

fn random_key() -> Option<String> {
    let mut bytes = [0; LENGTH];
    rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(bytes.iter().fold(PREFIX.to_owned(), |mut key, byte| {
        // Writing to a string cannot fail.
        let _ = write!(key, "{byte:02x}");
        key
    }))
}
