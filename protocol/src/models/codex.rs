//! The list of models in the form that Codex reads from `/v1/models?client_version=`: what it must know of a model to use it well.

mod table;

use serde::Serialize;
use serde_json::value::RawValue;

use self::table::row;
use super::ModelDetails;
use crate::convert::upstream::chat::efforts;

/// How much of a command's output Codex keeps, in tokens.
const KEPT_OUTPUT: u32 = 10_000;
/// Codex's own prompt is not the gateway's to send, so the model gets this one.
const INSTRUCTIONS: &str = include_str!("codex/instructions.md");

/// A model under a name that the gateway routes.
#[derive(Debug, Clone)]
pub struct CodexModel<'a> {
    /// The name that requests use.
    pub slug: &'a str,
    pub display_name: &'a str,
    pub description: &'a str,
    /// The upstream's name of the model.
    pub model: &'a str,
    /// What the provider's list says of it.
    pub details: Option<&'a ModelDetails>,
    pub visibility: Visibility,
}

/// Whether Codex shows a model in its list. A hidden one can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    List,
    Hide,
}

#[derive(Serialize)]
struct ModelInfo<'a> {
    slug: &'a str,
    display_name: &'a str,
    description: &'a str,
    default_reasoning_level: Option<&'static str>,
    supported_reasoning_levels: Vec<ReasoningLevel>,
    shell_type: &'static str,
    visibility: Visibility,
    supported_in_api: bool,
    priority: usize,
    upgrade: Option<()>,
    base_instructions: &'static str,
    supports_reasoning_summaries: bool,
    support_verbosity: bool,
    default_verbosity: Option<&'static str>,
    apply_patch_tool_type: &'static str,
    truncation_policy: TruncationPolicy,
    supports_parallel_tool_calls: bool,
    context_window: Option<u64>,
    experimental_supported_tools: [(); 0],
    input_modalities: &'static [&'static str],
    supports_search_tool: bool,
}

#[derive(Serialize)]
struct ReasoningLevel {
    effort: &'static str,
    description: &'static str,
}

#[derive(Serialize)]
struct TruncationPolicy {
    mode: &'static str,
    limit: u32,
}

impl CodexModel<'_> {
    /// Its entry. Of two models Codex prefers that with the lower `priority`.
    fn info(&self, priority: usize) -> ModelInfo<'_> {
        let row = row(self.model);
        let efforts = row.efforts.unwrap_or_else(|| efforts(self.model));
        let listed = self.details.and_then(|details| details.context);
        let reads_images = match self.details {
            Some(details) if !details.inputs.is_empty() => details.has_vision(),
            Some(_) | None => row.reads_images,
        };
        ModelInfo {
            slug: self.slug,
            display_name: self.display_name,
            description: self.description,
            default_reasoning_level: default_effort(efforts),
            supported_reasoning_levels: efforts.iter().map(|effort| level(effort)).collect(),
            shell_type: "shell_command",
            visibility: self.visibility,
            supported_in_api: true,
            priority,
            upgrade: None,
            base_instructions: INSTRUCTIONS,
            supports_reasoning_summaries: !efforts.is_empty(),
            support_verbosity: row.has_verbosity,
            default_verbosity: row.has_verbosity.then_some("low"),
            // A target without free-form tools gets a function in its place.
            apply_patch_tool_type: "freeform",
            truncation_policy: TruncationPolicy { mode: "tokens", limit: KEPT_OUTPUT },
            supports_parallel_tool_calls: true,
            context_window: listed.or(row.context),
            experimental_supported_tools: [],
            input_modalities: if reads_images { &["text", "image"] } else { &["text"] },
            supports_search_tool: false,
        }
    }
}

/// Whether a model may hold a conversation, by its list or else by its name.
#[must_use]
pub fn converses(model: &str, details: Option<&ModelDetails>) -> bool {
    const OTHERS: [&str; 14] = [
        "embed",
        "whisper",
        "tts",
        "dall-e",
        "moderation",
        "gpt-image",
        "imagen",
        "realtime",
        "transcribe",
        "audio",
        "sora",
        "rerank",
        "stable-diffusion",
        "flux",
    ];
    match details.filter(|details| !details.outputs.is_empty()) {
        Some(details) => details.outputs.iter().any(|output| output == "text"),
        None => {
            let model = model.to_ascii_lowercase();
            !OTHERS.iter().any(|other| model.contains(other))
        }
    }
}

