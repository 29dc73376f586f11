//! The environment of a tool that runs through the gateway: the variables to set, and those to remove.
//!
//! Claude Code: code.claude.com/docs/en/llm-gateway-connect. Without a credential it requires a login before it calls
//! the gateway. A variable that selects another cloud overrides the base URL.
//!
//! Codex has its provider from its command line ([`super::codex`]); the environment has the keys alone.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::config::Config;

/// Lets a tool that a wrapped tool starts use the same gateway.
pub(super) const URL: &str = "VDM_WRAP_URL";

/// The variable in which Codex finds the gateway's key. A variable of our own, so that programs that Codex runs keep theirs.
pub(super) const CODEX_KEY: &str = "VDM_WRAP_KEY";
pub(super) const OPENAI_KEY: &str = "OPENAI_API_KEY";
/// The header with the gateway's key for clients that send a provider's key as well.
pub(super) const PROXY_KEY_HEADER: &str = "x-vdm-proxy-key";

/// The token for a gateway without a gateway key.
const ANY: &str = "vdm";
/// Makes Claude Code list the gateway's models in `/model`.
const DISCOVERY: &str = "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY";
/// Makes Claude Code say in headers what a request is for (code.claude.com/docs/en/llm-gateway-protocol).
const HINTS: &str = "CLAUDE_CODE_GATEWAY_HINT_HEADERS";
/// With one of these, Claude Code ignores the base URL and calls another cloud. (Tested with 2.1.330;
/// CLAUDE_CODE_USE_GATEWAY has no such effect.)
const CLOUDS: [&str; 6] = [
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_MANTLE",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD",
];
/// Node.js and Bun trust the certificates of this file as well, so a self-signed gateway works.
const EXTRA_CERTIFICATES: &str = "NODE_EXTRA_CA_CERTS";
/// Codex trusts the certificates of this file as well.
const CODEX_CERTIFICATES: &str = "CODEX_CA_CERTIFICATE";
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// The differences between the tool's environment and this process's.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    set: BTreeMap<&'static str, String>,
    unset: Vec<&'static str>,
    /// Whether the gateway's key is set.
    has_secret: HasSecret,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HasSecret {
    Yes,
    #[default]
    No,
}

/// The keys that Codex sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodexCredential {
    /// The gateway's key, or any word.
    Gateways,
    /// The user's own `OPENAI_API_KEY`.
    Own,
    /// The user's own key, and the gateway's in a header.
    OwnBesideGateways,
}

impl CodexCredential {
    /// `read` returns a variable of this process's environment.
    pub(super) fn new(config: &Config, read: &dyn Fn(&str) -> Option<String>) -> Self {
        let has_own = read(OPENAI_KEY).is_some_and(|key| is_one_key(&key));
        match (has_own, brings_own(config), &config.proxy_api_key) {
            (true, true, Some(_)) => Self::OwnBesideGateways,
            (true, true, None) => Self::Own,
            (true, false, None) if config.access.are_required() => Self::Own,
            (true | false, _, _) => Self::Gateways,
        }
    }
}

impl Changes {
    /// `read` returns a variable of this process's environment.
    pub(super) fn for_claude_code(url: &str, config: &Config, read: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut changes = Self::around(url, config, read);
        changes.set.insert("ANTHROPIC_BASE_URL", url.to_owned());
        changes.unset.extend(CLOUDS);
        if read(DISCOVERY).is_none() {
            changes.set.insert(DISCOVERY, "1".to_owned());
        }
        if config.settings.use_hints() && read(HINTS).is_none() {
            changes.set.insert(HINTS, "1".to_owned());
        }
        changes.credential("ANTHROPIC_AUTH_TOKEN", config, read);
        // If clients use their own keys, this may be one of them. But the gateway reads its provider's keys from it, too.
        let brings = brings_own(config) && read("ANTHROPIC_API_KEY").is_some_and(|key| is_one_key(&key));
        if !brings {
            changes.unset.push("ANTHROPIC_API_KEY");
        }
        changes
    }

    pub(super) fn for_openai(url: &str, config: &Config, read: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut changes = Self::around(url, config, read);
        changes.set.insert("OPENAI_BASE_URL", format!("{url}/v1"));
        changes.set.insert("OPENAI_API_BASE", format!("{url}/v1"));
        let brings = brings_own(config) && read("OPENAI_API_KEY").is_some_and(|key| is_one_key(&key));
        if config.proxy_api_key.is_some() || !brings {
            changes.credential("OPENAI_API_KEY", config, read);
            if !Self::keeps_own(config, read("OPENAI_API_KEY")) {
                changes.set.entry("OPENAI_API_KEY").or_insert_with(|| ANY.to_owned());
            }
        }
        changes
    }

