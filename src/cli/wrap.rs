//! `vdm wrap TOOL`, `claude.vdm` and `codex.vdm`: run a tool through a gateway. The tool replaces this process, so it has the
//! terminal, the signals and the exit code.

mod codex;
mod environment;
mod gateway;
mod settings;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use self::environment::{Changes, CodexCredential};
use self::gateway::GatewaySelector;
use self::settings::Effect;
use super::exit_code::Exit;
use super::options::GatewayOptions;
use super::{configured, print_to_stderr};
use crate::process;
use crate::telemetry::LogTarget;

/// The names under which `vdm` wraps a tool.
const LINKS: [(&str, &str); 2] = [("claude.vdm", "claude"), ("codex.vdm", "codex")];

#[derive(Args, Debug)]
pub(super) struct Wrap {
    /// For tools that use Chat Completions: set OPENAI_BASE_URL, OPENAI_API_BASE and OPENAI_API_KEY
    #[arg(long)]
    openai: bool,
    #[command(flatten)]
    gateway: GatewayOptions,
    /// If a gateway is started: log to systemd's journal, as vandamme-proxy
    #[arg(long)]
    systemd: bool,
    /// Print the command and its environment without running it
    #[arg(long)]
    dry_run: bool,
    /// `claude`, `codex`, or with --openai any tool that uses Chat Completions
    tool: OsString,
    /// Arguments for the tool; use -- before options that vdm also accepts
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// The kinds of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WrappedTool {
    ClaudeCode,
    Codex,
    /// Any tool that uses Chat Completions.
    OfOpenAi,
}

/// Rewrites `claude.vdm ARGUMENTS` as `vdm wrap claude …`, and `codex.vdm` likewise. `--host` and `--port` are options of the
/// gateway at any position; all other arguments are the tool's.
pub(super) fn spelled_out(called: &[OsString]) -> Option<Vec<OsString>> {
    let (name, rest) = called.split_first()?;
    let name = Path::new(name).file_name()?;
    let Some((_, tool)) = LINKS.iter().find(|(link, _)| name == *link) else {
        return with_separator(called);
    };
    let mut own = vec![OsString::from("vdm"), "wrap".into(), tool.into()];
    let mut tools = Vec::new();
    let mut rest = rest.iter();
    while let Some(argument) = rest.next() {
        let text = argument.to_string_lossy();
        if argument == "--" {
            tools.push(argument.clone());
            tools.extend(rest.by_ref().cloned());
        } else if argument == "--host" || argument == "--port" {
            own.push(argument.clone());
            own.extend(rest.next().cloned());
        } else if text.starts_with("--host=") || text.starts_with("--port=") {
            own.push(argument.clone());
        } else {
            tools.push(argument.clone());
        }
    }
    own.push("--".into());
    own.extend(tools);
    Some(own)
}

/// `vdm wrap TOOL -c` with `--` before the first short option after the tool's name: short options are the tool's there.
/// Long options of `vdm` are accepted before and after the name.
fn with_separator(called: &[OsString]) -> Option<Vec<OsString>> {
    called.get(1).filter(|command| *command == "wrap")?;
    let mut has_tool = false;
    let mut index = 2;
    loop {
        let argument = called.get(index)?.to_string_lossy();
        let is_short = argument.len() > 1 && argument.starts_with('-') && !argument.starts_with("--");
        if has_tool && is_short {
            let (before, after) = called.split_at_checked(index)?;
            return Some([before, &[OsString::from("--")], after].concat());
        }
        let (name, value) = argument.split_once('=').unzip();
        match (name.unwrap_or(&argument), value) {
            ("--host" | "--port" | "--config" | "-c", None) => index += 1,
            ("--host" | "--port" | "--config" | "--openai" | "--systemd" | "--dry-run" | "--help", _) => {}
            ("--", _) => return None,
            _ if is_short && !has_tool => {}
            _ if has_tool => return None,
            _ => has_tool = true,
        }
        index += 1;
    }
}

impl Wrap {
    pub(super) fn run(self) -> Exit {
        self.wrap().err().unwrap_or(Exit::Ok)
    }

