//! `vdm dashboard`: a link that opens the dashboard of the running gateway with an admin session.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;

use super::exit_code::Exit;
use super::print_to_stderr;
use super::server::GatewayArgs;
use crate::process::directory;

/// The file that leads the browser to the link.
const FILE: &str = "dashboard.html";

#[derive(Args, Debug)]
pub(super) struct DashboardArgs {
    /// Only print the link
    #[arg(long)]
    no_open: bool,
    #[command(flatten)]
    order: GatewayArgs,
}

impl DashboardArgs {
    pub(super) fn run(self) -> Exit {
        let link = match self.order.dashboard_link() {
            Ok(link) => link,
            Err(exit) => return exit,
        };
        print_to_stderr(format_args!(
            "The link is valid for a minute and for one login; it may change the gateway.\n"
        ));
        if !self.no_open && std::io::stdout().is_terminal() && has_display() {
            open(&link);
        }
        Exit::Ok
    }
}

fn has_display() -> bool {
    cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Opens the link in a browser, by way of a file that only this user can read: other users can read the arguments of a process.
fn open(link: &str) {
    let Some(file) = redirecting_file(link) else { return };
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let silent = Stdio::null;
    // Without the program, the user opens the printed link.
    let _ = Command::new(program).arg(file).stdin(silent()).stdout(silent()).stderr(silent()).spawn();
}

fn redirecting_file(link: &str) -> Option<PathBuf> {
    let path = directory::create().ok()?.join(FILE);
    // An earlier one belongs to a link that was used.
    let _ = std::fs::remove_file(&path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).ok()?;
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0;url={link}\"><title>Vandamme Proxy</title>\n"
    );
    file.write_all(page.as_bytes()).ok()?;
    Some(path)
}
