//! The official SDKs that `scripts/check` installed. What one must make of the replies stands in a script in its own
//! language; scripts of the two languages know the same scenarios.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::installed::{self, Finished, Home};

/// An SDK and its script.
pub(crate) struct Sdk {
    interpreter: PathBuf,
    script: &'static str,
    /// Where the script finds what it imports; an interpreter of its own needs to be told nothing.
    modules: Option<PathBuf>,
}

/// Anthropic's SDKs, those that are there.
pub(crate) fn anthropic() -> Vec<Sdk> {
    let python = Sdk::python("anthropic_sdk.py");
    let javascript = Sdk::javascript("@anthropic-ai/sdk", "anthropic_sdk.mjs");
    python.into_iter().chain(javascript).collect()
}

impl Sdk {
    fn python(script: &'static str) -> Option<Self> {
        let interpreter = installed::client("venv/bin/python")?;
        Some(Self { interpreter, script, modules: None })
    }

    fn javascript(package: &str, script: &'static str) -> Option<Self> {
        let _there = installed::client(&format!("javascript/node_modules/{package}"))?;
        let modules = installed::client("javascript/node_modules")?;
        Some(Self { interpreter: "node".into(), script, modules: Some(modules) })
    }

    /// Runs a scenario of the script, which must find all as it expects it.
    pub(crate) fn holds(&self, arguments: &[&str]) {
        let Finished { status, stdout, stderr } = self.run(arguments);
        assert!(status.success(), "{} {arguments:?}\n{stdout}\n{stderr}", self.script);
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let home = Home::new();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(self.script);
        let script = home.path.join(self.script);
        std::fs::copy(source, &script).expect("a writable directory");
        if let Some(modules) = &self.modules {
            symlink(modules, home.path.join("node_modules")).expect("a writable directory");
        }
        installed::run(&self.interpreter, &home, |command| {
            command.arg(script).args(arguments);
        })
    }
}
