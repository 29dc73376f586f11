//! Credentials of scripted services over real sockets.

#[cfg(feature = "google")]
mod google;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_rt::time::sleep;
use futures_util::future::join_all;
use parking_lot::Mutex;
use secrecy::ExposeSecret as _;

use super::*;
use crate::certificates::client_config;
use crate::settings::{AwsIdentity, CloudVariables};
use crate::upstream::ProxySettings;

/// An HTTP service that answers as a script says.
struct Service {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    head: String,
    body: String,
}

impl Service {
    /// `answer` gets the number of the request, from 0, and returns status and body; `None` for no answer at all.
    fn start(answer: impl Fn(usize, &Seen) -> Option<(u16, String)> + Send + 'static) -> Self {
        let Ok(listener) = TcpListener::bind("127.0.0.1:0") else { panic!("no free port") };
        let url = listener.local_addr().map_or_else(|_| String::new(), |address| format!("http://{address}"));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let shared = seen.clone();
        std::thread::spawn(move || {
            let mut silent = vec![];
            for stream in listener.incoming().flatten() {
                let request = read(&stream);
                let number = {
                    let mut seen = shared.lock();
                    seen.push(request.clone());
                    seen.len() - 1
                };
                match answer(number, &request) {
                    Some((status, body)) => write(stream, status, &body),
                    None => silent.push(stream),
                }
            }
        });
        Self { url, seen }
    }

