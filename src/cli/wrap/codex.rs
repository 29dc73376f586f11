//! Codex's command line: `-c` options, which make the gateway its provider for this run. Codex's own configuration stays as it
//! is. (Tested with 0.171.0.)

use std::ffi::OsString;

use super::environment::{CODEX_KEY, CodexCredential, OPENAI_KEY, PROXY_KEY_HEADER};

/// The provider's name in Codex's configuration.
const PROVIDER: &str = "vdm";
/// What is requested unless the user names a model: every built-in provider has this alias, and the gateway's routes decide
/// what it means.
const MODEL: &str = "sonnet";
/// Options with which the user selects a model or a set of own settings.
const SELECTING: [&str; 5] = ["-m", "--model", "-p", "--profile", "--oss"];

/// The options for Codex before the user's `arguments`, of which later ones win.
pub(super) fn options(url: &str, credential: CodexCredential, arguments: &[OsString]) -> Vec<OsString> {
    let of_provider = |key: &str| format!("model_providers.{PROVIDER}.{key}");
    let base = format!("{url}/v1");
    let bearer = match credential {
        CodexCredential::Gateways => CODEX_KEY,
        CodexCredential::Own | CodexCredential::OwnBesideGateways => OPENAI_KEY,
    };
    let mut settings = vec![
        ("model_provider".to_owned(), text(PROVIDER)),
        (of_provider("name"), text("Vandamme Proxy")),
        (of_provider("base_url"), text(&base)),
        (of_provider("wire_api"), text("responses")),
        (of_provider("env_key"), text(bearer)),
        (of_provider("model_catalog_url"), text(&format!("{base}/models"))),
        ("features.api_key_model_discovery".to_owned(), "true".to_owned()),
    ];
    if credential == CodexCredential::OwnBesideGateways {
        let header = format!("{{{PROXY_KEY_HEADER} = {}}}", text(CODEX_KEY));
        settings.push((of_provider("env_http_headers"), header));
    }
    if !selects_model(arguments) {
        settings.push(("model".to_owned(), text(MODEL)));
    }
    let options = settings.iter().flat_map(|(key, value)| ["-c".to_owned(), format!("{key}={value}")]);
    options.map(OsString::from).collect()
}

/// A TOML string.
fn text(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// Whether the user names a model, or a profile or another provider that has its own.
fn selects_model(arguments: &[OsString]) -> bool {
    let mut words = arguments.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--");
    while let Some(word) = words.next() {
        let is_setting = |setting: &str| setting.trim_start().starts_with("model=");
        let named = |option: &&str| {
            let rest = word.strip_prefix(*option);
            // `--model=x`, or `-mx`.
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('=') || !option.starts_with("--"))
        };
        let setting = match &*word {
            "-c" | "--config" => words.next().unwrap_or_default(),
            joined => joined
                .strip_prefix("--config=")
                .or_else(|| joined.strip_prefix("-c"))
                .unwrap_or_default()
                .to_owned()
                .into(),
        };
        if SELECTING.iter().any(named) || is_setting(&setting) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(credential: CodexCredential, arguments: &[&str]) -> Vec<String> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let options = options("http://127.0.0.1:1", credential, &arguments);
        options.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_gateway_is_the_provider_of_this_run() {
        let made = made(CodexCredential::Gateways, &["exec", "hi"]);
        assert!(made.iter().step_by(2).all(|option| option == "-c"), "{made:?}");
        for setting in [
            r#"model_provider="vdm""#,
            r#"model_providers.vdm.base_url="http://127.0.0.1:1/v1""#,
            r#"model_providers.vdm.wire_api="responses""#,
            r#"model_providers.vdm.env_key="VDM_WRAP_KEY""#,
            r#"model="sonnet""#,
        ] {
            assert!(made.iter().any(|word| word == setting), "{setting}: {made:?}");
        }
    }

    #[test]
    fn the_users_own_key_is_the_bearer_token_beside_the_gateways() {
        let own = r#"model_providers.vdm.env_key="OPENAI_API_KEY""#;
        let header = r#"model_providers.vdm.env_http_headers={x-vdm-proxy-key = "VDM_WRAP_KEY"}"#;
        let made = |credential| made(credential, &[]);
        let has = |made: &[String], setting: &str| made.iter().any(|word| word == setting);
        let (alone, beside) = (made(CodexCredential::Own), made(CodexCredential::OwnBesideGateways));
        assert!(has(&alone, own) && !has(&alone, header), "{alone:?}");
        assert!(has(&beside, own) && has(&beside, header), "{beside:?}");
    }

    #[test]
    fn a_model_that_the_user_selects_wins() {
        for line in [
            "exec -m x hi",
            "-mx",
            "--model x",
            "exec --model=x hi",
            "-c model=x",
            "-cmodel=x",
            "--config model=x",
            "exec --config=model=x",
            "-p fast",
            "--profile=fast exec hi",
            "--oss",
        ] {
            assert!(selects_model(&words(line)), "{line}");
        }
        for line in
            ["", "exec hi", "-c model_reasoning_effort=high", "exec --message hi", "exec -- -m", "-c --oss=1"]
        {
            assert!(!selects_model(&words(line)), "{line}");
        }
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }
}