    /// Returns only if the tool was not run.
    fn wrap(&self) -> Result<(), Exit> {
        let tool = self.known().map_err(|refusal| failure(&refusal, Exit::Usage))?;
        let program = program(&self.tool)?;
        let config = configured(&self.gateway.options)?;
        let GatewayOptions { host, port, options } = &self.gateway;
        let (host, port, file) = (host.as_deref(), *port, options.config.as_deref());
        let log = if self.systemd { LogTarget::Systemd } else { LogTarget::Stderr };
        let selector = GatewaySelector { host, port, file, log, config: &config };
        let url = if self.dry_run { selector.expected() } else { selector.reach()? };
        let changes = match tool {
            WrappedTool::ClaudeCode => Changes::for_claude_code(&url, &config, &read),
            WrappedTool::Codex => Changes::for_codex(&url, &config, &read),
            WrappedTool::OfOpenAi => Changes::for_openai(&url, &config, &read),
        };
        let mut arguments = self.arguments.clone();
        match tool {
            WrappedTool::ClaudeCode => {
                let effect = if self.dry_run { Effect::Shown } else { Effect::Real };
                settings::overrule(&changes, &mut arguments, effect);
            }
            WrappedTool::Codex => {
                let credential = CodexCredential::new(&config, &read);
                arguments.splice(0..0, codex::options(&url, credential, &self.arguments));
            }
            WrappedTool::OfOpenAi => {}
        }
        if self.dry_run {
            // A closed pipe is not an error.
            let _ = self.print(&changes, &arguments);
            return Ok(());
        }
        let mut command = Command::new(&program);
        command.args(arguments);
        changes.apply(&mut command);
        let failed = process::become_program(&mut command);
        Err(failure(&format!("{} cannot be run: {failed}", program.display()), Exit::NotExecutable))
    }

    fn known(&self) -> Result<WrappedTool, String> {
        let name = Path::new(&self.tool).file_stem().unwrap_or(&self.tool).to_string_lossy().to_lowercase();
        match (&*name, self.openai) {
            ("gemini", _) => Err(
                "gemini uses an API that this version of vdm does not serve; it serves the Messages API (claude), the Responses API (codex) and Chat Completions (--openai TOOL)".to_owned()
            ),
            ("claude", false) => Ok(WrappedTool::ClaudeCode),
            ("codex", false) => Ok(WrappedTool::Codex),
            ("codex", true) => Err("codex does not use Chat Completions; leave out --openai: vdm wrap codex".to_owned()),
            (_, true) => Ok(WrappedTool::OfOpenAi),
            (_, false) => Err(format!(
                "unknown tool '{name}'; vdm knows claude and codex by name; if the tool uses Chat Completions: vdm wrap --openai {name}"
            )),
        }
    }

    fn print(&self, changes: &Changes, arguments: &[OsString]) -> std::io::Result<()> {
        let mut out = std::io::stdout();
        let words = std::iter::once(&self.tool).chain(arguments).map(|word| quoted(word));
        writeln!(out, "{}", words.collect::<Vec<_>>().join(" "))?;
        writeln!(out, "with")?;
        changes.shown().iter().try_for_each(|line| writeln!(out, "  {line}"))
    }
}