    fn calls(&self) -> usize {
        self.seen.lock().len()
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

fn read(stream: &TcpStream) -> Seen {
    let mut reader = BufReader::new(stream);
    let (mut line, mut head) = (String::new(), String::new());
    let _ = reader.read_line(&mut line);
    loop {
        let mut header = String::new();
        let read = reader.read_line(&mut header).unwrap_or_default();
        if read <= 2 {
            break;
        }
        head.push_str(&header.to_ascii_lowercase());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    let _ = reader.read_exact(&mut body);
    Seen { line: line.trim().to_owned(), head, body: String::from_utf8_lossy(&body).into_owned() }
}

fn write(mut stream: TcpStream, status: u16, body: &str) {
    let length = body.len();
    // As Google's metadata server does.
    let flavor = "metadata-flavor: Google";
    let head =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{flavor}\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

/// Credentials that expire after `lifetime`, as metadata services write them. The key's id has the number.
fn json(number: usize, lifetime: Duration) -> String {
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::try_from(lifetime).unwrap_or_default();
    format!(
        r#"{{"Code":"Success","AccessKeyId":"id{number}","SecretAccessKey":"s","Token":"t","Expiration":"{expires}"}}"#
    )
}

fn xml(id: &str) -> String {
    format!(
        "<R><Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></R>"
    )
}

fn credentials() -> Credentials {
    let Ok(tls) = client_config() else { panic!("no certificates") };
    let proxies = Arc::new(ProxySettings::default());
    Credentials::new(ConnectionSettings { tls, proxies, connect_timeout: Duration::from_secs(1) })
}

/// An identity in an empty home, which cannot reach the real metadata service.
fn identity(variables: &[(&str, &str)]) -> CloudIdentity {
    let usual = [("HOME", "/nonexistent"), ("AWS_EC2_METADATA_DISABLED", "true")];
    let all = usual.iter().chain(variables).map(|&(name, value)| (name.to_owned(), value.to_owned()));
    CloudIdentity::Aws(AwsIdentity {
        region: "us-east-1".into(),
        service: "bedrock".into(),
        profile: None,
        variables: CloudVariables::from_iter(all),
    })
}

fn in_container(service: &Service) -> CloudIdentity {
    identity(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &service.url),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "tok"),
    ])
}

fn id(credential: &CloudCredential) -> &str {
    match credential {
        CloudCredential::Aws(aws) => &aws.access_key_id,
        CloudCredential::Google(_) => "",
    }
}

async fn id_of(credentials: &Credentials, identity: &CloudIdentity) -> String {
    credentials
        .get(identity)
        .await
        .map_or_else(|error| error.message, |credential| id(&credential).to_owned())
}

/// A home directory with these files below `.aws`.
struct Home(String);

impl Home {
    fn new(files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("vdm-aws-{:032x}", fastrand::u128(..)));
        for (name, text) in files {
            let file = path.join(".aws").join(name);
            let directory = file.parent().map(std::fs::create_dir_all);
            let written = std::fs::write(&file, text);
            assert!(written.is_ok(), "{}: {written:?}, {directory:?}", file.display());
        }
        Self(path.to_string_lossy().into_owned())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[actix_rt::test]
async fn one_fetch_serves_all_that_wait_and_none_precedes_the_first_use() {
    let service = Service::start(|number, _| {
        std::thread::sleep(Duration::from_millis(100));
        Some((200, json(number, Duration::from_secs(3600))))
    });
    let (credentials, identity) = (credentials(), in_container(&service));
    assert_eq!(service.calls(), 0);

    let ids = join_all((0..20).map(|_| id_of(&credentials, &identity))).await;
    assert!(ids.iter().all(|id| id == "id0"), "{ids:?}");
    assert_eq!(id_of(&credentials, &identity).await, "id0");

    assert_eq!(service.calls(), 1);
    assert!(service.seen()[0].head.contains("authorization: tok\r\n"));
}

#[actix_rt::test]
async fn a_credential_that_is_due_is_used_while_another_is_fetched() {
    let service = Service::start(|number, _| {
        let lifetime = if number == 0 { 6 } else { 3600 };
        std::thread::sleep(Duration::from_millis(if number == 0 { 0 } else { 600 }));
        Some((200, json(number, Duration::from_secs(lifetime))))
    });
    let (credentials, identity) = (credentials(), in_container(&service));
    assert_eq!(id_of(&credentials, &identity).await, "id0");

    // It is due after 3.75 to 4.5 s, and too late after 5.4 s.
    sleep(Duration::from_millis(4600)).await;
    let before = Instant::now();
    assert_eq!(id_of(&credentials, &identity).await, "id0");
    assert!(before.elapsed() < Duration::from_millis(500), "the request must not wait");
    sleep(Duration::from_millis(1200)).await;
    assert_eq!(id_of(&credentials, &identity).await, "id1");
    assert_eq!(service.calls(), 2);
}

#[actix_rt::test]
async fn the_old_credential_is_used_until_it_expires_if_no_other_can_be_fetched() {
    let service = Service::start(|number, _| match number {
        0 => Some((200, json(0, Duration::from_secs(8)))),
        _ => Some((404, String::new())),
    });
    let (credentials, identity) = (credentials(), in_container(&service));
    assert_eq!(id_of(&credentials, &identity).await, "id0");

    // Almost expired: the request waits for the fetch, which fails.
    sleep(Duration::from_millis(7300)).await;
    assert_eq!(id_of(&credentials, &identity).await, "id0");
    sleep(Duration::from_millis(1100)).await;
    let error = id_of(&credentials, &identity).await;
    assert!(error.contains("answered with status 404"), "{error}");
    let calls = service.calls();
    assert_eq!(id_of(&credentials, &identity).await, error, "the failure is remembered for a moment");
    assert_eq!(service.calls(), calls);
}

#[actix_rt::test]
async fn a_refused_credential_is_replaced_but_not_again_and_again() {
    let service = Service::start(|number, _| Some((200, json(number, Duration::from_secs(3600)))));
    let (credentials, identity) = (credentials(), in_container(&service));
    let first = credentials.get(&identity).await.unwrap();

    credentials.refused(&identity, &first);
    credentials.refused(&identity, &first);
    let second = credentials.get(&identity).await.unwrap();
    assert_eq!(id(&second), "id1");
    credentials.refused(&identity, &first);
    assert_eq!(id_of(&credentials, &identity).await, "id1", "the first is no longer the current one");
    credentials.refused(&identity, &second);
    assert_eq!(id_of(&credentials, &identity).await, "id1", "too soon");
    assert_eq!(service.calls(), 2);
}

#[actix_rt::test]
async fn an_owner_ends_when_its_identity_is_no_longer_configured() {
    let service = Service::start(|number, _| Some((200, json(number, Duration::from_secs(3600)))));
    let (credentials, identity) = (credentials(), in_container(&service));
    assert_eq!(id_of(&credentials, &identity).await, "id0");

    credentials.keep_only([&identity].into_iter());
    assert_eq!(id_of(&credentials, &identity).await, "id0");
    credentials.keep_only(std::iter::empty());
    assert_eq!(credentials.owners.load().len(), 0);
    assert_eq!(id_of(&credentials, &identity).await, "id1");
}

#[actix_rt::test]
async fn an_owner_whose_thread_has_ended_is_replaced() {
    let service = Service::start(|number, _| Some((200, json(number, Duration::from_secs(3600)))));
    let (credentials, identity) = (credentials(), in_container(&service));
    let first = credentials.get(&identity).await.unwrap();
    let owner = credentials.owners.load()[0].clone();

    owner.stop().await;
    assert_eq!(id_of(&credentials, &identity).await, "id0", "what is published needs no owner");
    credentials.refused(&identity, &first);
    assert_eq!(id_of(&credentials, &identity).await, "id1");
    assert!(!Arc::ptr_eq(&owner, &credentials.owners.load()[0]));
}

#[actix_rt::test]
async fn the_number_of_owners_is_bounded() {
    let credentials = credentials();
    for number in 0..MOST_OWNERS + 3 {
        let id = format!("id{number}");
        let identity = identity(&[("AWS_ACCESS_KEY_ID", &id), ("AWS_SECRET_ACCESS_KEY", "s")]);
        assert_eq!(id_of(&credentials, &identity).await, id);
    }
    assert_eq!(credentials.owners.load().len(), MOST_OWNERS);
}

#[actix_rt::test]
async fn a_busy_service_is_called_again() {
    let service = Service::start(|number, _| match number {
        0 => Some((429, String::new())),
        1 => Some((503, String::new())),
        _ => Some((200, json(number, Duration::from_secs(3600)))),
    });
    assert_eq!(id_of(&credentials(), &in_container(&service)).await, "id2");
}

#[actix_rt::test]
async fn a_reply_that_is_no_credential_is_an_error_and_not_quoted() {
    for body in ["<html>hidden", r#"{"AccessKeyId":"hidden"}"#, ""] {
        let service = Service::start(move |_, _| Some((200, body.to_owned())));
        let error = credentials().get(&in_container(&service)).await.unwrap_err();
        assert_eq!(error.kind, CredentialErrorKind::Refused);
        assert!(!error.message.contains("hidden"), "{error}");
    }
}

#[actix_rt::test]
async fn credentials_that_have_expired_already_are_an_error() {
    let expired = r#"{"AccessKeyId":"a","SecretAccessKey":"s","Expiration":"2020-01-01T00:00:00Z"}"#;
    let service = Service::start(|_, _| Some((200, expired.to_owned())));
    let error = credentials().get(&in_container(&service)).await.unwrap_err();
    assert!(error.message.contains("expired already"), "{error}");
}

#[actix_rt::test]
async fn instance_metadata_is_asked_with_a_session_token_only() {
    let service = Service::start(|_, seen| {
        let has_token = seen.head.contains("x-aws-ec2-metadata-token: session\r\n");
        match seen.line.as_str() {
            "PUT /latest/api/token HTTP/1.1" => Some((200, "session".to_owned())),
            _ if !has_token => Some((401, String::new())),
            "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1" => Some((200, "my-role\n".to_owned())),
            _ => Some((200, json(7, Duration::from_secs(3600)))),
        }
    });
    let identity =
        identity(&[("AWS_EC2_METADATA_DISABLED", ""), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service.url)]);

