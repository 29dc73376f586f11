//! The configuration: all layers are read once, checked as a whole, and turned into types.

mod alias_targets;
mod azure;
mod base_url;
mod builder;
mod claude_names;
mod client_access;
mod client_keys;
mod client_variables;
mod cloud;
mod cloud_presets;
mod default_provider;
mod demo_mode;
mod describers;
mod dialect;
mod environment;
mod error;
mod fallbacks;
mod file;
mod fixups;
mod headers;
mod history;
mod input_checks;
mod key_files;
mod key_text;
mod layer;
mod limits;
mod listener_tls;
mod log_settings;
mod middleware;
mod model_page;
mod near_misses;
mod other_programs;
mod otlp;
mod overrides;
mod pem_files;
mod prices;
mod profiles;
mod provenance;
mod provider_tls;
mod provider_urls;
mod providers;
mod raw;
mod references;
mod responses_support;
mod role_rules;
mod role_targets;
mod root_values;
mod safeguards;
mod schema;
mod setting;
mod source_files;
mod tls_files;
mod top_models;
mod value_type;
mod variables;
mod vendor_variables;
mod web_search;

use std::path::PathBuf;
use std::sync::Arc;

use vandamme_actors::routing::{Lists, Routes};
use vandamme_actors::secret::ApiKey;
use vandamme_actors::settings::{Metrics, Settings};
use vandamme_actors::snapshot::Snapshot;
use vandamme_actors::upstream::ProxySettings;

use crate::access_keys::AccessKeys;
use base_url::ListenAddress;
use builder::Builder;
pub(crate) use client_keys::is_name as is_client_name;
use client_variables::Below;
pub(crate) use cloud_presets::is_preset as is_in_cloud;
pub use demo_mode::DemoMode;
pub(crate) use environment::prefix as variable_prefix;
use error::Diagnostics;
pub use error::{ConfigError, ConfigErrorKind};
pub(crate) use file::DEFAULTS;
use file::Presence;
pub(crate) use file::user_path as user_file;
pub(crate) use input_checks::{check_base_url, check_key};
use key_files::KeyFiles;
use layer::Layer;
pub use listener_tls::ListenerTls;
pub(crate) use listener_tls::{BUFFER as TLS_BUFFER, fingerprint};
pub use log_settings::LogSettings;
pub(crate) use near_misses::near_provider;
pub(crate) use otlp::{OtlpConfig, Sampler, SemanticNames};
pub use overrides::{ForSessions, Overrides, Verbose};
pub(crate) use provenance::values_in_use;
pub use provenance::{ConfigValue, VariableDoc};
pub(crate) use schema::applies_at_start;
pub use source_files::SavedFiles;
use source_files::SourceFiles;
use variables::Variables;

/// What `vdm` runs on.
#[derive(Clone, Debug)]
pub struct Config {
    /// A name or an address, an IPv6 one without brackets.
    pub host: String,
    /// Zero takes any free port; only the command line can set it.
    pub port: u16,
    pub log: LogSettings,
    /// The key that clients must send; `None` for a gateway without one.
    pub proxy_api_key: Option<ApiKey>,
    /// The key for admin actions, with which commands read reports; a gateway keeps its hash only.
    pub admin_key: Option<ApiKey>,
    /// The hashes of all keys that open the gateway.
    pub access: AccessKeys,
    pub settings: Settings,
    /// The certificate of the listener; `None` for plain HTTP.
    pub tls: Option<ListenerTls>,
    /// By variables alone.
    pub proxies: Arc<ProxySettings>,
    pub demo: DemoMode,
    /// `None` exports no traces and no metrics.
    pub(crate) otlp: Option<OtlpConfig>,
    /// Warnings of the start, one line each.
    pub warnings: Vec<String>,
    /// Every value with its place.
    pub values: Vec<ConfigValue>,
    /// A copy of all files that were read, for `Config::load_copy`.
    pub files: SavedFiles,
}

/// The name of the embedded provider.
pub const DEMO: &str = "demo";

/// Where values come from. Later ones win, value by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConfigSource {
    /// `src/config/defaults.toml`, compiled in.
    BuiltIn,
    /// `~/.config/vandamme-proxy/vandamme-config.toml`
    UserFile,
    /// `./vandamme-config.toml`
    LocalFile,
    /// `--config FILE`
    GivenFile,
    /// The environment, over `./.env`.
    Variables,
    /// `--host`, `--port`, `--verbose`
    CommandLine,
}

const PRECEDENCE: [ConfigSource; 6] = [
    ConfigSource::BuiltIn,
    ConfigSource::UserFile,
    ConfigSource::LocalFile,
    ConfigSource::GivenFile,
    ConfigSource::Variables,
    ConfigSource::CommandLine,
];

/// Where the embedded provider is as long as it does not run.
const NOWHERE: &str = "http://127.0.0.1:0";