    /// The keys of [`CodexCredential`].
    pub(super) fn for_codex(url: &str, config: &Config, read: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut changes = Self::around(url, config, read);
        if let Some(certificate) = changes.set.remove(EXTRA_CERTIFICATES)
            && read(CODEX_CERTIFICATES).is_none()
        {
            changes.set.insert(CODEX_CERTIFICATES, certificate);
        }
        match (CodexCredential::new(config, read), &config.proxy_api_key) {
            (CodexCredential::Own, _) => {}
            (CodexCredential::OwnBesideGateways | CodexCredential::Gateways, Some(key)) => {
                changes.set.insert(CODEX_KEY, key.expose().to_owned());
                changes.has_secret = HasSecret::Yes;
            }
            (CodexCredential::OwnBesideGateways | CodexCredential::Gateways, None) => {
                changes.set.insert(CODEX_KEY, ANY.to_owned());
            }
        }
        changes
    }

    fn around(url: &str, config: &Config, read: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut changes = Self::default();
        changes.set.insert(URL, url.to_owned());
        if let Some(tls) = config.tls.as_ref().filter(|_| url.starts_with("https:"))
            && read(EXTRA_CERTIFICATES).is_none()
        {
            let path = tls.certificate_path().to_string_lossy().into_owned();
            changes.set.insert(EXTRA_CERTIFICATES, path);
        }
        if PROXIES.iter().any(|name| read(name).is_some()) {
            // The gateway is local, so no proxy is needed to reach it.
            for name in ["NO_PROXY", "no_proxy"] {
                let others = read(name).map(|others| format!(",{others}")).unwrap_or_default();
                changes.set.insert(name, format!("127.0.0.1,localhost,::1{others}"));
            }
        }
        changes
    }

    /// The gateway's key. Without one, any word, unless the client's own key is needed.
    fn credential(&mut self, name: &'static str, config: &Config, read: &dyn Fn(&str) -> Option<String>) {
        if let Some(key) = &config.proxy_api_key {
            self.set.insert(name, key.expose().to_owned());
            self.has_secret = HasSecret::Yes;
        } else if !brings_own(config) && !Self::keeps_own(config, read(name)) {
            self.set.insert(name, ANY.to_owned());
        }
    }

    /// Whether the user's credential stays: of `[client-keys]` only the user has the key.
    fn keeps_own(config: &Config, own: Option<String>) -> bool {
        config.proxy_api_key.is_none()
            && config.access.are_required()
            && own.is_some_and(|key| is_one_key(&key))
    }

    pub(super) fn apply(&self, command: &mut Command) {
        for name in &self.unset {
            command.env_remove(name);
        }
        command.envs(&self.set);
    }

    /// One line for each change, without the key, for users.
    pub(super) fn shown(&self) -> Vec<String> {
        let is_key =
            |name: &str| self.has_secret == HasSecret::Yes && !name.contains("URL") && is_credential(name);
        let set = self.set.iter().map(|(name, value)| {
            if is_key(name) { format!("{name}=<PROXY_API_KEY>") } else { format!("{name}={value}") }
        });
        set.chain(self.unset.iter().map(|name| format!("{name} not set"))).collect()
    }

    pub(super) fn has_secret(&self) -> bool {
        self.has_secret == HasSecret::Yes
    }

    /// The same as settings of Claude Code, in which an empty text means "not set".
    pub(super) fn as_settings(&self) -> Value {
        let ours = self.set.iter().filter(|(name, _)| ![URL, DISCOVERY, HINTS].contains(*name));
        let set = ours.map(|(name, value)| ((*name).to_owned(), Value::from(value.clone())));
        let unset = self.unset.iter().map(|name| ((*name).to_owned(), Value::from("")));
        json!({"env": set.chain(unset).collect::<serde_json::Map<_, _>>()})
    }

    /// The variables that other settings must not change. The others are defaults.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.set.keys().chain(&self.unset).copied().filter(|name| ![DISCOVERY, HINTS].contains(name))
    }
}