    let credential = credentials().get(&identity).await.unwrap();

    assert_eq!(id(&credential), "id7");
    let lines: Vec<String> = service.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2], "GET /latest/meta-data/iam/security-credentials/my-role HTTP/1.1");
}

#[actix_rt::test]
async fn an_error_says_where_was_looked() {
    let service = Service::start(|_, _| None);
    let identity = identity(&[
        ("AWS_EC2_METADATA_DISABLED", ""),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service.url),
        ("AWS_METADATA_SERVICE_TIMEOUT", "0.2"),
    ]);

    let error = credentials().get(&identity).await.unwrap_err();

    assert_eq!(error.kind, CredentialErrorKind::Missing);
    let expected = format!(
        "no AWS credentials: looked at AWS_ACCESS_KEY_ID (not set), profile 'default' in /nonexistent/.aws/config and \
        /nonexistent/.aws/credentials (no such profile), web identity (AWS_WEB_IDENTITY_TOKEN_FILE not set), container \
        credentials (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI not set), instance metadata \
        ({}/latest/api/token did not answer within 0.2 s; in a container, the instance's hop limit must be 2); set \
        AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        service.url
    );
    assert_eq!(error.message, expected);
}

#[actix_rt::test]
async fn a_profile_assumes_its_role_with_the_credentials_of_another() {
    let service = Service::start(|_, seen| {
        Some((200, xml(if seen.body.contains("role%2Fouter") { "outer" } else { "inner" })))
    });
    let home = Home::new(&[
        (
            "config",
            "[profile work]\nrole_arn = arn:aws:iam::1:role/outer\nsource_profile = middle\nexternal_id = ext\nregion = eu-west-1\n\
            [profile middle]\nrole_arn = arn:aws:iam::1:role/inner\nsource_profile = base\nrole_session_name = me\n",
        ),
        ("credentials", "[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = secret\n"),
    ]);
    let identity =
        identity(&[("HOME", &home.0), ("AWS_PROFILE", "work"), ("AWS_ENDPOINT_URL_STS", &service.url)]);

    assert_eq!(id_of(&credentials(), &identity).await, "outer");

    let [inner, outer] = service.seen().try_into().unwrap();
    assert!(
        inner.body.contains("Action=AssumeRole&") && inner.body.contains("RoleSessionName=me"),
        "{inner:?}"
    );
    assert!(
        inner.head.contains("credential=akidbase/") && inner.head.contains("/eu-west-1/sts/aws4_request")
    );
    assert!(outer.body.contains("ExternalId=ext"), "{outer:?}");
    assert!(outer.head.contains("credential=inner/") && outer.head.contains("x-amz-security-token: t\r\n"));
}

