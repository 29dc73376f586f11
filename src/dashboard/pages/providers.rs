//! Providers and keys: how each is configured, whether it works, and what an operator can do about it.

use askama::Template;
use serde::Serialize;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::ProviderSettings;

use crate::dashboard::gather;
use crate::dashboard::page::{Context, Page, PageError, Shell};
use crate::dashboard::units::models_avoided;
use crate::gateway::Gateway;
use crate::views::providers::{self, HealthState, KeyReport, ProviderReport};

/// The aliases that are offered for a probe.
const SUGGESTED: usize = 50;

pub(super) const PAGE: Page = Page {
    name: "providers",
    title: "Providers & keys",
    scripts: &["operate.js", "providers.js"],
    render: |context| Box::pin(render(context)),
    data: |context| {
        Box::pin(async move { Ok(serde_json::to_value(ProvidersView::read(&context.gateway).await)?) })
    },
};

#[derive(Template)]
#[template(path = "providers.html")]
struct ProvidersPage<'p> {
    shell: &'p Shell,
    view: &'p ProvidersView,
}

#[derive(Debug, Serialize)]
struct ProvidersView {
    providers: Vec<ProviderSection>,
    /// Providers that lack a setting, one line each.
    incomplete: Vec<String>,
}

/// One provider.
#[derive(Debug, Serialize)]
struct ProviderSection {
    name: String,
    default: bool,
    /// `ok`, `warn` or `down`
    state: &'static str,
    state_text: String,
    /// Names that its aliases offer for a probe.
    suggested: Vec<String>,
    timeout: String,
    max_retries: u32,
    report: ProviderReport,
}

async fn render(context: Context) -> Result<String, PageError> {
    let view = ProvidersView::read(&context.gateway).await;
    Ok(ProvidersPage { shell: &context.shell, view: &view }.render()?)
}

impl ProvidersView {
    async fn read(gateway: &Gateway) -> Self {
        let reports = providers::read(gateway).await;
        let live = gateway.live_config();
        let settings = &live.settings;
        let default = settings.default_provider.as_deref();
        let sections = reports.into_iter().filter_map(|report| {
            let known = settings.providers.iter().find(|known| *known.name == *report.name)?;
            Some(ProviderSection::new(known, report, default, &live.secrets))
        });
        let incomplete =
            settings.partial.iter().map(|partial| format!("{}: set {}", partial.name, partial.missing));
        Self { providers: sections.collect(), incomplete: incomplete.collect() }
    }
}

impl ProviderSection {
    fn new(
        settings: &ProviderSettings,
        mut report: ProviderReport,
        default: Option<&str>,
        secrets: &Secrets,
    ) -> Self {
        let keys = report.keys.iter_mut();
        let of_keys = keys.flat_map(|key| {
            std::iter::once(&mut key.condition).chain(key.models.iter_mut().map(|model| &mut model.state))
        });
        let of_models = report.models.iter_mut().map(|model| &mut model.state);
        of_keys.chain(of_models).chain([&mut report.state]).for_each(|state| scrub(state, secrets));
        report.base_url = gather::shown(&report.base_url, secrets);
        let (state, state_text) = overall(&report);
        Self {
            name: report.name.clone(),
            default: default == Some(report.name.as_str()),
            state,
            state_text,
            suggested: settings.aliases.keys().take(SUGGESTED).cloned().collect(),
            timeout: settings.timeout.map_or_else(
                || "as in [limits]".to_owned(),
                |timeout| format!("{} s", timeout.as_secs_f64()),
            ),
            max_retries: settings.max_retries,
            report,
        }
    }
}

/// An upstream's words, without keys.
fn scrub(state: &mut HealthState, secrets: &Secrets) {
    state.last_error = state.last_error.take().map(|error| gather::shown(&error, secrets));
}

/// Whether the provider works, in a word and in a sentence.
fn overall(report: &ProviderReport) -> (&'static str, String) {
    let keys = &report.keys;
    let count = |state: &str| keys.iter().filter(|key| key.state == state).count();
    let (ready, disabled) = (count("ready"), count("disabled"));
    match &report.state.reason {
        Some(reason) => ("down", (*reason).to_owned()),
        None if !keys.is_empty() && disabled == keys.len() => ("down", "every key is disabled".to_owned()),
        None if !keys.is_empty() && ready == 0 => ("down", "no key is ready".to_owned()),
        None if ready < keys.len() => ("warn", format!("{ready} of {} keys ready", keys.len())),
        None if !report.models.is_empty() => ("warn", models_avoided(report.models.len())),
        None => ("ok", "working".to_owned()),
    }
}

impl KeyReport {
    fn badge(&self) -> &'static str {
        match self.state {
            "ready" if self.models.is_empty() => "ok",
            "ready" | "cooling" => "warn",
            "disabled" => "muted",
            _ => "down",
        }
    }
}
