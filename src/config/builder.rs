//! The state in which the providers are built from the merged layers.

use std::sync::Arc;

use vandamme_actors::cost::PriceTable;
use vandamme_actors::settings::{PartialProvider, ProviderSettings};

use super::base_url::ListenAddress;
use super::client_access;
use super::error::ConfigError;
use super::layer::{Layer, Section};
use super::prices;
use super::source_files::SourceFiles;
use super::variables::Variables;
use crate::access_keys::AccessKeys;

/// Builds one provider after the other, and collects errors and warnings.
pub(super) struct Builder<'a> {
    pub(super) layers: &'a [Layer],
    pub(super) merged: &'a Layer,
    pub(super) listener: &'a ListenAddress,
    pub(super) variables: &'a Variables,
    pub(super) files: &'a SourceFiles,
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
        files: &'a SourceFiles,
    ) -> Self {
        Self {
            layers,
            merged,
            listener,
            variables,
            files,
            registered: Vec::new(),
            partial: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Warns if the gateway requires no key and other machines reach it.
    pub(super) fn warn_if_open(&mut self, access: &AccessKeys) {
        if !access.are_required() && !self.listener.is_loopback() {
            self.warnings.push(client_access::open_to_all(&self.listener.host));
        }
    }

    /// Checks every target that a user has written.
    pub(super) fn check_targets(&mut self) {
        self.check_fallbacks();
        self.check_aliases();
        self.check_describers();
        self.check_judges();
        self.check_roles();
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