#[actix_rt::test]
async fn a_web_identity_is_exchanged_and_its_refusal_reported() {
    let service = Service::start(|number, _| match number {
        0 => Some((200, xml("web"))),
        _ => {
            let error = "<E><Error><Code>AccessDenied</Code><Message>Not authorized to perform\n sts</Message></Error></E>";
            Some((403, error.to_owned()))
        }
    });
    let home = Home::new(&[("token", "web-token\n")]);
    let file = format!("{}/.aws/token", home.0);
    let identity = identity(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_ENDPOINT_URL_STS", &service.url),
    ]);

    assert_eq!(id_of(&credentials(), &identity).await, "web");
    let error = id_of(&credentials(), &identity).await;

    let expected = "STS in us-east-1 for the role arn:aws:iam::1:role/r answered with status 403: AccessDenied Not authorized to perform sts";
    assert_eq!(error, expected);
    let seen = &service.seen()[0];
    assert!(
        seen.body.contains("WebIdentityToken=web-token") && !seen.head.contains("authorization"),
        "{seen:?}"
    );
}

/// Requirement: an endpoint that repeats what it was sent puts no secret into an error.
#[actix_rt::test]
async fn an_error_of_aws_does_not_repeat_what_an_endpoint_repeats() {
    let (web, session, container) =
        ("eyJhbGciOi.web-identity.x9", "fwogzxivyxdzesession+/=9", "container-token-77");
    let service = Service::start(|_, seen| {
        let said = format!("said {} {}", seen.body, seen.head).replace("\r\n", " ");
        let json = serde_json::json!({"code": "Denied", "message": said}).to_string();
        let is_sts = seen.body.contains("Action=");
        Some((403, if is_sts { format!("<Code>AccessDenied</Code><Message>{said}</Message>") } else { json }))
    });
    let home = Home::new(&[
        ("token", web),
        ("config", "[profile work]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = base\n"),
        (
            "credentials",
            &format!(
                "[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = secret\naws_session_token = {session}\n"
            ),
        ),
    ]);
    let url = &service.url;
    let file = format!("{}/.aws/token", home.0);
    let identities = [
        identity(&[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
            ("AWS_ENDPOINT_URL_STS", url),
        ]),
        identity(&[("HOME", &home.0), ("AWS_PROFILE", "work"), ("AWS_ENDPOINT_URL_STS", url)]),
        identity(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", container),
        ]),
    ];
    for identity in identities {
        let error = id_of(&credentials(), &identity).await.to_ascii_lowercase();
        assert!(error.contains("said"), "{error}");
        for secret in [web, session, container] {
            assert!(!error.contains(&secret.to_ascii_lowercase()), "{error}");
        }
    }
    assert_eq!(service.calls(), 3);
}

