//! Claude at AWS and Google Cloud, with a scripted cloud that verifies signatures and assertions by the vendors' own libraries:
//! real clients over the gateway's providers in clouds, and real clients in a cloud's mode at the gateway's endpoints.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::claude_code::{self, NEW};
use crate::installed::{self, Home};
use crate::support::client::Call;
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::Upstream;

const RESULT: &str = "The cloud says hello after the tool.";

/// The running script. It ends with its standard input.
struct ScriptedCloud {
    child: Child,
    address: String,
    home: Home,
}

impl Drop for ScriptedCloud {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Writes a key file of a service account, and its public key.
const NEW_ACCOUNT: &str = r#"
import json, sys
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import rsa
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
pem = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode()
public = key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
open("account.pem", "wb").write(public)
json.dump({"type": "service_account", "project_id": "p", "private_key_id": "k", "private_key": pem,
    "client_email": "sa@p.iam.gserviceaccount.com"}, open("account.json", "w"))
"#;

impl ScriptedCloud {
    /// `None` without the Python environment.
    fn start() -> Option<Self> {
        let python = installed::client("venv/bin/python")?;
        let home = Home::new();
        let made = installed::run(&python, &home, |command| {
            command.args(["-c", NEW_ACCOUNT]);
        });
        assert!(made.status.success(), "{made:#?}");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/scripted_cloud.py");
        let mut command = Command::new(python);
        command.arg(script).arg(home.path.join("account.pem"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut port = String::new();
        BufReader::new(child.stdout.take()?).read_line(&mut port).ok()?;
        let address = format!("127.0.0.1:{}", port.trim());
        let account = home.path.join("account.json");
        let text = std::fs::read_to_string(&account).ok()?;
        let mut json: Value = serde_json::from_str(&text).ok()?;
        json["token_uri"] = json!(format!("http://{address}/token"));
        std::fs::write(account, json.to_string()).ok()?;
        Some(Self { child, address, home })
    }

    /// A gateway whose providers `bedrock` and `vertex` lead here, with the credentials of an instance and of a service account.
    fn gateway(&self, default: &str) -> Gateway {
        let url = format!("http://{}", self.address);
        let lines = format!(
            "[bedrock]\nbase-url = \"{url}\"\nregion = \"us-east-1\"\n[vertex]\nbase-url = \"{url}\"\nproject = \"p\"\n\
             region = \"us-east5\"\n[defaults]\ndefault-provider = \"{default}\"\n"
        );
        Setup::default()
            .toml(&lines)
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
            .env("GOOGLE_APPLICATION_CREDENTIALS", self.home.path.join("account.json").display().to_string())
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
            .start()
    }

    /// A gateway without a configuration file: the variables that Claude Code's own mode reads are enough.
    fn gateway_by_environment(&self, provider: &str) -> Gateway {
        let (url, setup) = (format!("http://{}", self.address), Setup::default());
        let setup = match provider {
            "bedrock" => setup
                .env("CLAUDE_CODE_USE_BEDROCK", "1")
                .env("BEDROCK_BASE_URL", &url)
                .env("AWS_REGION", "us-east-1")
                .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)
                .env("AWS_CONFIG_FILE", "/nonexistent")
                .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
            _ => setup
                .env("CLAUDE_CODE_USE_VERTEX", "1")
                .env("VERTEX_BASE_URL", &url)
                .env("ANTHROPIC_VERTEX_PROJECT_ID", "p")
                .env("CLOUD_ML_REGION", "us-east5")
                .env(
                    "GOOGLE_APPLICATION_CREDENTIALS",
                    self.home.path.join("account.json").display().to_string(),
                ),
        };
        setup.start()
    }

    fn control(&self, state: &Value) {
        let address = self.address.parse().expect("an address");
        assert_eq!(Call::new(address, "POST", "/control").json(state).reply().status(), 200);
    }

    /// What happened, by kind.
    fn log(&self, kind: &str) -> Vec<Value> {
        let address = self.address.parse().expect("an address");
        let all = Call::new(address, "GET", "/control/log").reply().json();
        let all = all.as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|entry| entry["kind"] == kind).collect()
    }

