//! The state in which the providers are built from the merged layers.

use std::path::PathBuf;
use std::sync::Arc;

use vandamme_actors::cost::PriceTable;
use vandamme_actors::settings::{PartialProvider, ProviderSettings};

use super::DemoMode;
use super::base_url::ListenAddress;
use super::error::ConfigError;
use super::layer::{Layer, Section};
use super::prices;
use super::variables::Variables;

/// Builds one provider after the other, and collects errors and warnings.
pub(super) struct Builder<'a> {
    pub(super) layers: &'a [Layer],
    pub(super) merged: &'a Layer,
    pub(super) listener: &'a ListenAddress,
    pub(super) variables: &'a Variables,
    /// Relative paths start here.
    pub(super) directory: PathBuf,
    pub(super) registered: Vec<Arc<ProviderSettings>>,
    pub(super) partial: Vec<PartialProvider>,
    pub(super) warnings: Vec<String>,
    pub(super) errors: Vec<ConfigError>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        layers: &'a [Layer],
        merged: &'a Layer,
        listener: &'a ListenAddress,
        variables: &'a Variables,
    ) -> Self {
        Self {
            layers,
            merged,
            listener,
            variables,
            directory: PathBuf::new(),
            registered: Vec::new(),
            partial: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
        }
    }

    pub(super) fn demo_mode(&self, asked: Option<bool>) -> DemoMode {
        match asked {
            Some(true) => DemoMode::Forced,
            None if self.registered.is_empty() && self.listener.is_loopback() => DemoMode::Fallback,
            Some(false) | None => DemoMode::Off,
        }
    }

    pub(super) fn prices(&self, root: Section<'_>) -> Arc<PriceTable> {
        Arc::new(prices::table(self.registered.iter(), root))
    }

    pub(super) fn needs_no_key(&self, name: &str) -> bool {
        self.section(self.merged, name).flag("api-key-optional") == Some(true)
    }

    pub(super) fn section(&self, layer: &'a Layer, name: &str) -> Section<'a> {
        layer.root().section("providers").section(name)
    }
}
