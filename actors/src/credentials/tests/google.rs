//! Google's credentials of scripted services over real sockets.

use super::*;
use crate::settings::GoogleIdentity;

const CLIENT_SECRET: &str = "GOCSPX-q7Rz0vN1mWx";
const REFRESH_TOKEN: &str = "1//0gLongRefreshToken+with/odd=characters";

fn google(variables: &[(&str, &str)]) -> CloudIdentity {
    let all = [("HOME", "/nonexistent")].iter().chain(variables);
    let all = all.map(|&(name, value)| (name.to_owned(), value.to_owned()));
    CloudIdentity::Google(GoogleIdentity {
        credentials_file: None,
        variables: CloudVariables::from_iter(all),
    })
}

/// A home with one credentials file, and the identity of that file.
fn of_file(text: &str) -> (Home, CloudIdentity) {
    let home = Home::new(&[("google.json", text)]);
    let identity = google(&[("GOOGLE_APPLICATION_CREDENTIALS", &format!("{}/.aws/google.json", home.0))]);
    (home, identity)
}

fn of_user(service: &Service) -> (Home, CloudIdentity) {
    let url = &service.url;
    of_file(&format!(
        r#"{{"type":"authorized_user","client_id":"me","client_secret":"{CLIENT_SECRET}",
            "refresh_token":"{REFRESH_TOKEN}","token_uri":"{url}/token","quota_project_id":""}}"#
    ))
}

async fn token_of(credentials: &Credentials, identity: &CloudIdentity) -> String {
    match credentials.get(identity).await {
        Ok(CloudCredential::Google(google)) => google.token.expose().to_owned(),
        Ok(CloudCredential::Aws(_)) => String::new(),
        Err(error) => error.message,
    }
}