    fn no_refusals(&self) {
        for kind in
            ["unsigned", "unknown-key", "bad-token", "bad-signature", "bad-body-hash", "bad-jwt", "unknown"]
        {
            assert_eq!(self.log(kind), Vec::<Value>::new(), "{kind}");
        }
    }
}

/// Runs Claude Code with a tool call, in two turns.
fn claude_code(variables: &[(&str, &str)]) -> Option<Value> {
    let claude = installed::client(NEW)?;
    let home = Home::new();
    let finished = installed::run(&claude, &home, |command| {
        command.args(["-p", "say it", "--allowedTools", "Bash", "--output-format", "json"]);
        command.env("DISABLE_AUTOUPDATER", "1").env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
        command.envs(variables.iter().copied());
    });
    assert!(finished.status.success(), "{finished:#?}");
    Some(serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:#?}")))
}

fn url(gateway: &Gateway) -> String {
    format!("http://{}", gateway.address)
}

/// Requirement (issue 20): with a section, or with the variables of Claude Code's own cloud modes, and the usual credentials, Claude
/// Code works over a cloud, streamed with tools and thinking.
#[test]
fn claude_code_works_over_bedrock_and_over_vertex() {
    let Some(cloud) = ScriptedCloud::start() else { return };
    for (provider, gateway) in [
        ("bedrock", cloud.gateway("bedrock")),
        ("vertex", cloud.gateway("vertex")),
        ("bedrock", cloud.gateway_by_environment("bedrock")),
        ("vertex", cloud.gateway_by_environment("vertex")),
    ] {
        let before = cloud.log(provider).len();
        let variables = [
            ("ANTHROPIC_BASE_URL", &*url(&gateway)),
            ("ANTHROPIC_AUTH_TOKEN", "any"),
            ("ANTHROPIC_MODEL", "sonnet"),
            ("MAX_THINKING_TOKENS", "4000"),
        ];
        let Some(said) = claude_code(&variables) else { return };
        assert_eq!(said["result"], RESULT, "{said}");
        assert!(cloud.log(provider).len() >= before + 2);
        cloud.no_refusals();
    }
}

/// Requirement (issue 20): credentials that expire in mid-session are renewed without a failed request.
#[test]
fn expired_credentials_are_renewed_without_a_failed_request() {
    let Some(cloud) = ScriptedCloud::start() else { return };
    let gateway = cloud.gateway("bedrock");
    let ask = |model: &str| {
        let prompt =
            json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
        gateway.messages(&prompt).reply()
    };
    for model in ["bedrock:sonnet", "vertex:sonnet"] {
        assert_eq!(ask(model).text(), "The cloud says hello.");
    }
    cloud.control(&json!({"expire": true}));
    for model in ["bedrock:sonnet", "vertex:sonnet"] {
        assert_eq!(ask(model).text(), "The cloud says hello.");
    }
    assert_eq!(cloud.log("expired").len(), 1, "Bedrock has refused the old ones once");
    assert_eq!(cloud.log("google-token").len(), 2);
    cloud.no_refusals();
}

/// Each source of Google credentials that needs no other vendor: a user of gcloud, and the metadata server.
#[test]
fn a_user_and_the_metadata_server_give_tokens() {
    let Some(cloud) = ScriptedCloud::start() else { return };
    let user = json!({"type": "authorized_user", "client_id": "id", "client_secret": "secret", "refresh_token": "1//r",
        "quota_project_id": "paying", "token_uri": format!("http://{}/token", cloud.address)});
    let file = cloud.home.path.join("user.json");
    std::fs::write(&file, user.to_string()).expect("a writable directory");
    let lines = format!(
        "[vertex]\nbase-url = \"http://{}\"\nproject = \"p\"\nregion = \"us-east5\"\n",
        cloud.address
    );
    let prompt =
        json!({"model": "sonnet", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
    let setup = || Setup::default().toml(&lines).env("CLOUDSDK_CONFIG", "/nonexistent");
    let by_user = setup().env("GOOGLE_APPLICATION_CREDENTIALS", file.display().to_string()).start();
    assert_eq!(by_user.messages(&prompt).reply().text(), "The cloud says hello.");
    assert_eq!(cloud.log("google-token")[0]["grant"], "refresh_token");
    assert_eq!(cloud.log("vertex")[0]["headers"]["x-goog-user-project"], "paying");
    let by_machine = setup().env("GCE_METADATA_HOST", &cloud.address).start();
    assert_eq!(by_machine.messages(&prompt).reply().text(), "The cloud says hello.");
    assert_eq!(cloud.log("google-metadata").len(), 1);
    cloud.control(&json!({"fail": "token"}));
    let refused = setup().env("GOOGLE_APPLICATION_CREDENTIALS", file.display().to_string()).start();
    let reply = refused.messages(&prompt).reply();
    let (_, message) = reply.error();
    assert!(message.contains("run gcloud auth application-default login"), "{reply}");
    assert!(!reply.raw().contains("1//r") && !refused.log().contains("1//r"), "{reply}");
}

/// Requirement (issue 20): `vdm test connection` says which permission is missing.
#[test]
fn a_missing_permission_is_named() {
    let Some(cloud) = ScriptedCloud::start() else { return };
    let gateway = cloud.gateway("bedrock");
    cloud.control(&json!({"fail": "access"}));
    for (provider, permission) in
        [("bedrock", "grant bedrock:InvokeModel"), ("vertex", "grant aiplatform.endpoints.predict")]
    {
        let told = gateway.get(&format!("/test-connection?provider={provider}"));
        assert!(told.to_string().contains(permission), "{told}");
    }
}

/// Requirement (issue 20): the official SDKs and boto3 work at the gateway's endpoints for clients in a cloud's mode.
#[test]
fn sdks_in_a_clouds_mode_are_served() {
    let Some(cloud) = ScriptedCloud::start() else { return };
    let Some(python) = installed::client("venv/bin/python") else { return };
    let gateway = cloud.gateway("bedrock");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/cloud_sdks.py");
    let home = Home::new();
    let finished = installed::run(&python, &home, |command| {
        command.arg(script).arg(url(&gateway));
    });
    assert!(finished.status.success(), "{finished:#?}");
    cloud.no_refusals();
}

/// Requirement (issue 20): Claude Code in its Bedrock, Vertex and Mantle modes, pointed at the gateway.
#[test]
fn claude_code_in_a_clouds_mode_is_served() {
    let Some(cloud) = ScriptedCloud::start() else { return };
    let gateway = cloud.gateway("bedrock");
    let (root, bedrock, v1) =
        (url(&gateway), format!("{}/bedrock", url(&gateway)), format!("{}/v1", url(&gateway)));
    let modes: [&[(&str, &str)]; 4] = [
        &[
            ("CLAUDE_CODE_USE_BEDROCK", "1"),
            ("CLAUDE_CODE_SKIP_BEDROCK_AUTH", "1"),
            ("AWS_REGION", "us-east-1"),
            ("ANTHROPIC_BEDROCK_BASE_URL", &root),
        ],
        &[
            ("CLAUDE_CODE_USE_BEDROCK", "1"),
            ("AWS_ACCESS_KEY_ID", "client"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("ANTHROPIC_BEDROCK_BASE_URL", &bedrock),
        ],
        &[
            ("CLAUDE_CODE_USE_VERTEX", "1"),
            ("CLAUDE_CODE_SKIP_VERTEX_AUTH", "1"),
            ("CLOUD_ML_REGION", "us-east5"),
            ("ANTHROPIC_VERTEX_PROJECT_ID", "p"),
            ("ANTHROPIC_VERTEX_BASE_URL", &v1),
        ],
        &[
            ("CLAUDE_CODE_USE_MANTLE", "1"),
            ("CLAUDE_CODE_SKIP_MANTLE_AUTH", "1"),
            ("AWS_REGION", "us-east-1"),
            ("ANTHROPIC_BEDROCK_MANTLE_BASE_URL", &root),
        ],
    ];
    for variables in modes {
        let Some(said) = claude_code(variables) else { return };
        assert_eq!(said["result"], RESULT, "{variables:?}: {said}");
    }
    cloud.no_refusals();
}

/// Requirement (issue 20): these modes are answered from any provider, here by upstreams of both of Claude Code's usual APIs.
#[test]
fn claude_code_in_a_clouds_mode_writes_a_file_through_any_upstream() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let Some(claude) = installed::client(NEW) else { return };
        let home = Home::new();
        let upstream = claude_code::poem(&home).played_by(upstream);
        let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "gateway-key-0123").start();
        let (root, v1) = (url(&gateway), format!("{}/v1", url(&gateway)));
        let bedrock: &[(&str, &str)] = &[
            ("CLAUDE_CODE_USE_BEDROCK", "1"),
            ("AWS_BEARER_TOKEN_BEDROCK", "gateway-key-0123"),
            ("AWS_REGION", "us-east-1"),
            ("ANTHROPIC_BEDROCK_BASE_URL", &root),
        ];
        let vertex: &[(&str, &str)] = &[
            ("CLAUDE_CODE_USE_VERTEX", "1"),
            ("CLAUDE_CODE_SKIP_VERTEX_AUTH", "1"),
            ("ANTHROPIC_CUSTOM_HEADERS", "x-api-key: gateway-key-0123"),
            ("CLOUD_ML_REGION", "us-east5"),
            ("ANTHROPIC_VERTEX_PROJECT_ID", "p"),
            ("ANTHROPIC_VERTEX_BASE_URL", &v1),
        ];
        for variables in [bedrock, vertex] {
            let finished = installed::run(&claude, &home, |command| {
                claude_code::prepare(command, "Write the poem to poem.txt", &gateway);
                command.env_remove("ANTHROPIC_BASE_URL").env_remove("ANTHROPIC_API_KEY");
                command.envs(variables.iter().copied());
            });
            claude_code::expect_the_poem(&finished, &home);
            claude_code::expect_the_result_upstream(&upstream);
            drop(std::fs::remove_file(home.path.join("poem.txt")));
        }
    }
}