fn is_credential(name: &str) -> bool {
    name.ends_with("_TOKEN") || name.ends_with("_KEY")
}

/// Whether a provider uses the client's own key.
fn brings_own(config: &Config) -> bool {
    config.settings.providers.iter().any(|provider| provider.passthrough)
}

/// Whether the text is one key: `{P}_API_KEY` can also contain several keys, or `!PASSTHRU`.
fn is_one_key(text: &str) -> bool {
    !text.trim().is_empty() && !text.starts_with('!') && !text.trim().contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use vandamme_actors::roles::Role;

    use super::*;
    use crate::access_keys::{ClientKey, KeyHash};
    use crate::config::Overrides;

    const ADDRESS: &str = "http://127.0.0.1:1";

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn config(environment: &BTreeMap<String, String>) -> Config {
        let environment = environment.clone();
        let overrides =
            Overrides { environment, working_directory: "/absent".into(), ..Overrides::default() };
        Config::load(&overrides).unwrap()
    }

    fn claude_code(pairs: &[(&str, &str)]) -> Changes {
        let environment = variables(pairs);
        Changes::for_claude_code(ADDRESS, &config(&environment), &|name| environment.get(name).cloned())
    }

    /// Requirement: Claude Code sends its hint headers if a rule of `[routing]` depends on them, unless the user has decided.
    #[test]
    fn hint_headers_are_switched_on_for_rules_that_need_them() {
        let with = |role: &str, environment: &[(&str, &str)]| {
            let environment = variables(environment);
            let mut config = config(&environment);
            let rule = (Role::parse(role).unwrap(), vec!["openai:m".to_owned()]);
            config.settings.roles.targets.extend([rule]);
            let changes = Changes::for_claude_code(ADDRESS, &config, &|name| environment.get(name).cloned());
            changes.set.get(HINTS).cloned()
        };
        for role in ["subagent.Explore", "subagent", "auxiliary", "compaction"] {
            assert_eq!(with(role, &[]).as_deref(), Some("1"), "{role}");
            assert_eq!(with(role, &[(HINTS, "0")]), None, "{role}");
        }
        assert_eq!(with("background", &[]), None);
        assert!(!claude_code(&[]).set.contains_key(HINTS));
    }

    fn openai(pairs: &[(&str, &str)]) -> Changes {
        let environment = variables(pairs);
        Changes::for_openai(ADDRESS, &config(&environment), &|name| environment.get(name).cloned())
    }

    #[test]
    fn claude_code_sends_a_placeholder_and_no_key_of_a_provider() {
        let changes = claude_code(&[("ANTHROPIC_API_KEY", "sk-canary")]);

        assert_eq!(changes.set["ANTHROPIC_BASE_URL"], ADDRESS);
        assert_eq!(changes.set["ANTHROPIC_AUTH_TOKEN"], "vdm");
        assert!(changes.unset.contains(&"ANTHROPIC_API_KEY"));
        let clouds = ["BEDROCK", "MANTLE", "VERTEX", "FOUNDRY", "ANTHROPIC_AWS", "ANTHROPIC_GOOGLE_CLOUD"];
        for cloud in clouds.map(|cloud| format!("CLAUDE_CODE_USE_{cloud}")) {
            assert!(changes.unset.contains(&cloud.as_str()), "{cloud}");
            assert_eq!(changes.as_settings()["env"][&cloud], "", "{cloud}");
        }
        assert!(!changes.set.contains_key("NO_PROXY"));
    }

    /// Requirement: only the user has a key of `[client-keys]`, so the user's variable stays.
    #[test]
    fn with_named_keys_the_users_credential_stays() {
        let own = variables(&[("ANTHROPIC_AUTH_TOKEN", "vdm_mine")]);
        let mut config = config(&own);
        let hash = KeyHash::from_key(b"vdm_mine");
        config.access.clients.push(ClientKey { name: Some("me".into()), hash });
        let changes = |environment: &BTreeMap<String, String>| {
            Changes::for_claude_code(ADDRESS, &config, &|name| environment.get(name).cloned())
        };
        assert!(!changes(&own).set.contains_key("ANTHROPIC_AUTH_TOKEN"));
        assert_eq!(changes(&BTreeMap::new()).set["ANTHROPIC_AUTH_TOKEN"], ANY);
    }

    #[test]
    fn the_gateway_key_is_sent_only_to_the_gateway() {
        let pairs = [("OPENAI_API_KEY", "sk-a"), ("PROXY_API_KEY", "canary")];
        for (changes, name) in
            [(claude_code(&pairs), "ANTHROPIC_AUTH_TOKEN"), (openai(&pairs), "OPENAI_API_KEY")]
        {
            assert_eq!(changes.set[name], "canary");
            assert!(changes.has_secret());
            let shown = changes.shown().join("\n");
            assert!(
                shown.contains(&format!("{name}=<PROXY_API_KEY>")) && !shown.contains("canary"),
                "{shown}"
            );
        }
    }

    #[test]
    fn with_passthrough_keys_the_clients_keys_are_kept() {
        let own =
            [("POE_API_KEY", "!PASSTHRU"), ("ANTHROPIC_API_KEY", "sk-own"), ("OPENAI_API_KEY", "sk-own")];
        let changes = claude_code(&own);
        assert!(!changes.set.contains_key("ANTHROPIC_AUTH_TOKEN"));
        assert!(!changes.unset.contains(&"ANTHROPIC_API_KEY"));
        assert!(!openai(&own).set.contains_key("OPENAI_API_KEY"));

        for no_key in ["!PASSTHRU", "sk-1 sk-2"] {
            let changes = claude_code(&[("POE_API_KEY", "!PASSTHRU"), ("ANTHROPIC_API_KEY", no_key)]);
            assert!(changes.unset.contains(&"ANTHROPIC_API_KEY"), "{no_key}");
            let changes = openai(&[("POE_API_KEY", "!PASSTHRU"), ("OPENAI_API_KEY", no_key)]);
            assert_eq!(changes.set["OPENAI_API_KEY"], "vdm");
        }
    }

    fn codex(pairs: &[(&str, &str)]) -> (CodexCredential, Changes) {
        let environment = variables(pairs);
        let (config, read) = (config(&environment), |name: &str| environment.get(name).cloned());
        (CodexCredential::new(&config, &read), Changes::for_codex(ADDRESS, &config, &read))
    }

    #[test]
    fn codex_has_the_gateways_key_in_a_variable_of_its_own() {
        let (credential, changes) = codex(&[("OPENAI_API_KEY", "sk-canary")]);
        assert_eq!((credential, changes.set[CODEX_KEY].as_str()), (CodexCredential::Gateways, ANY));
        let (credential, changes) = codex(&[("OPENAI_API_KEY", "sk-canary"), ("PROXY_API_KEY", "key")]);
        assert_eq!((credential, changes.set[CODEX_KEY].as_str()), (CodexCredential::Gateways, "key"));
        let shown = changes.shown().join("\n");
        assert!(shown.contains("VDM_WRAP_KEY=<PROXY_API_KEY>"), "{shown}");
        assert!(!changes.set.contains_key("OPENAI_API_KEY"));
    }

    #[test]
    fn with_passthrough_keys_codex_sends_the_users_own() {
        let own = [("POE_API_KEY", "!PASSTHRU"), ("OPENAI_API_KEY", "sk-own")];
        let (credential, changes) = codex(&own);
        assert_eq!((credential, changes.set.get(CODEX_KEY)), (CodexCredential::Own, None));
        let (credential, changes) = codex(&[own[0], own[1], ("PROXY_API_KEY", "key")]);
        assert_eq!(
            (credential, changes.set[CODEX_KEY].as_str()),
            (CodexCredential::OwnBesideGateways, "key")
        );
        let (credential, _) = codex(&[own[0], ("OPENAI_API_KEY", "!PASSTHRU")]);
        assert_eq!(credential, CodexCredential::Gateways);
    }

    #[test]
    fn both_variables_of_the_base_url_name_the_gateway() {
        let changes = openai(&[]);
        assert_eq!(changes.set["OPENAI_BASE_URL"], "http://127.0.0.1:1/v1");
        assert_eq!(changes.set["OPENAI_API_BASE"], "http://127.0.0.1:1/v1");
        assert_eq!(changes.set["OPENAI_API_KEY"], "vdm");
    }

    #[test]
    fn the_gateway_is_called_without_a_proxy() {
        let changes = claude_code(&[("https_proxy", "http://proxy:3128"), ("NO_PROXY", "intranet")]);
        assert_eq!(changes.set["NO_PROXY"], "127.0.0.1,localhost,::1,intranet");
        assert_eq!(changes.set["no_proxy"], "127.0.0.1,localhost,::1");
    }
}