fn token(text: &str) -> Option<(u16, String)> {
    Some((200, format!(r#"{{"access_token":"{text}","expires_in":3599}}"#)))
}

/// Requirement: an endpoint that repeats what it was sent puts no secret into an error, which logs and clients get.
#[actix_rt::test]
async fn an_error_does_not_repeat_what_an_endpoint_repeats() {
    let echo_in = |member: &'static str| {
        Service::start(move |_, seen| {
            let plain = percent_encoding::percent_decode_str(&seen.body).decode_utf8_lossy().into_owned();
            let said = [format!("bad form {}", seen.body), plain].join(" or ");
            let mut error = serde_json::json!({"error": "invalid_request", "error_description": "no"});
            error[member] = said.into();
            Some((400, error.to_string()))
        })
    };
    for member in ["error", "error_description"] {
        let service = echo_in(member);
        let (_home, identity) = of_user(&service);
        let error = token_of(&credentials(), &identity).await;
        assert!(error.contains("bad form") && error.contains("client_id=me"), "{error}");
        assert!(!error.contains("q7Rz0vN1mWx") && !error.contains("LongRefreshToken"), "{error}");
    }
}

#[actix_rt::test]
async fn a_users_refresh_token_is_exchanged() {
    let service = Service::start(|_, _| token("ya29.user"));
    let (_home, identity) = of_user(&service);
    let CloudCredential::Google(google) = credentials().get(&identity).await.unwrap() else { panic!() };
    assert_eq!(google.token.expose(), "ya29.user");
    assert_eq!(google.quota_project, None, "an empty project is none");
    let seen = &service.seen()[0];
    assert!(
        seen.line == "POST /token HTTP/1.1" && seen.body.contains("grant_type=refresh%5Ftoken"),
        "{seen:?}"
    );
}

/// Requirement: a page of a proxy in between, and a service that is busy, are no answer; the next request asks again.
#[actix_rt::test]
async fn what_is_no_answer_of_the_service_is_asked_again() {
    let service = Service::start(|number, _| match number {
        0 => Some((503, String::new())),
        1 => Some((200, "<html>log in</html>".to_owned())),
        _ => token("ya29.later"),
    });
    let (_home, identity) = of_user(&service);
    let credentials = credentials();
    let error = credentials.get(&identity).await.unwrap_err();
    assert_eq!(error.kind, CredentialErrorKind::Unreachable);
    assert_eq!(error.message, format!("{}/token answered with something other than a token", service.url));
    sleep(Duration::from_millis(1100)).await;
    assert_eq!(token_of(&credentials, &identity).await, "ya29.later");
}

#[actix_rt::test]
async fn an_external_token_is_exchanged_and_then_impersonates() {
    let service = Service::start(|_, seen| match seen.line.split(' ').nth(1) {
        Some("/subject") => Some((200, r#"{"id":{"x":1},"jwt":"subject-token-1"}"#.to_owned())),
        Some("/exchange") => token("ya29.federated"),
        _ => {
            let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
            Some((200, format!(r#"{{"accessToken":"ya29.account","expireTime":"{expires}"}}"#)))
        }
    });
    let url = &service.url;
    let (_home, identity) = of_file(&format!(
        r#"{{"type":"external_account","audience":"//iam.googleapis.com/pool","subject_token_type":"jwt",
            "token_url":"{url}/exchange","service_account_impersonation_url":"{url}/sa@p.example:generateAccessToken",
            "credential_source":{{"url":"{url}/subject","headers":{{"Metadata":"True"}},
                "format":{{"type":"json","subject_token_field_name":"jwt"}}}}}}"#
    ));
    assert_eq!(token_of(&credentials(), &identity).await, "ya29.account");
    let [subject, exchange, impersonation] = service.seen().try_into().unwrap();
    assert!(subject.head.contains("metadata: true\r\n"), "{subject:?}");
    assert!(exchange.body.contains("subject_token=subject%2Dtoken%2D1"), "{exchange:?}");
    assert!(impersonation.head.contains("authorization: bearer ya29.federated\r\n"), "{impersonation:?}");
}

/// Requirement: a source that vdm cannot use is named, and nothing is sent for it.
#[actix_rt::test]
async fn sources_that_are_not_supported_are_named() {
    let service = Service::start(|_, _| token("ya29.wrong"));
    let url = &service.url;
    for (source, part) in [
        (format!(r#"{{"environment_id":"aws1","url":"{url}/role"}}"#), "environment_id (AWS)"),
        (r#"{"executable":{"command":"x"}}"#.to_owned(), "executable"),
        (r#"{"certificate":{}}"#.to_owned(), "certificate"),
        (r#"{"file":"/dev/null"}"#.to_owned(), "is empty"),
        ("{}".to_owned(), "neither a file nor a URL"),
    ] {
        let (_home, identity) = of_file(&format!(
            r#"{{"type":"external_account","audience":"a","subject_token_type":"t","token_url":"{url}","credential_source":{source}}}"#
        ));
        let error = credentials().get(&identity).await.unwrap_err();
        assert!(error.message.contains(part), "{source}: {error}");
        assert_eq!(error.kind, CredentialErrorKind::Refused, "{error}");
    }
    assert_eq!(service.calls(), 0);
}

/// Requirement: metadata services are never called through a proxy, whatever their host: a proxy would get the token.
#[actix_rt::test]
async fn metadata_services_are_called_directly() {
    let proxy = Service::start(|_, _| Some((502, String::new())));
    let service = Service::start(|_, seen| {
        if seen.line.contains("/computeMetadata/") {
            token("ya29.machine")
        } else {
            Some((404, String::new()))
        }
    });
    // An address of this machine that does not count as the machine itself.
    let port = service.url.rsplit(':').next().unwrap_or_default();
    let host = format!("0.0.0.0:{port}");
    let read = |name: &str| (name == "HTTP_PROXY").then(|| proxy.url.clone());
    let Ok(proxies) = ProxySettings::read(read) else { panic!("no proxy") };
    let Ok(tls) = client_config() else { panic!("no certificates") };
    let wiring =
        ConnectionSettings { tls, proxies: Arc::new(proxies), connect_timeout: Duration::from_secs(1) };

    let credentials = Credentials::new(wiring);
    assert_eq!(token_of(&credentials, &google(&[("GCE_METADATA_HOST", &host)])).await, "ya29.machine");
    let aws = identity(&[
        ("AWS_EC2_METADATA_DISABLED", ""),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{host}")),
    ]);
    let error = id_of(&credentials, &aws).await;
    assert!(error.contains(&format!("http://{host}/latest/api/token answered with status 404")), "{error}");
    assert_eq!(proxy.calls(), 0);

    // The same address as another service is called through the proxy, which shows that the test can fail.
    let (_home, user) = of_file(&format!(
        r#"{{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r","token_uri":"http://{host}/"}}"#
    ));
    let error = token_of(&credentials, &user).await;
    assert!(error.contains("answered with status 502") && proxy.calls() > 0, "{error}");
}
