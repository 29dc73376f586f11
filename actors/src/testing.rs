//! Builds settings for the tests of this crate.

use std::sync::Arc;
use std::time::Duration;

use crate::secret::ApiKey;
use crate::settings::Retention;
use crate::settings::{Api, Limits, MessagesForm, Metrics, ProviderSettings, ResponsesSupport, Settings};

pub(crate) struct ProviderBuilder(ProviderSettings);

pub(crate) fn provider(name: &str) -> ProviderBuilder {
    ProviderBuilder(ProviderSettings {
        name: name.into(),
        api: Api::ChatCompletions,
        responses: ResponsesSupport::Unknown,
        base_url: "http://127.0.0.1:1/v1".into(),
        azure: None,
        messages_form: MessagesForm::Native,
        identity: None,
        keys: vec![ApiKey::new(format!("{name}-key"))],
        custom_headers: vec![],
        fixups: vec![],
        aliases: Default::default(),
        fallbacks: Default::default(),
        serves_claude: false,
        judge: None,
        timeout: None,
        max_retries: 2,
        demo: false,
        passthrough: false,
        dialect: vandamme_protocol::convert::upstream::chat::Dialect::default(),
        middleware: Default::default(),
        models_url: None,
        model_page: None,
        cache_diagnostics: false,
        describe_images_with: None,
        text_only_models: Default::default(),
        tls: None,
    })
}

impl ProviderBuilder {
    pub(crate) fn aliases(mut self, aliases: &[(&str, &str)]) -> Self {
        self.0.aliases = aliases.iter().map(|&(name, target)| (name.into(), target.into())).collect();
        self
    }

    pub(crate) fn fallbacks(mut self, fallbacks: &[(&str, &[&str])]) -> Self {
        let owned = |targets: &[&str]| targets.iter().map(|&target| target.into()).collect();
        self.0.fallbacks = fallbacks.iter().map(|&(name, targets)| (name.into(), owned(targets))).collect();
        self
    }

    pub(crate) fn passthrough(mut self) -> Self {
        self.0.passthrough = true;
        self.0.keys.clear();
        self
    }

    pub(crate) fn serves_claude(mut self) -> Self {
        self.0.serves_claude = true;
        self
    }

    pub(crate) fn keys(mut self, keys: &[&str]) -> Self {
        self.0.keys = keys.iter().map(|&key| ApiKey::new(key)).collect();
        self
    }

    pub(crate) fn build(self) -> Arc<ProviderSettings> {
        Arc::new(self.0)
    }
}

pub(crate) fn settings(providers: Vec<Arc<ProviderSettings>>) -> Settings {
    let default_provider = providers.first().map(|provider| provider.name.clone());
    Settings {
        providers,
        partial: vec![],
        keyless: vec![],
        profiles: vec![],
        default_profile: None,
        default_provider,
        roles: Default::default(),
        allowed_hosts: vec![],
        cors_origins: vec![],
        route_header: false,
        request_metrics: Metrics::Kept,
        log_summary_interval: 0,
        active_stream: true,
        cache: None,
        history: None,
        top_models: None,
        web_search: None,
        prices: Default::default(),
        limits: limits(),
    }
}

pub(crate) fn limits() -> Limits {
    let second = Duration::from_secs(1);
    Limits {
        certificate_check: Duration::from_secs(60),
        request_body: 32 << 20,
        model_name: 256,
        request_head_timeout: 10 * second,
        body_grace: 10 * second,
        body_min_rate: 1024,
        connections: 10_000,
        connections_per_address: Some(8_000),
        websockets: 1_000,
        websocket_idle: Some(1_800 * second),
        websocket_items: 256 << 20,
        in_flight: 4096,
        provider_in_flight: 1024,
        provider_queue: 256,
        provider_queue_wait: 5 * second,
        client_channel: 64 << 10,
        event: 16 << 20,
        event_min_rate: 1024,
        before_first_event: 64 << 10,
        whole_reply: 64 << 20,
        connect_timeout: 10 * second,
        whole_timeout: Some(600 * second),
        first_byte_timeout: Some(300 * second),
        client_timeout: Some(600 * second),
        reply_grace: 60 * second,
        reply_min_rate: 1024,
        idle_timeout: Some(300 * second),
        total_timeout: None,
        head_patience: 45 * second,
        ping_interval: 15 * second,
        cooldown: 30 * second,
        cooldown_cap: 300 * second,
        alias_chain: 10,
        models_ttl: 300 * second,
        models_cache_ttl: 86_400 * second,
        learned_rules_ttl: 86_400 * second,
        signatures: Retention { entries: 10_000, ttl: 3600 * second, sweep: 300 * second },
        drain: 25 * second,
        worker_liveness: Duration::from_secs(60),
        watch_interval: Duration::from_millis(250),
        watch_patience: Duration::from_millis(500),
        active_interval: Duration::from_millis(500),
        active_heartbeat: Duration::from_secs(30),
        history_days: 90,
        history_requests: 1_000_000,
    }
}
