//! The settings of `[defaults]`.

use super::{EVERYWHERE, SettingDeclaration, SettingList, VariableValue, VariableWithoutKey};
use crate::config::value_type::KeyType::{Aliases, Value};
use crate::config::value_type::ValueType::{Count, Flag, OneOf, Parts, Pause, Seconds, Text};

/// The values of `top-models-source`.
const SOURCES: &[&str] = &["openrouter", "manual_rankings", "disabled"];

pub(in crate::config) const DEFAULTS: SettingList = &[
    SettingDeclaration::new(
        "default-provider",
        Value(Text),
        "Provider or profile for model names without a prefix. If it is not set or has no key, it is `openai` if that has a key, \
         and otherwise the first provider that has one.",
    )
    .with_default("\"openai\"")
    .with_variable("VDM_DEFAULT_PROVIDER")
    .with_guide("#choose-the-default-provider"),
    SettingDeclaration::new(
        "timeout",
        Value(Seconds),
        "Longest wait for the first byte of a stream or for a complete reply, for providers without a timeout of their own. 0 for no \
         limit. By default, `whole-timeout` and `first-byte-timeout` of `[limits]` apply. The variable overrides every \
         provider's timeout.",
    )
    .with_variable_over_providers("REQUEST_TIMEOUT")
    .with_example("120")
    .with_guide("#change-timeouts"),
    SettingDeclaration::new(
        "max-retries",
        Value(Count(0)),
        "Retries with the same key after a temporary failure. Other keys are tried in addition. The variable overrides every \
         provider's `max-retries`.",
    )
    .with_default("2")
    .with_variable_over_providers("MAX_RETRIES"),
    SettingDeclaration::new(
        "gemini-thought-signatures",
        Value(Flag),
        "Whether Gemini's thought signatures are returned to it: Gemini signs its thinking and requires the signatures in later \
         requests. Clients that support thinking blocks carry them; for other clients the gateway stores them.",
    )
    .with_default("true")
    .with_variable("GEMINI_THOUGHT_SIGNATURES_ENABLED")
    .with_guide("#use-gemini"),
    SettingDeclaration::new(
        "describe-images-with",
        Value(Text),
        "Model that describes images for models that accept only text, as `provider:model`: its description takes the place of \
         each image. Each image is described once. Without it, images are sent as they are.",
    )
    .with_variable("VDM_DESCRIBE_IMAGES_WITH")
    .with_example("\"anthropic:claude-haiku-4-5\"")
    .with_guide("images.md"),
    SettingDeclaration::new("cache-dir", Value(Text), "Directory in which the providers' lists of models are stored between runs.")
        .with_default("\"~/.cache/vandamme-proxy\"")
        .with_variable("CACHE_DIR")
        .at_start(),
    SettingDeclaration::new("models-cache", Value(Flag), "Whether the providers' lists of models are stored between runs.")
        .with_default("true")
        .with_variable("MODELS_CACHE_ENABLED")
        .with_guide("#list-models")
        .at_start(),
    SettingDeclaration::new(
        "top-models-source",
        Value(OneOf(SOURCES)),
        "Source of `/top-models` and `vdm models top`: the catalogue of `openrouter`, its models that are listed in a file \
         (`manual_rankings`), or nothing (`disabled`). By default it is `openrouter` if that provider has a key, and otherwise \
         nothing.",
    )
    .with_variable("TOP_MODELS_SOURCE")
    .with_example("\"openrouter\"")
    .with_guide("#find-good-models"),
    SettingDeclaration::new(
        "top-models-rankings-file",
        Value(Text),
        "TOML file of `manual_rankings`: `[[models]]` with an `id` each, in order. Without it, a built-in list of ten models for \
         programming is used.",
    )
    .with_variable("TOP_MODELS_RANKINGS_FILE")
    .with_example("\"rankings.toml\""),
    SettingDeclaration::new("top-models-timeout", Value(Pause), "Longest wait for the catalogue.")
        .with_default("5")
        .with_variable("TOP_MODELS_TIMEOUT_SECONDS"),
    SettingDeclaration::new(
        "top-models-exclude",
        Value(Parts),
        "Omits models whose id contains one of these texts; in the variable, separated by commas.",
    )
    .with_variable("TOP_MODELS_EXCLUDE")
    .with_example("[\":free\", \"preview\"]"),
    SettingDeclaration::new("aliases", Aliases, "Names for models at every provider without its own alias of that name.")
        .with_example("docs = \"openai:gpt-4o\"")
        .with_guide("#rename-a-model"),
];

pub(super) const VARIABLES: &[VariableWithoutKey] = &[
    VariableWithoutKey {
        name: "MAX_TOKENS_LIMIT",
        meaning: "Highest `max_tokens` of Messages requests to OpenAI-format providers; larger values are lowered.",
        guide: Some("#limit-the-length-of-replies"),
        value: Some(VariableValue { value_type: Count(1), table: EVERYWHERE, key: "max-tokens-limit" }),
    },
    VariableWithoutKey {
        name: "MIN_TOKENS_LIMIT",
        meaning: "Least `max_tokens` of Messages requests to OpenAI-format providers; smaller values are raised.",
        guide: Some("#limit-the-length-of-replies"),
        value: Some(VariableValue { value_type: Count(1), table: EVERYWHERE, key: "min-tokens-limit" }),
    },
];