#[actix_rt::test]
async fn a_login_is_renewed_and_its_file_keeps_what_else_it_has() {
    let service = Service::start(|_, seen| {
        if seen.line.starts_with("POST /token") {
            return Some((200, r#"{"accessToken":"new","expiresIn":3600,"refreshToken":"r2"}"#.to_owned()));
        }
        assert!(seen.head.contains("x-amz-sso_bearer_token: new\r\n"));
        let role = r#"{"roleCredentials":{"accessKeyId":"sso","secretAccessKey":"s","sessionToken":"t","expiration":4070908800000}}"#;
        Some((200, role.to_owned()))
    });
    let cached = r#"{"startUrl":"https://corp.example/start","region":"us-east-1","accessToken":"old",
        "expiresAt":"2020-01-01T00:00:00Z","clientId":"c","clientSecret":"cs","refreshToken":"r1","kept":true}"#;
    let home = Home::new(&[
        (
            "config",
            "[default]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = Dev\n\
            [sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = us-east-1\n",
        ),
        ("sso/cache/abc.json", cached),
        ("sso/cache/client.json", r#"{"clientId":"c"}"#),
    ]);
    let identity = identity(&[("HOME", &home.0), ("AWS_ENDPOINT_URL", &service.url)]);

    assert_eq!(id_of(&credentials(), &identity).await, "sso");
    assert_eq!(id_of(&credentials(), &identity).await, "sso");

    assert_eq!(service.calls(), 3, "the second fetch uses the renewed login");
    let file = std::fs::read_to_string(format!("{}/.aws/sso/cache/abc.json", home.0)).unwrap();
    assert!(file.contains(r#""kept":true"#) && file.contains(r#""refreshToken":"r2""#), "{file}");
}

#[actix_rt::test]
async fn an_expired_login_says_how_to_log_in() {
    let home = Home::new(&[(
        "config",
        "[profile dev]\nsso_start_url = https://corp.example/start\nsso_region = us-east-1\nsso_account_id = 1\nsso_role_name = Dev\n",
    )]);
    let error = id_of(&credentials(), &identity(&[("HOME", &home.0), ("AWS_PROFILE", "dev")])).await;
    assert!(error.ends_with("does not exist; run: aws sso login --profile dev"), "{error}");
}

#[actix_rt::test]
async fn a_program_prints_credentials() {
    let home = Home::new(&[(
        "config",
        r#"[profile p]
credential_process = sh -c 'printf "{\"Version\":1,\"AccessKeyId\":\"printed\",\"SecretAccessKey\":\"s\",\"SessionToken\":\"t2\"}"'
"#,
    )]);
    let identity = identity(&[("HOME", &home.0), ("AWS_PROFILE", "p")]);
    let CloudCredential::Aws(aws) = credentials().get(&identity).await.unwrap() else { panic!() };
    assert_eq!(aws.access_key_id, "printed");
    assert_eq!(aws.session_token.as_ref().unwrap().expose_secret(), "t2");
}

#[actix_rt::test]
async fn wrong_profiles_are_named() {
    let home = Home::new(&[(
        "config",
        "[profile a]\nrole_arn = r\nsource_profile = b\n[profile b]\nrole_arn = r\nsource_profile = a\n\
        [profile c]\nrole_arn = r\nmfa_serial = m\nsource_profile = b\n[profile d]\nrole_arn = r\n\
        [profile e]\nrole_arn = r\nsource_profile = nobody\n[profile f]\nlogin_session = arn\n",
    )]);
    for (profile, part) in [
        ("a", "leads to a circle"),
        ("c", "requires an MFA code"),
        ("d", "add source_profile, credential_source or web_identity_token_file"),
        ("e", "source_profile 'nobody', which does not exist"),
        ("f", "credential_process = aws configure export-credentials --profile f --format process"),
        ("nobody", "no such profile); add it there, or change AWS_PROFILE"),
    ] {
        let error = id_of(&credentials(), &identity(&[("HOME", &home.0), ("AWS_PROFILE", profile)])).await;
        assert!(error.contains(part), "{profile}: {error}");
    }
}

/// A file is read again when an upstream refuses what it had: tools replace temporary keys in it.
#[actix_rt::test]
async fn refused_keys_of_a_file_are_read_again() {
    let keys = |id| format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = s\n");
    let home = Home::new(&[("credentials", &keys("one"))]);
    let (credentials, identity) = (credentials(), identity(&[("HOME", &home.0)]));
    let first = credentials.get(&identity).await.unwrap();
    assert_eq!(id(&first), "one");
    std::fs::write(format!("{}/.aws/credentials", home.0), keys("two")).unwrap();
    assert_eq!(id_of(&credentials, &identity).await, "one");

    credentials.refused(&identity, &first);
    assert_eq!(id_of(&credentials, &identity).await, "two");
}