impl Config {
    /// The settings as a gateway has them, which runs the embedded provider where that answers.
    #[must_use]
    pub fn settings_with_demo(&self) -> Settings {
        let mut settings = self.settings.clone();
        if self.demo != DemoMode::Off {
            crate::demo::embed(&mut settings, NOWHERE);
        }
        settings
    }

    /// The scheme of the listener's URL.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The key with which a command reads reports of its gateway. With hashed client keys only, this is the admin key.
    pub(crate) fn reading_key(&self) -> Option<&ApiKey> {
        self.proxy_api_key.as_ref().or(self.admin_key.as_ref())
    }

    /// The configured address, even if the configuration is invalid elsewhere.
    pub fn listener(overrides: &Overrides) -> Option<(String, u16)> {
        let mut reading = LayerReading::new(overrides, SourceFiles::on_disk(&overrides.working_directory));
        PRECEDENCE.into_iter().for_each(|origin| reading.add(origin));
        let merged = Layer::merged(&reading.layers).ok()?;
        ListenAddress::new(merged.root()).map(|listener| (listener.host, listener.port))
    }

    /// Reads everything.
    ///
    /// # Errors
    /// All errors of all layers at once.
    pub fn load(overrides: &Overrides) -> Result<Self, Vec<ConfigError>> {
        Self::read(overrides, SourceFiles::on_disk(&overrides.working_directory))
    }

    /// Reads a copy of the files of an earlier configuration instead of the files on disk.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub(crate) fn load_copy(overrides: &Overrides, copy: SavedFiles) -> Result<Self, Vec<ConfigError>> {
        Self::read(overrides, SourceFiles::from_copy(&overrides.working_directory, copy))
    }

    fn read(overrides: &Overrides, files: SourceFiles) -> Result<Self, Vec<ConfigError>> {
        let mut reading = LayerReading::new(overrides, files);
        reading.add_all();
        reading.finish()
    }

    /// Warns of aliases and fallbacks that lead nowhere, and of Claude's names without an alias.
    fn warn_of_routes(&mut self) {
        let routes = Routes::new(&self.settings_with_demo(), Snapshot::new(Lists::new()));
        self.warnings.extend(routes.mistakes().iter().map(ToString::to_string));
        self.warnings.extend(routes.unusable_fallbacks());
        self.warnings.extend(routes.unusable_roles());
        self.warnings.extend(claude_names::warning(&routes));
        let judges = self.settings.providers.iter().filter_map(|provider| provider.judge.as_ref());
        let judges = judges.map(|judge| judge.target.clone());
        self.warnings.extend(safeguards::warnings(&routes, judges));
    }
}

/// The values that can be read, each with its place, and all errors.
pub fn provenance(overrides: &Overrides) -> (Vec<ConfigValue>, Vec<ConfigError>) {
    let mut reading = LayerReading::new(overrides, SourceFiles::on_disk(&overrides.working_directory));
    reading.add_all();
    let values =
        Layer::merged(&reading.layers).map_or_else(|_| Vec::new(), |merged| provenance::all(&merged));
    let errors = reading.finish().err().unwrap_or_default();
    (values, errors)
}

/// The known name that is near an unknown one.
pub(crate) fn nearest_name<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    schema::suggestion(written, names)
}

/// All variables that vdm reads.
pub fn variables() -> Vec<VariableDoc> {
    provenance::variables()
}

/// The layers read so far, with their errors and warnings.
struct LayerReading<'a> {
    overrides: &'a Overrides,
    files: SourceFiles,
    variables: Variables,
    layers: Vec<Layer>,
    report: Diagnostics,
}

impl<'a> LayerReading<'a> {
    fn new(overrides: &'a Overrides, files: SourceFiles) -> Self {
        let mut report = Diagnostics::default();
        let variables =
            Variables::read(&overrides.environment, &overrides.dotenv_files(), &files, &mut report);
        Self { overrides, files, variables, layers: Vec::new(), report }
    }

    fn add_all(&mut self) {
        PRECEDENCE.into_iter().for_each(|origin| self.add(origin));
        // Which files contain keys is known when all layers are read.
        let Ok(merged) = Layer::merged(&self.layers) else { return };
        let keys = KeyFiles::read(&merged, &self.files, &mut self.report);
        self.layers.push(keys);
    }

    fn add(&mut self, origin: ConfigSource) {
        let layer = match origin {
            ConfigSource::BuiltIn => Some(file::parse(file::BUILT_IN, file::DEFAULTS, &mut self.report)),
            ConfigSource::UserFile => self
                .overrides
                .home
                .as_deref()
                .and_then(|home| self.file(file::user_path(home), Presence::Optional)),
            ConfigSource::LocalFile => {
                self.file(self.overrides.working_directory.join(file::NAME), Presence::Optional)
            }
            ConfigSource::GivenFile => self.given_file(),
            ConfigSource::Variables => Some(self.variables()),
            ConfigSource::CommandLine => Some(self.overrides.layer(&mut self.report)),
        };
        self.layers.extend(layer.map(|layer| layer.with_origin(origin)));
    }

