//! What a list of models says about each model, in one form: vendors name the same facts differently.

use serde::{Deserialize, Serialize};

use super::top::Pricing;
use super::{LONGEST_ID, Model, Models};

/// The longest description that is kept, in characters.
const DESCRIPTION: usize = 400;

/// The facts about one model. What its list does not say is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelDetails {
    pub id: String,
    /// The display name, if it differs from the id.
    pub name: Option<String>,
    /// Who made it: the part of the id before the `/`, or the owner that the list names.
    pub vendor: Option<String>,
    /// The creation time as RFC 3339.
    pub created: Option<String>,
    /// The context window, in tokens.
    pub context: Option<u64>,
    /// The most tokens of a reply.
    pub max_output: Option<u64>,
    /// Dollars per million tokens.
    pub pricing: Pricing,
    /// `text`, `image`, `audio` and so on.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    /// Whether it can call tools, if the list says so.
    pub tools: Option<bool>,
    pub description: Option<String>,
}

impl ModelDetails {
    /// Whether it can read images.
    #[must_use]
    pub fn has_vision(&self) -> bool {
        self.inputs.iter().any(|input| input == "image")
    }

    /// Whether its tokens are known to cost nothing.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.pricing.input == Some(0.0) && self.pricing.output == Some(0.0)
    }
}

impl Models<'_> {
    /// The facts about all models with an id of a usual length, in the list's order.
    pub fn details(&self) -> impl Iterator<Item = ModelDetails> {
        self.0.iter().filter_map(ModelDetails::from_model)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Architecture {
    input_modalities: Vec<String>,
    output_modalities: Vec<String>,
    /// `text+image->text`
    modality: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TopProvider {
    context_length: Option<u64>,
    max_completion_tokens: Option<u64>,
}

impl ModelDetails {
    fn from_model(model: &Model<'_>) -> Option<Self> {
        let id = model.id().filter(|id| id.len() <= LONGEST_ID)?.into_owned();
        let vendor = match id.split_once('/') {
            Some((vendor, _)) => Some(vendor.to_owned()),
            None => model.text("owned_by").map(std::borrow::Cow::into_owned),
        };
        let name = model.display_name().filter(|name| *name != id && name.len() <= LONGEST_ID);
        let top: TopProvider = part(model, "top_provider");
        let integer = |names: &[&str]| names.iter().find_map(|name| model.integer(name));
        let context = integer(&["context_length", "context_window", "max_input_tokens", "max_model_len"]);
        let max_output = integer(&["max_output_tokens", "max_completion_tokens", "max_tokens"]);
        let (inputs, outputs) = modalities(model);
        Some(Self {
            name: name.map(std::borrow::Cow::into_owned),
            vendor: vendor.filter(|vendor| !vendor.is_empty()),
            created: model.created_at().map(std::borrow::Cow::into_owned),
            context: context.or(top.context_length),
            max_output: max_output.or(top.max_completion_tokens),
            pricing: model.field("pricing").map(Pricing::parse).unwrap_or_default(),
            tools: tools(model),
            description: model.text("description").and_then(|text| shortened(&text)),
            inputs,
            outputs,
            id,
        })
    }
}

/// An object inside a model; empty if it is missing or of another form.
fn part<T: for<'de> Deserialize<'de> + Default>(model: &Model<'_>, name: &str) -> T {
    model.field(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// What the model reads and writes.
fn modalities(model: &Model<'_>) -> (Vec<String>, Vec<String>) {
    let Architecture { input_modalities, output_modalities, modality } = part(model, "architecture");
    if !input_modalities.is_empty() || !output_modalities.is_empty() {
        return (input_modalities, output_modalities);
    }
    let words = |text: &str| -> Vec<String> {
        text.split(['+', ',']).map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    match modality.as_deref().and_then(|modality| modality.split_once("->")) {
        Some((inputs, outputs)) => (words(inputs), words(outputs)),
        None => (model.strings(&["input_modalities", "modalities"]), model.strings(&["output_modalities"])),
    }
}

fn tools(model: &Model<'_>) -> Option<bool> {
    let is_listed = |names: &[&str], word: &str| {
        let words = model.strings(names);
        (!words.is_empty()).then(|| words.iter().any(|known| known == word))
    };
    is_listed(&["supported_parameters"], "tools").or_else(|| is_listed(&["supported_features"], "tools"))
}

fn shortened(text: &str) -> Option<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return None;
    }
    Some(match text.char_indices().nth(DESCRIPTION) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn details(models: &serde_json::Value) -> Vec<ModelDetails> {
        Models::read(json!({ "data": models }).to_string().as_bytes()).unwrap().details().collect()
    }

    #[test]
    fn facts_are_found_under_the_names_of_each_vendor() {
        let found = details(&json!([
            {"id": "a/vision", "name": "Vision", "created": 1_700_000_000, "context_length": 128_000,
             "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
             "pricing": {"prompt": "0.000003", "completion": "0.000015"},
             "top_provider": {"context_length": 100, "max_completion_tokens": 8192},
             "supported_parameters": ["tools", "seed"], "description": "Reads\n images."},
            {"id": "b/free", "pricing": {"prompt": "0", "completion": "0"},
             "architecture": {"modality": "text+audio->text"}, "supported_parameters": ["seed"]},
            {"id": "gpt-x", "owned_by": "openai", "created_at": "2025-01-02T03:04:05Z"},
            {"id": "claude-x", "display_name": "Claude X", "max_input_tokens": 200_000, "max_tokens": 64_000},
            {"no": "id"},
        ]));
        let [vision, free, plain, claude] = &found[..] else { panic!("{found:?}") };
        assert_eq!((vision.vendor.as_deref(), vision.name.as_deref()), (Some("a"), Some("Vision")));
        assert_eq!((vision.context, vision.max_output), (Some(128_000), Some(8192)));
        assert_eq!((vision.pricing.input, vision.pricing.output), (Some(3.0), Some(15.0)));
        assert!(vision.has_vision() && vision.tools == Some(true) && !vision.is_free());
        assert_eq!(vision.description.as_deref(), Some("Reads images."));
        assert_eq!((free.inputs.join(" "), free.tools), ("text audio".to_owned(), Some(false)));
        assert!(free.is_free() && !free.has_vision());
        assert_eq!((plain.vendor.as_deref(), plain.tools, plain.context), (Some("openai"), None, None));
        assert_eq!(plain.created.as_deref(), Some("2025-01-02T03:04:05Z"));
        assert!(!plain.is_free(), "an unknown price is not zero");
        assert_eq!((claude.context, claude.max_output), (Some(200_000), Some(64_000)));
    }

    #[test]
    fn a_long_description_is_shortened_and_odd_fields_are_left_out() {
        let found =
            details(&json!([{"id": "m", "description": "ü".repeat(500), "architecture": 3, "pricing": "x"}]));
        assert_eq!(found[0].description.as_ref().map(|text| text.chars().count()), Some(DESCRIPTION + 1));
        assert!(found[0].inputs.is_empty() && found[0].pricing == Pricing::default());
    }
}
