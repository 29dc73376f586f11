//! The help of every command on 80 columns, completions that shells accept, and the manual.
//!
//! `UPDATE_SNAPSHOTS=1` writes tests/snapshots/help.txt. Review every changed line.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::gateway::fresh_directory;

const WIDTH: usize = 80;

fn vdm(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vdm"));
    command.args(arguments).env_clear().env("COLUMNS", WIDTH.to_string());
    command.output().expect("vdm is built")
}

fn printed(arguments: &[&str]) -> String {
    let output = vdm(arguments);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Every command that the help lists.
fn commands() -> Vec<Vec<String>> {
    let (mut all, mut at) = (vec![vec![]], 0);
    while at < all.len() {
        let command: Vec<String> = all[at].clone();
        let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = printed(&words);
        let listed =
            help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // An indented line continues the line before it.
        let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names: Vec<String> =
            names.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect();
        all.extend(names.into_iter().map(|name| [command.clone(), vec![name]].concat()));
        at += 1;
    }
    all
}

#[test]
fn the_help_of_every_command_matches_the_snapshot() {
    let mut all = String::new();
    for command in commands() {
        let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = printed(&words);
        for line in help.lines() {
            assert!(line.chars().count() <= WIDTH, "vdm {}: {line:?}", words.join(" "));
        }
        let title = ["vdm"].into_iter().chain(words).collect::<Vec<_>>().join(" ");
        let _written = writeln!(all, "$ {title}\n{help}");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/help.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a writable repository");
        std::fs::write(&path, &all).expect("a writable repository");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let changed = all.lines().zip(known.lines()).find(|(now, then)| now != then);
    assert!(all == known, "the help has changed at {changed:?}; read it, then set UPDATE_SNAPSHOTS=1");
}

/// Whether this program is installed.
fn has(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = printed(&["completions", shell]);
        for command in commands().iter().filter_map(|command| command.last()) {
            assert!(script.contains(command.as_str()), "{shell} does not know {command}");
        }
    }
    let wrong = vdm(&["completions", "tcsh"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("bash, elvish, fish, powershell, zsh"));
}

#[test]
fn bash_completes_a_partial_word() {
    if !has("bash") {
        return;
    }
    let script = printed(&["completions", "bash"])
        + "COMP_WORDS=(vdm config se); COMP_CWORD=2; _vdm vdm se config; echo \"${COMPREPLY[@]}\"\n";
    let mut bash = Command::new("bash")
        .args(["--norc", "--noprofile", "-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it is there");
    bash.stdin.take().expect("piped").write_all(script.as_bytes()).expect("it reads");
    let completed = bash.wait_with_output().expect("our child");
    assert_eq!(String::from_utf8_lossy(&completed.stdout).trim(), "setup");
}

/// The lines for this shell in the help of `vdm completions`.
fn installation(shell: &str) -> String {
    let help = printed(&["completions", "--help"]);
    let lines = help.lines().skip_while(|line| !line.starts_with(&format!("  {shell}"))).skip(1);
    let lines: Vec<_> = lines.take_while(|line| line.starts_with("    ")).map(str::trim).collect();
    assert!(!lines.is_empty(), "{help}");
    lines.join("\n")
}

#[test]
fn the_lines_that_install_completions_work_in_a_new_home() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("it");
    for (shell, file) in [
        ("bash", ".local/share/bash-completion/completions/vdm"),
        ("zsh", ".zfunc/_vdm"),
        ("fish", ".config/fish/completions/vdm.fish"),
    ] {
        let home = fresh_directory();
        let lines = installation(shell);
        for line in lines.lines() {
            assert!(readme.contains(line), "README.md lacks {line}");
        }
        let program = if has(shell) { shell } else { "sh" };
        let vdm = Path::new(env!("CARGO_BIN_EXE_vdm")).parent().expect("a directory");
        let path = std::env::join_paths([vdm, Path::new("/usr/bin"), Path::new("/bin")]).expect("no colon");
        let mut command = Command::new(program);
        command.args(["-c", &format!("{lines}\n")]).env_clear().env("HOME", &home).env("PATH", path);
        let output = command.output().expect("a shell");
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
        let script = std::fs::read_to_string(home.join(file)).expect("the script");
        assert_eq!(script, printed(&["completions", shell]), "{shell}");
        std::fs::remove_dir_all(home).expect("ours");
    }
}

#[test]
fn zsh_completes_after_the_documented_lines() {
    if !has("zsh") {
        return;
    }
    let home = fresh_directory();
    let vdm = Path::new(env!("CARGO_BIN_EXE_vdm")).parent().expect("a directory");
    let path = std::env::join_paths([vdm, Path::new("/usr/bin"), Path::new("/bin")]).expect("no colon");
    let zsh = |arguments: &[&str]| {
        let mut command = Command::new("zsh");
        command.args(arguments).env_clear().env("HOME", &home).env("PATH", &path).env("TERM", "dumb");
        command.stdin(Stdio::null()).output().expect("zsh")
    };
    assert!(zsh(&["-c", &installation("zsh")]).status.success());
    let known = zsh(&["-ic", "print -- $_comps[vdm]"]);
    assert_eq!(String::from_utf8_lossy(&known.stdout).trim(), "_vdm", "{known:?}");
    std::fs::remove_dir_all(home).expect("ours");
}

#[test]
fn the_manual_has_a_page_for_every_command_and_lists_variables_files_and_exit_codes() {
    let page = printed(&["man"]);
    assert!(page.contains(".TH vdm 1"), "{page}");
    let variables = printed(&["config", "env", "--json"]);
    let variables: serde_json::Value = serde_json::from_str(&variables).expect("JSON");
    // roff requires an escape for a literal hyphen.
    let plain = page.replace("\\-", "-");
    for variable in variables.as_array().expect("a list") {
        let name = variable["name"].as_str().expect("a name");
        assert!(plain.contains(name), "{name}");
    }
    for section in ["SYNOPSIS", "ENVIRONMENT", "FILES", "\"EXIT STATUS\""] {
        assert!(page.contains(&format!(".SH {section}\n")), "{section}: {page}");
    }
    let directory = fresh_directory();
    let output = vdm(&["man", "--to", &directory.join("man1").to_string_lossy()]);
    assert_eq!(output.status.code(), Some(0));
    for command in commands() {
        let name = ["vdm".to_owned()].into_iter().chain(command).collect::<Vec<_>>().join("-");
        let page = std::fs::read_to_string(directory.join("man1").join(format!("{name}.1")));
        let page = page.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".SH NAME"), "{name}");
    }
    std::fs::remove_dir_all(directory).expect("ours");
    let refused = vdm(&["man", "--to", "/dev/null/here"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr)
            .starts_with("vdm: cannot write manual pages into /dev/null/here")
    );
}