    fn file(&mut self, path: PathBuf, presence: Presence) -> Option<Layer> {
        file::read(&path, presence, &self.files, &mut self.report)
    }

    fn given_file(&mut self) -> Option<Layer> {
        let path = self.overrides.config.as_deref()?;
        self.file(self.overrides.working_directory.join(path), Presence::Required)
    }

    fn variables(&mut self) -> Layer {
        self.ignore_clients();
        let known: Vec<_> = self.layers.iter().flat_map(|layer| layer.providers().to_vec()).collect();
        environment::layer(&self.variables, &known, &mut self.report)
    }

    /// Whether variables are a client's depends on the address and the key of the gateway, which may be variables, too.
    fn ignore_clients(&mut self) {
        let ignored = &mut Diagnostics::default();
        let mut layers = self.layers.clone();
        layers.push(environment::layer(&self.variables, &[], ignored));
        layers.push(self.overrides.layer(ignored));
        let Ok(merged) = Layer::merged(&layers) else { return };
        let keys = KeyFiles::read(&merged, &self.files, ignored);
        let Some(listener) = ListenAddress::new(merged.root()) else { return };
        let key = merged.root().text("proxy-api-key").or_else(|| keys.root().text("proxy-api-key"));
        let gateway_key = key.map(|key| key.text);
        let below = Below { files: &self.layers, listener: &listener, gateway_key };
        below.ignore_clients(&mut self.variables, &mut self.report);
    }

    fn finish(mut self) -> Result<Config, Vec<ConfigError>> {
        let merged = Layer::merged(&self.layers);
        let merged = merged.map_err(|error| vec![ConfigError::new("configuration", error.to_string())])?;
        let config = self.config(&merged).map(|config| config.with_otlp(&self.variables));
        match config {
            Some(config) if self.report.errors.is_empty() => Ok(config),
            Some(_) | None => Err(self.report.errors),
        }
    }

    fn tls(&mut self, root: layer::Section<'_>, listener: &ListenAddress) -> Option<ListenerTls> {
        tls_files::check(&self.variables, self.overrides, &mut self.report);
        listener_tls::read(root, listener, (self.overrides, &self.files), &mut self.report)
    }

    /// `None` if a value of the built-in file is missing because a user's value for it is invalid.
    fn config(&mut self, merged: &Layer) -> Option<Config> {
        let root = merged.root();
        let listener = ListenAddress::new(root)?;
        let limits = limits::build(root.section("limits"));
        let limits = limits.map_err(|error| self.report.error("[limits]", error)).ok()?;
        let proxies = self.proxies();
        let tls = self.tls(root, &listener);
        let proxy_api_key = root.text("proxy-api-key").map(|key| self.gateway_key(key));
        let access = client_keys::build(root, proxy_api_key.as_ref(), &mut self.report);
        let mut builder = Builder::new(&self.layers, merged, &listener, &self.variables, &self.files);
        builder.build_all();
        let demo = DemoMode::new(root.flag("demo"), &builder);
        let default_provider = builder.default_provider(demo);
        builder.warn_of_variables(&self.variables);
        builder.warn_if_open(&access);

        let profiles = builder.profiles();
        builder.check_targets();
        let default_profile = builder.default_profile(&profiles);
        let web_search = builder.web_search();
        let top_models = builder.top_models(&self.overrides.working_directory);
        self.report.errors.append(&mut builder.errors);
        let settings = Settings {
            prices: builder.prices(root),
            keyless: builder.keyless(),
            providers: builder.registered,
            partial: builder.partial,
            profiles,
            default_profile,
            default_provider,
            roles: role_rules::read(root),
            allowed_hosts: client_access::allowed_hosts(root),
            cors_origins: client_access::cors_origins(root),
            route_header: root.flag("route-header").unwrap_or(false),
            request_metrics: if root.flag("request-metrics")? { Metrics::Kept } else { Metrics::Off },
            log_summary_interval: root.count("log-summary-interval")?.try_into().ok()?,
            active_stream: root.flag("active-requests-stream")?,
            cache: self.cache(root),
            history: history::file(root, self.overrides),
            top_models,
            web_search,
            limits,
        };
        self.report.warnings.append(&mut builder.warnings);
        let mut config = Config {
            host: listener.host,
            port: listener.port,
            log: LogSettings::new(root)?,
            proxy_api_key,
            admin_key: root.text("admin-key").map(|key| ApiKey::new(key.text.trim())),
            access,
            settings,
            tls,
            proxies,
            demo,
            otlp: None,
            warnings: std::mem::take(&mut self.report.warnings),
            values: provenance::all(merged),
            files: self.files.saved(),
        };
        config.warn_of_routes();
        Some(config)
    }
}

#[cfg(test)]
mod tests;
