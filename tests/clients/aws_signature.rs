//! AWS signatures, recomputed by botocore, which is an independent implementation.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use actix_http::Method;
use actix_http::header::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use vandamme_actors::credentials::{AwsCredentials, RequestToSign, SigningScope, sign};

use crate::installed::{self, Home};

/// How many random requests are signed.
const REQUESTS: usize = 500;

/// A request of random parts.
#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    token: Option<String>,
    service: &'static str,
    region: &'static str,
    seconds: u64,
}

impl Request {
    /// As the Python script reads it, with the headers that signing makes.
    fn signed(&self) -> Result<Value, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
            headers.insert(HeaderName::from_static(name), value);
        }
        let (id, secret) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let credentials = AwsCredentials {
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned().into(),
            session_token: self.token.clone().map(Into::into),
            expires: None,
        };
        let method = self.method.parse::<Method>().map_err(|error| error.to_string())?;
        let request = RequestToSign {
            method: &method,
            url: &self.url,
            headers: &headers,
            body_sha256: sha256(&self.body),
        };
        let scope = SigningScope { region: self.region, service: self.service };
        let made = sign(&credentials, scope, request, UNIX_EPOCH + Duration::from_secs(self.seconds))?;
        let made: Vec<_> =
            made.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect();
        let body: String = self.body.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(json!({
            "method": self.method, "url": self.url, "headers": self.headers, "body": body, "token": self.token,
            "service": self.service, "region": self.region, "id": id, "secret": secret, "made": made,
        }))
    }
}

fn sha256(body: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(body).into()
}

/// Text of a URL: characters that need no encoding, and encoded ones.
fn encoded() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z0-9._~-]{1,8}",
        Just("%3A".to_owned()),
        Just("%2F".to_owned()),
        Just("%20".to_owned()),
        Just("%25".to_owned()),
        Just("%C3%A9".to_owned()),
        Just(":".to_owned()),
        Just("@".to_owned()),
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

fn url() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        Just("https://bedrock-runtime.us-east-1.amazonaws.com"),
        Just("https://bedrock-mantle.eu-west-1.api.aws:443"),
        Just("http://127.0.0.1:8080"),
        Just("https://vpce-1.example:8443"),
    ];
    // Queries only with characters that all implementations encode alike.
    let pair = ("[a-z][a-zA-Z0-9-]{0,6}", "([a-zA-Z0-9._~-]|%2F|%3D){0,8}");
    let query = proptest::collection::vec(pair, 0..4);
    (host, proptest::collection::vec(encoded(), 0..5), query).prop_map(|(host, segments, query)| {
        let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        format!("{host}{}{query}", if path.is_empty() { "/" } else { &path })
    })
}

fn requests() -> impl Strategy<Value = Request> {
    let headers = proptest::collection::btree_map(
        prop_oneof![
            Just("content-type"),
            Just("x-amz-meta-a"),
            Just("x-amzn-bedrock-trace"),
            Just("user-agent"),
            Just("anthropic-beta"),
            Just("traceparent"),
        ],
        "[a-zA-Z0-9][a-zA-Z0-9 ;=/,]{0,12}[a-zA-Z0-9]",
        0..5,
    );
    let token = proptest::option::of("[A-Za-z0-9+/=]{1,60}");
    let service =
        prop_oneof![Just("bedrock"), Just("bedrock-mantle"), Just("aws-external-anthropic"), Just("sts")];
    let region = prop_oneof![Just("us-east-1"), Just("eu-west-1"), Just("us-gov-west-1")];
    let method = prop_oneof![Just("POST"), Just("GET")];
    let body = proptest::collection::vec(any::<u8>(), 0..100);
    (method, url(), headers, body, token, service, region, 1_000_000_000..3_000_000_000_u64).prop_map(
        |(method, url, headers, body, token, service, region, seconds)| Request {
            method,
            url,
            headers: headers.into_iter().collect(),
            body,
            token,
            service,
            region,
            seconds,
        },
    )
}

/// Requests as they are sent to Bedrock: an id with a colon, and the ARN of an inference profile.
fn usual() -> Vec<Request> {
    let host = "https://bedrock-runtime.us-east-1.amazonaws.com";
    let arn = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc";
    let urls = [
        format!("{host}/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke-with-response-stream"),
        format!("{host}/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0/invoke"),
        format!("{host}/model/{arn}/invoke"),
        "https://bedrock-mantle.us-east-1.api.aws/anthropic/v1/messages?beta=true".to_owned(),
        "https://sts.us-east-1.amazonaws.com/".to_owned(),
    ];
    let request = |url| Request {
        method: "POST",
        url,
        headers: vec![("content-type", "application/json".to_owned())],
        body: b"{}".to_vec(),
        token: Some("FwoGZXIvYXdzE+/=".to_owned()),
        service: "bedrock",
        region: "us-east-1",
        seconds: 1_796_083_200,
    };
    urls.map(request).into()
}

#[test]
fn botocore_computes_the_same_signatures() {
    let Some(python) = installed::client("venv/bin/python") else { return };
    let mut runner = TestRunner::deterministic();
    let random = (0..REQUESTS).map(|_| requests().new_tree(&mut runner).expect("a request").current());
    let signed: Result<Vec<Value>, String> =
        usual().into_iter().chain(random).map(|it| it.signed()).collect();
    let home = Home::new();
    let file = home.path.join("signed.json");
    std::fs::write(&file, json!(signed.expect("signed")).to_string()).expect("a writable directory");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/aws_signature.py");

    let finished = installed::run(&python, &home, |command| {
        command.arg(script).arg(&file);
    });

    assert!(finished.status.success(), "{}\n{}", finished.stdout, finished.stderr);
}