/// `medium`, or the next one that the model has.
fn default_effort(efforts: &[&'static str]) -> Option<&'static str> {
    let usual = efforts.iter().find(|effort| **effort == "medium");
    usual.or_else(|| efforts.iter().find(|effort| **effort == "high")).or(efforts.first()).copied()
}

fn level(effort: &'static str) -> ReasoningLevel {
    let description = match effort {
        "minimal" => "Hardly any reasoning",
        "low" => "Fast, with little reasoning",
        "medium" => "A balance of speed and depth",
        "high" => "More depth for complex problems",
        "xhigh" => "Much depth for hard problems",
        _ => "As much depth as the model has",
    };
    ReasoningLevel { effort, description }
}

/// Writes both lists as one answer: `data` for OpenAI's clients, `models` for Codex. The answer has at most `limit` bytes; `data`,
/// and models at the end of the list, are left out if they do not fit.
#[must_use]
pub fn catalogue<'a>(data: &[u8], models: impl IntoIterator<Item = CodexModel<'a>>, limit: usize) -> Vec<u8> {
    const HEAD: &[u8] = b"{\"object\":\"list\",\"data\":";
    const MIDDLE: &[u8] = b",\"models\":[";
    const END: &[u8] = b"]}";
    // At least half of the room is for the models.
    let data = entries(data).filter(|data| data.len() <= limit / 2);
    let mut answer = [HEAD, data.unwrap_or("[]").as_bytes(), MIDDLE].concat();
    for (at, model) in models.into_iter().enumerate() {
        // The entry consists of strings and numbers, so serialization cannot fail.
        let info = serde_json::to_vec(&model.info(at)).unwrap_or_default();
        if answer.len() + info.len() + END.len() >= limit {
            break;
        }
        if at > 0 {
            answer.push(b',');
        }
        answer.extend_from_slice(&info);
    }
    answer.extend_from_slice(END);
    answer
}

/// The member `data` of a list of models.
fn entries(list: &[u8]) -> Option<&str> {
    #[derive(serde::Deserialize)]
    struct List<'a> {
        #[serde(borrow)]
        data: &'a RawValue,
    }
    serde_json::from_slice::<List<'_>>(list).ok().map(|list| list.data.get())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::models::Models;

    fn model<'a>(slug: &'a str, details: Option<&'a ModelDetails>) -> CodexModel<'a> {
        let model = slug.split_once(':').map_or(slug, |(_, model)| model);
        CodexModel { slug, display_name: slug, description: "", model, details, visibility: Visibility::List }
    }

    fn written(slug: &str, details: Option<&ModelDetails>) -> Value {
        let list = catalogue(b"", [model(slug, details)], 1 << 20);
        let list: Value = serde_json::from_slice(&list).unwrap();
        assert_eq!(list["data"], json!([]));
        list["models"][0].clone()
    }

    fn efforts_of(model: &Value) -> Vec<&str> {
        let levels = model["supported_reasoning_levels"].as_array().unwrap();
        levels.iter().filter_map(|level| level["effort"].as_str()).collect()
    }

    #[test]
    fn a_model_has_what_codex_must_know() {
        let gpt = written("openai:gpt-6.2-astra", None);
        assert_eq!(gpt["slug"], "openai:gpt-6.2-astra");
        assert_eq!(efforts_of(&gpt), ["low", "medium", "high", "xhigh", "max"]);
        assert_eq!(
            (&gpt["default_reasoning_level"], &gpt["support_verbosity"]),
            (&json!("medium"), &json!(true))
        );
        assert_eq!(
            (&gpt["context_window"], &gpt["apply_patch_tool_type"]),
            (&json!(272_000), &json!("freeform"))
        );
        let claude = written("claude-opus-5-5", None);
        assert_eq!(efforts_of(&claude), ["low", "medium", "high", "xhigh", "max"]);
        assert_eq!(claude["input_modalities"], json!(["text", "image"]));
        let deepseek = written("deepseek-v4-pro", None);
        assert_eq!(
            (efforts_of(&deepseek), &deepseek["input_modalities"]),
            (vec!["low", "high", "max"], &json!(["text"]))
        );
        assert_eq!(deepseek["default_reasoning_level"], "high");
        let unknown = written("up/m", None);
        assert_eq!((efforts_of(&unknown).len(), &unknown["context_window"]), (0, &Value::Null));
        assert!(unknown["base_instructions"].as_str().unwrap().len() > 200);
    }

    #[test]
    fn the_providers_list_knows_better_than_the_table() {
        let list = br#"{"data":[{"id":"gpt-5.1","context_length":99,"architecture":{"input_modalities":["text"]}}]}"#;
        let details = Models::read(list).unwrap().details().next().unwrap();
        let model = written("gpt-5.1", Some(&details));
        assert_eq!((&model["context_window"], &model["input_modalities"]), (&json!(99), &json!(["text"])));
    }

    #[test]
    fn models_for_other_work_are_told_by_list_or_name() {
        for model in ["text-embedding-3-small", "whisper-1", "gpt-4o-mini-tts", "omni-moderation-latest"] {
            assert!(!converses(model, None), "{model}");
        }
        assert!(converses("gpt-5.1", None) && converses("claude-opus-5-5", None));
        let list = br#"{"data":[{"id":"x","architecture":{"modality":"text->image"}},{"id":"audio-chat","architecture":{"modality":"audio->text"}}]}"#;
        let found: Vec<_> = Models::read(list).unwrap().details().collect();
        assert!(!converses(&found[0].id, Some(&found[0])) && converses(&found[1].id, Some(&found[1])));
    }

    #[test]
    fn an_answer_stays_within_its_limit() {
        let slugs: Vec<String> = (0..50).map(|number| format!("m{number}")).collect();
        let list = format!("{{\"object\":\"list\",\"data\":[{{\"id\":\"{}\"}}]}}", "x".repeat(3000));
        for limit in [4000, 10_000, 20_000] {
            let answer = catalogue(list.as_bytes(), slugs.iter().map(|slug| model(slug, None)), limit);
            assert!(answer.len() <= limit, "{limit}");
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            let models = answer["models"].as_array().unwrap();
            assert!(!models.is_empty() && models.len() < 50 && models[0]["slug"] == "m0", "{limit}");
            assert_eq!(answer["data"] == json!([]), limit < 6000);
        }
    }
}
