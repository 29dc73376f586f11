//! `vdm completions SHELL`: shell completions for `vdm`.

use std::io::Write as _;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Vdm;
use super::exit_code::Exit;

/// Lines to paste. Each creates its directory first.
const INSTALLATION: &str = "\
To install them:
  bash (with the package bash-completion)
    mkdir -p ~/.local/share/bash-completion/completions
    vdm completions bash > ~/.local/share/bash-completion/completions/vdm
  zsh
    mkdir -p ~/.zfunc && vdm completions zsh > ~/.zfunc/_vdm
    echo 'fpath=(~/.zfunc $fpath)' >> ~/.zshrc
    echo 'autoload -Uz compinit && compinit' >> ~/.zshrc
  fish
    mkdir -p ~/.config/fish/completions
    vdm completions fish > ~/.config/fish/completions/vdm.fish";

#[derive(Args, Debug)]
#[command(after_help = INSTALLATION)]
pub(super) struct Completions {
    /// The shell to generate completions for
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Vdm::command(), "vdm", &mut script);
        // A closed pipe is not an error.
        drop(std::io::stdout().write_all(&script));
        Exit::Ok
    }
}
