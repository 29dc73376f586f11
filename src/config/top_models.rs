//! The source of the models that `/top-models` shows. The catalogue is requested only if it is configured, by name or by a
//! key of the aggregator. A missing or malformed ranking is a warning: requests do not depend on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use vandamme_actors::settings::{ProviderSettings, Ranking, TopModels};

use super::builder::Builder;
use super::layer::{LocatedText, Section};
use crate::demo;

/// Whose catalogue it is.
const AGGREGATOR: &str = "openrouter";

/// The ranking without a configured file.
const EMBEDDED: &str = include_str!("top_models/programming.toml");

/// A ranking. Other keys of the file are ignored.
#[derive(Deserialize)]
struct RankingFile {
    models: Vec<RankedModel>,
}

#[derive(Deserialize)]
struct RankedModel {
    id: String,
}

impl Builder<'_> {
    /// `None` when they are not wanted.
    pub(super) fn top_models(&mut self, directory: &Path) -> Option<TopModels> {
        let defaults = self.merged.root().section("defaults");
        let registered = self.registered.iter().find(|provider| *provider.name == *AGGREGATOR).cloned();
        let ranking = match defaults.text("top-models-source") {
            None => registered.is_some().then_some(None)?,
            Some(source) if source.text == "disabled" => return None,
            Some(source) if source.text == "manual_rankings" => Some(self.ranking(defaults, directory)?),
            Some(_) => None,
        };
        // A provider with its clients' keys gets no key.
        let catalogue =
            registered.filter(|provider| !provider.passthrough).or_else(|| self.keyless_catalogue())?;
        let exclude = defaults.text("top-models-exclude").map_or("", |rules| rules.text);
        Some(TopModels {
            catalogue,
            ranking,
            exclude: exclude.lines().map(str::to_owned).collect(),
            timeout: Duration::from_secs_f64(defaults.seconds("top-models-timeout")?),
        })
    }

    fn keyless_catalogue(&mut self) -> Option<Arc<ProviderSettings>> {
        let base_url = self.usable_url(AGGREGATOR)?;
        let section = self.section(self.merged, AGGREGATOR);
        Some(Arc::new(ProviderSettings {
            name: AGGREGATOR.into(),
            keys: Vec::new(),
            aliases: BTreeMap::new(),
            demo: false,
            tls: self.tls(section, &base_url),
            ..demo::provider(&base_url)
        }))
    }

    /// The ranking of the configured file, or the embedded one.
    fn ranking(&mut self, defaults: Section<'_>, directory: &Path) -> Option<Ranking> {
        let Some(LocatedText { text, place }) = defaults.text("top-models-rankings-file") else {
            return ids(EMBEDDED).ok().map(|ids| Ranking { file: None, ids });
        };
        let file = directory.join(text.trim());
        let shown = file.display();
        let read = std::fs::read_to_string(&file).map_err(|error| format!("cannot read {shown}: {error}"));
        let ids = read.and_then(|text| {
            ids(&text).map_err(|message| {
                format!("{shown} is no ranking, which has [[models]] with an id each: {message}")
            })
        });
        match ids {
            Ok(ids) => Some(Ranking { file: Some(file), ids }),
            Err(wrong) => {
                self.warnings.push(format!("{place}: {wrong}; there are no top models"));
                None
            }
        }
    }
}

/// The ids of a ranking, in its order.
fn ids(text: &str) -> Result<Vec<String>, String> {
    let file = toml_edit::de::from_str::<RankingFile>(text);
    let ids = file.map(|file| file.models.into_iter().map(|model| model.id).collect());
    ids.map_err(|error| error.message().replace('\n', ", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checklist 42: the embedded ranking names models that the catalogue has.
    #[test]
    fn the_embedded_ranking_names_models_of_the_catalogue() {
        let list = include_str!("../../tests/vendor-models/openrouter.json");
        let known: serde_json::Value = serde_json::from_str(list).unwrap();
        let ids = ids(EMBEDDED).unwrap();
        assert_eq!(ids.len(), 10);
        for id in ids {
            assert!(known["models"].get(&id).is_some(), "OpenRouter does not list {id}");
        }
    }
}
