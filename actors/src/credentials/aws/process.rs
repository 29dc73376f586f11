//! Credentials by a command of the user's (`credential_process`).

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::CredentialsJson;
use crate::credentials::{AwsCredentials, CredentialError};

/// The longest run of the command. Some of them ask a person.
const PATIENCE: Duration = Duration::from_secs(18);
const CHECK: Duration = Duration::from_millis(20);
/// The most output that is read.
const LARGEST: u64 = 64 << 10;

pub(super) async fn run(command: &str) -> Result<AwsCredentials, CredentialError> {
    let command = command.to_owned();
    // It may take seconds, in which other identities are served.
    let output = actix_rt::task::spawn_blocking(move || output_of(&command)).await;
    let output = output.unwrap_or_else(|_panic| Err("it could not be run".to_owned()));
    let output = output.map_err(|error| CredentialError::refused(format!("credential_process: {error}")))?;
    CredentialsJson::parse(&output, "credential_process")
}

fn output_of(command: &str) -> Result<Vec<u8>, String> {
    let child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|error| format!("the command cannot be run: {error}"))?;
    let stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut output = Vec::new();
        stdout.map(|stdout| stdout.take(LARGEST).read_to_end(&mut output));
        output
    });
    let end = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break,
            Ok(Some(status)) => return Err(format!("the command failed ({status})")),
            Ok(None) if Instant::now() < end => std::thread::sleep(CHECK),
            Ok(None) => {
                drop(child.kill());
                drop(child.wait());
                return Err(format!("the command did not end within {} s", PATIENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    reader.join().map_err(|_panic| "its output cannot be read".to_owned())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[actix_rt::test]
    async fn a_command_prints_credentials() {
        let json = r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S","SessionToken":"T","Expiration":"2030-01-01T00:00:00Z"}"#;
        let found = run(&format!("echo '{json}'")).await.unwrap();
        assert_eq!((found.access_key_id.as_str(), found.secret_access_key.expose_secret()), ("A", "S"));
        assert!(found.session_token.is_some() && found.expires.is_some());
    }

    #[actix_rt::test]
    async fn a_command_that_fails_is_an_error_without_its_output() {
        for (command, said) in
            [("echo secret; exit 3", "failed"), ("echo secret", "no credentials that can be read")]
        {
            let error = run(command).await.unwrap_err().to_string();
            assert!(
                error.contains(said) && !error.contains("secret;") && !error.contains("secret\n"),
                "{error}"
            );
        }
    }
}
