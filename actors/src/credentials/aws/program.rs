//! Credentials that a program prints (`credential_process`).

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::super::{AwsCredentials, CredentialError};
use super::call::CredentialsJson;
use crate::secret::Secrets;
use crate::settings::CloudVariables;

/// The longest run.
const PATIENCE: Duration = Duration::from_secs(25);
const LOOK: Duration = Duration::from_millis(20);
/// The longest output that is read.
const LONGEST_OUTPUT: u64 = 64 << 10;

/// Runs the program, without a shell.
pub(super) async fn run(
    profile: &str,
    line: &str,
    variables: &CloudVariables,
) -> Result<AwsCredentials, CredentialError> {
    let who = format!("credential_process of the profile '{profile}'");
    let Some(words) = words(line).filter(|words| !words.is_empty()) else {
        return Err(CredentialError::refused(format!("{who} is not a valid command: a quote is not closed")));
    };
    let path = variables.get("PATH").map(str::to_owned);
    let ran = tokio::task::spawn_blocking(move || output(&words, path.as_deref())).await;
    let stopped = |_| CredentialError::unreachable(format!("{who} was interrupted"));
    // What it writes to its error output may be secret.
    let failed = |why| CredentialError::refused(format!("{who} {why}; run it by hand to see why"));
    let output = ran.map_err(stopped)?.map_err(failed)?;
    CredentialsJson::parse(&who, &output, &Secrets::new([]))
}

/// What the program writes to its standard output.
fn output(words: &[String], path: Option<&str>) -> Result<Vec<u8>, String> {
    let [program, arguments @ ..] = words else { return Err("is empty".to_owned()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let mut child = command.spawn().map_err(|error| format!("cannot run {program}: {error}"))?;
    let Some(pipe) = child.stdout.take() else { return Err("has no output".to_owned()) };
    let reader = thread::spawn(move || {
        let mut output = vec![];
        pipe.take(LONGEST_OUTPUT).read_to_end(&mut output).map(|_| output)
    });
    let status = ended(&mut child)?;
    // A descendant that holds the pipe open must not hold this thread.
    let since = Instant::now();
    while !reader.is_finished() && since.elapsed() < PATIENCE {
        thread::sleep(LOOK);
    }
    if !reader.is_finished() {
        return Err("did not close its output".to_owned());
    }
    let output = reader.join().map_err(|_| "could not be read".to_owned())?;
    match status.code() {
        Some(0) => output.map_err(|error| format!("could not be read: {error}")),
        Some(code) => Err(format!("exited with {code}")),
        None => Err("was killed".to_owned()),
    }
}

fn ended(child: &mut Child) -> Result<std::process::ExitStatus, String> {
    let since = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if since.elapsed() < PATIENCE => thread::sleep(LOOK),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("did not end within {} s", PATIENCE.as_secs()));
            }
            Err(error) => return Err(format!("cannot be waited for: {error}")),
        }
    }
}

/// The words of a command line, with quotes and backslashes as in a POSIX shell. `None` if a quote is not closed.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (vec![], None::<String>, None);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(mark), it) if it == mark => quote = None,
            (Some('"') | None, '\\') => {
                let next = characters.next()?;
                let word = word.get_or_insert_default();
                if quote.is_some() && !matches!(next, '"' | '\\' | '$' | '`') {
                    word.push('\\');
                }
                word.push(next);
            }
            (Some(_), it) => word.get_or_insert_default().push(it),
            (None, mark @ ('"' | '\'')) => {
                quote = Some(mark);
                word.get_or_insert_default();
            }
            (None, it) if it.is_whitespace() => words.extend(word.take()),
            (None, it) => word.get_or_insert_default().push(it),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_has_the_words_of_a_shell() {
        let line = r#"/opt/a\ b  --name "x \"y\" \n" '' 'it''s' c"#;
        let expected = ["/opt/a b", "--name", r#"x "y" \n"#, "", "its", "c"];
        assert_eq!(words(line).unwrap(), expected);
        assert_eq!(words("a 'b"), None);
    }

    #[test]
    fn the_output_of_a_program_is_read_and_its_failure_reported() {
        let run = |script: &str| output(&["sh", "-c", script].map(str::to_owned), None);
        assert_eq!(run("printf abc").unwrap(), b"abc");
        assert_eq!(run("echo hidden >&2; exit 3").unwrap_err(), "exited with 3");
        assert!(output(&["/nowhere/x".to_owned()], None).unwrap_err().starts_with("cannot run /nowhere/x"));
    }
}
