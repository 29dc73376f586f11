//! `vdm man`: a manual page for every command, from the same tables as the help and the configuration.

use std::fs;
use std::io::{Result, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Vdm;
use super::exit_code::Exit;
use super::print_to_stderr;
use crate::config;

const FILES: [(&str, &str); 3] = [
    ("~/.config/vandamme-proxy/vandamme-config.toml", "the configuration of this user"),
    ("./vandamme-config.toml", "in the working directory; overrides the file above"),
    ("./.env", "variables; overrides both files, and the environment overrides it"),
];

#[derive(Args, Debug)]
pub(super) struct Manual {
    /// Write a page for every command into this directory instead of printing vdm(1)
    #[arg(long, value_name = "DIRECTORY")]
    to: Option<PathBuf>,
}

impl Manual {
    pub(super) fn run(self) -> Exit {
        let mut command = Vdm::command().disable_help_subcommand(true);
        command.build();
        let Some(directory) = self.to else {
            // A closed pipe is not an error.
            drop(first_page(&command).and_then(|page| std::io::stdout().write_all(&page)));
            return Exit::Ok;
        };
        match write_all(&command, &directory) {
            Ok(count) => {
                print_to_stderr(format_args!("Wrote {count} pages into {}\n", directory.display()));
                Exit::Ok
            }
            Err(error) => {
                print_to_stderr(format_args!(
                    "vdm: cannot write manual pages into {}: {error}\n",
                    directory.display()
                ));
                Exit::Failed
            }
        }
    }
}

/// vdm(1), which also describes what the commands share.
fn first_page(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    let mut more = Roff::new();
    more.control("SH", ["ENVIRONMENT"]);
    for variable in config::variables() {
        described(&mut more, &variable.name, &variable.about);
    }
    more.control("SH", ["FILES"]);
    for (file, about) in FILES {
        described(&mut more, file, about);
    }
    more.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        described(&mut more, &exit.number().to_string(), exit.about());
    }
    more.to_writer(&mut page)?;
    Ok(page)
}

fn described(page: &mut Roff, name: &str, about: &str) {
    page.control("TP", []);
    page.text([bold(name)]);
    page.text([roman(about)]);
}

fn write_all(command: &Command, directory: &Path) -> Result<usize> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("vdm.1"), first_page(command)?)?;
    let mut waiting: Vec<_> = command.get_subcommands().map(|sub| ("vdm".to_owned(), sub.clone())).collect();
    let mut count = 1;
    while let Some((parent, sub)) = waiting.pop() {
        let name = format!("{parent}-{}", sub.get_name());
        waiting.extend(sub.get_subcommands().map(|deeper| (name.clone(), deeper.clone())));
        let mut page = Vec::new();
        Man::new(sub).title(name.to_uppercase()).render(&mut page)?;
        fs::write(directory.join(format!("{name}.1")), page)?;
        count += 1;
    }
    Ok(count)
}