/// The text quoted for a shell.
fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn read(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn failure(message: &str, exit: Exit) -> Exit {
    print_to_stderr(format_args!("vdm: {message}\n"));
    exit
}

/// The tool's path, which is searched before a gateway is started.
fn program(tool: &OsStr) -> Result<PathBuf, Exit> {
    let given = Path::new(tool);
    let candidates: Vec<PathBuf> = if given.components().count() > 1 {
        vec![given.to_owned()]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|directory| directory.join(given)).collect()
    };
    let mode = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        Some(metadata.permissions().mode())
    };
    let name = given.display();
    if let Some(path) = candidates.iter().find(|path| mode(path).is_some_and(|mode| mode & 0o111 != 0)) {
        return Ok(path.clone());
    }
    if let Some(path) = candidates.iter().find(|path| mode(path).is_some()) {
        return Err(failure(
            &format!("{} is not executable; chmod +x it", path.display()),
            Exit::NotExecutable,
        ));
    }
    let hint = match tool.to_str() {
        Some("claude") => ": install Claude Code (npm install -g @anthropic-ai/claude-code)",
        Some("codex") => ": install Codex (npm install -g @openai/codex)",
        Some(_) | None => "",
    };
    let what =
        if given.components().count() > 1 { "is not a file" } else { "is not installed, or not on PATH" };
    Err(failure(&format!("{name} {what}{hint}"), Exit::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        Some(spelled_out(&words)?.join(OsStr::new(" ")).to_string_lossy().into_owned())
    }

    /// Requirement: `claude.vdm --port 9999 --model sonnet` runs `vdm wrap claude --port 9999 -- --model sonnet`.
    #[test]
    fn claude_vdm_is_the_same_as_wrap_claude() {
        for (called, stands_for) in [
            ("claude.vdm", "vdm wrap claude --"),
            ("/usr/bin/claude.vdm -p hi", "vdm wrap claude -- -p hi"),
            ("claude.vdm --port 9999 --model sonnet", "vdm wrap claude --port 9999 -- --model sonnet"),
            ("claude.vdm -p hi --host=h --port=1", "vdm wrap claude --host=h --port=1 -- -p hi"),
            ("claude.vdm --help", "vdm wrap claude -- --help"),
            ("claude.vdm -- --port 1", "vdm wrap claude -- -- --port 1"),
            ("claude.vdm --port", "vdm wrap claude --port --"),
        ] {
            assert_eq!(spelled(called).as_deref(), Some(stands_for));
        }
        assert_eq!(spelled("vdm wrap claude"), None);
        assert_eq!(spelled("claude"), None);
    }

    #[test]
    fn codex_vdm_is_the_same_as_wrap_codex() {
        for (called, stands_for) in [
            ("codex.vdm", "vdm wrap codex --"),
            ("/usr/bin/codex.vdm exec --json -m haiku", "vdm wrap codex -- exec --json -m haiku"),
            ("codex.vdm -c x=1 --port 9 resume", "vdm wrap codex --port 9 -- -c x=1 resume"),
        ] {
            assert_eq!(spelled(called).as_deref(), Some(stands_for));
        }
        assert_eq!(spelled("vdm wrap codex -c x=1 exec").as_deref(), Some("vdm wrap codex -- -c x=1 exec"));
        assert_eq!(spelled("codex"), None);
    }

    #[test]
    fn short_options_after_the_tools_name_are_passed_to_the_tool() {
        for (called, stands_for) in [
            ("vdm wrap claude -c", "vdm wrap claude -- -c"),
            ("vdm wrap claude -h", "vdm wrap claude -- -h"),
            ("vdm wrap claude -c --port 9", "vdm wrap claude -- -c --port 9"),
            ("vdm wrap -c f claude -c", "vdm wrap -c f claude -- -c"),
            ("vdm wrap -cf --port=1 claude --host h -ph", "vdm wrap -cf --port=1 claude --host h -- -ph"),
            ("vdm wrap --openai claude --dry-run -c x", "vdm wrap --openai claude --dry-run -- -c x"),
        ] {
            assert_eq!(spelled(called).as_deref(), Some(stands_for));
        }
        for unchanged in [
            "vdm wrap -h",
            "vdm wrap -c f claude",
            "vdm wrap claude --port 9 -- -c",
            "vdm wrap claude hi -c",
            "vdm wrap claude --model sonnet -c",
            "vdm wrap -- claude -c",
            "vdm wrap claude --port -1",
            "vdm wrap claude -",
            "vdm server start -c f",
        ] {
            assert_eq!(spelled(unchanged), None, "{unchanged}");
        }
    }

    #[test]
    fn the_printed_command_can_be_pasted_into_a_shell() {
        assert_eq!(quoted(OsStr::new("--model=a/b:c")), "--model=a/b:c");
        assert_eq!(quoted(OsStr::new("it's")), "'it'\\''s'");
        assert_eq!(quoted(OsStr::new("")), "''");
    }
}
