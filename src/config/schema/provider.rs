//! The settings of a provider: `[NAME]`.

use vandamme_protocol::convert::upstream::chat::HostedSearch;

use super::gateway::other;
use super::{SettingDeclaration, SettingList, VariableWithoutKey};
use crate::config::value_type::KeyType::{Aliases, AuthMode, Fallbacks, Headers, Prices, Value};
use crate::config::value_type::ValueType::{
    Betas, Bounds, Count, Flag, Format, Keys, Link, OneOf, Params, Seconds, Settings as BodyMembers, Text,
    Url, WordOrObject, Words,
};

/// The values of `missing-reasoning`.
const MISSING_REASONING: &[&str] = &["empty", "blank", "thinking-block"];
const REPLAYS: &[&str] = &["reasoning_content", "reasoning_content_always", "reasoning_details", "none"];

const PROXY_GUIDE: &str = "#reach-a-provider-through-a-proxy";
const ADAPT_GUIDE: &str = "#adapt-requests-to-a-provider";
const SEARCH_GUIDE: &str = "web-search.md#by-the-provider";

/// The settings for OpenAI-format providers alone come last.
pub(in crate::config) const PROVIDER: SettingList = &[
    SettingDeclaration::new(
        "api-key",
        Value(Keys),
        "One key, or several separated by spaces: the gateway rotates them and skips failing ones. Prefer the environment to a file. \
         With `!PASSTHRU` instead, each request is sent with its client's key.",
    )
    .with_variable("{PROVIDER}_API_KEY")
    .with_example("\"first-key second-key\"")
    .with_guide("#use-several-keys"),
    SettingDeclaration::new(
        "api-key-file",
        Value(Text),
        "Instead of `api-key`: a file with one key or several, separated by spaces or line breaks, such as a container's secret. A \
         relative path starts at the working directory.",
    )
    .with_variable("{PROVIDER}_API_KEY_FILE")
    .with_example("\"/run/secrets/mycorp\"")
    .with_guide("#keep-keys-in-files"),
    SettingDeclaration::new(
        "api-key-optional",
        Value(Flag),
        "For a server that needs no key, such as Ollama, LM Studio or vLLM: the base URL alone registers the provider, and `/v1` is \
         added to a base URL without a path. If a key is set, it is used.",
    )
    .with_implied_default("false"),
    SettingDeclaration::new(
        "auth-mode",
        AuthMode,
        "Instead of `api-key`: `passthrough` sends each request with its client's own key; `aws` signs requests with AWS credentials \
         (Signature Version 4); `google` sends Google access tokens.",
    )
    .with_variable("{PROVIDER}_AUTH_MODE")
    .with_guide("#let-clients-use-their-own-keys"),
    SettingDeclaration::new(
        "base-url",
        Value(Url),
        "URL of the API, `http` or `https`, up to where the API's own paths begin: vdm adds `/chat/completions` (openai), \
         `/responses` (responses) or `/v1/messages` (anthropic).",
    )
    .with_variable("{PROVIDER}_BASE_URL")
    .with_example("\"https://llm.mycorp.example/v1\""),
    SettingDeclaration::new(
        "api-format",
        Value(Format),
        "The provider's API for all requests: `openai` (Chat Completions), `responses` (Responses) or `anthropic` (Messages). \
         Without it Chat Completions are used, and for some models of OpenAI, Azure and xAI the Responses API.",
    )
    .with_variable("{PROVIDER}_API_FORMAT")
    .with_example("\"openai\"")
    .with_guide("responses.md#which-api-is-used"),
    SettingDeclaration::new(
        "region",
        Value(Text),
        "The cloud's region, which takes the place of `{region}` in the base URL. Without it `AWS_REGION`, `AWS_DEFAULT_REGION` or \
         `CLOUD_ML_REGION` counts.",
    )
    .with_variable("{PROVIDER}_REGION")
    .with_example("\"us-east-1\""),
    SettingDeclaration::new("project", Value(Text), "The Google Cloud project, for Vertex AI and for `{project}` in the base URL.")
        .with_variable("{PROVIDER}_PROJECT")
        .with_example("\"my-project\""),
    SettingDeclaration::new(
        "workspace",
        Value(Text),
        "The workspace of a Claude Platform on AWS, or of Claude on Google Cloud, for `{workspace}` in the base URL.",
    )
    .with_variable("{PROVIDER}_WORKSPACE")
    .with_example("\"wrkspc_01\""),
    SettingDeclaration::new(
        "inference-profile",
        Value(Text),
        "Prefix of the inference profiles of Bedrock through which models named `claude-…` are called: `us`, `eu`, `global` and others. \
         Without it the region decides.",
    )
    .with_variable("{PROVIDER}_INFERENCE_PROFILE")
    .with_example("\"global\""),
    SettingDeclaration::new(
        "aws-profile",
        Value(Text),
        "The profile of AWS's shared files, for `auth-mode = \"aws\"`. Without it `AWS_PROFILE` counts.",
    )
    .with_variable("{PROVIDER}_AWS_PROFILE")
    .with_example("\"work\""),
    SettingDeclaration::new(
        "aws-service",
        Value(Text),
        "The name of the service in AWS signatures. Without it the host of the base URL decides.",
    )
    .with_example("\"bedrock\""),
    SettingDeclaration::new(
        "google-credentials",
        Value(Text),
        "A file with Google credentials, for `auth-mode = \"google\"`. Without it Application Default Credentials are used.",
    )
    .with_variable("{PROVIDER}_GOOGLE_CREDENTIALS")
    .with_example("\"/run/secrets/google.json\""),
    SettingDeclaration::new(
        "api-version",
        Value(Text),
        "API version of an Azure OpenAI resource. With a base URL such as `https://NAME.openai.azure.com`, a model is the name of a \
         deployment. With one that ends in `/openai/v1`, the version is optional, or `preview`.",
    )
    .with_variable("{PROVIDER}_API_VERSION")
    .with_example("\"2024-10-21\"")
    .with_guide("#use-azure-openai"),
    SettingDeclaration::new("timeout", Value(Seconds), "As in `[defaults]`, for this provider.").with_example("120"),
    SettingDeclaration::new("max-retries", Value(Count(0)), "As in `[defaults]`, for this provider.").with_example("2"),
    SettingDeclaration::new(
        "serves-claude",
        Value(Flag),
        "Whether the provider serves models that start with `claude-`. Then their names are forwarded unchanged; otherwise Claude Code's \
         own models use the aliases `haiku`, `sonnet`, `opus` and `fable`.",
    )
    .with_implied_default("false"),
    SettingDeclaration::new(
        "judge",
        Value(Text),
        "As in `[safeguards]`, for this provider; `none` for no judge. Not used with `serves-claude`.",
    )
    .with_example("\"openai:gpt-5-mini\"")
    .with_guide("auto-mode.md"),
    SettingDeclaration::new("models-url", Value(Link), "Web page about the provider's models, shown in `/health`.")
        .with_variable("{PROVIDER}_MODELS_URL")
        .with_example("\"https://llm.mycorp.example/models\""),
    SettingDeclaration::new(
        "model-page",
        Value(Link),
        "Web page of a single model, `http` or `https`, linked in the dashboard. `{id}` and `{display_name}` stand for the \
         model's id and name.",
    )
    .with_variable("{PROVIDER}_MODEL_PAGE")
    .with_example("\"https://llm.mycorp.example/models/{id}\""),
    SettingDeclaration::new(
        "ca-file",
        Value(Text),
        "PEM file with the authorities that signed this provider's certificate, such as a company's own. The usual ones stay trusted.",
    )
    .with_example("\"/etc/ssl/mycorp.pem\"")
    .with_guide(PROXY_GUIDE),
    SettingDeclaration::new(
        "client-cert",
        Value(Text),
        "PEM file with the certificate chain that the gateway presents to this provider (mutual TLS). Requires `client-key`.",
    )
    .with_example("\"/etc/ssl/vandamme.pem\"")
    .with_guide(PROXY_GUIDE),
    SettingDeclaration::new("client-key", Value(Text), "PEM file with the private key of `client-cert`.")
        .with_example("\"/etc/ssl/vandamme.key\"")
        .with_guide(PROXY_GUIDE),
    SettingDeclaration::new(
        "drop-params",
        Value(Params),
        "Members of the body that are removed. A path applies to every array element, `schema.x` is the keyword x of every JSON \
         schema, `reasoning_effort=none` is only that value. `@MODEL` after a rule limits it to that model (`*` matches any \
         characters). vdm learns these changes of requests from the provider's refusals, and reports in its log and in `/health` \
         which line avoids the first refusal.",
    )
    .with_example("[\"reasoning_effort\", \"tools.strict\", \"schema.propertyNames\"]")
    .with_guide(ADAPT_GUIDE),
    SettingDeclaration::new(
        "set-params",
        Value(BodyMembers),
        "Members of the body that are set; with `&tools` only in requests with tools. `@MODEL` limits a rule to that model.",
    )
    .with_example("[\"reasoning_effort=none&tools@gpt-5.6*\"]")
    .with_guide(ADAPT_GUIDE),
    SettingDeclaration::new(
        "limit-params",
        Value(Bounds),
        "Bounds within which numbers of the body are kept. `@MODEL` limits a rule to that model.",
    )
    .with_example("[\"max_tokens<=32768@mycorp-large\", \"max_tokens>=16\"]")
    .with_guide(ADAPT_GUIDE),
    SettingDeclaration::new(
        "drop-betas",
        Value(Betas),
        "Values of the header `anthropic-beta` that are removed; `[\"*\"]` removes all.",
    )
    .with_example("[\"context-management-2025-06-27\"]")
    .with_guide(ADAPT_GUIDE),
    SettingDeclaration::new(
        "max-tokens-as",
        Value(OneOf(&["max_tokens", "max_completion_tokens"])),
        "Name of the token limit: `max_tokens` or `max_completion_tokens`.",
    )
    .with_example("\"max_completion_tokens\"")
    .with_guide(ADAPT_GUIDE),
    SettingDeclaration::new(
        "fit-tool-schemas",
        Value(Flag),
        "Whether the schema of each tool becomes one object without alternatives (`anyOf`, `oneOf`, `allOf`) at its top.",
    )
    .with_implied_default("false")
    .with_example("true")
    .with_guide(ADAPT_GUIDE),
    SettingDeclaration::new(
        "missing-reasoning",
        Value(OneOf(MISSING_REASONING)),
        "Fills in reasoning that earlier turns of the model lack: `empty` or `blank` as `reasoning_content`, `thinking-block` for \
         Anthropic-format providers.",
    )
    .with_example("\"empty\"")
    .with_guide(ADAPT_GUIDE),
    SettingDeclaration::new(
        "tool-ids",
        Value(OneOf(&["anthropic", "openai", "mistral"])),
        "Form that the provider requires for ids of tool calls: `anthropic` (`[A-Za-z0-9_-]`, at most 64), `openai` (at most 40 \
         characters) or `mistral` (nine letters and digits). Calls and their results change together.",
    )
    .with_example("\"mistral\"")
    .with_guide(ADAPT_GUIDE),
    SettingDeclaration::new(
        "middleware",
        Value(Words),
        "Middleware for all models, in this order. By default `gemini` applies to models with gemini in their name; `[]` means none.",
    )
    .with_example("[\"gemini\"]")
    .with_guide("#use-gemini"),
    SettingDeclaration::new(
        "aliases",
        Aliases,
        "Other names for models. The model can belong to another provider: `openai:gpt-4o`. After `!` no further alias applies. An \
         alias also matches names that contain it.",
    )
    .with_variable("{PROVIDER}_ALIAS_{NAME}")
    .with_example("haiku = \"small-model\"\nsonnet = \"large-model\"\nopus = \"large-model\"\nfable = \"large-model\"")
    .with_guide("#rename-a-model"),
    SettingDeclaration::new(
        "fallbacks",
        Fallbacks,
        "The next targets if this provider cannot serve a request (5xx, 529, no connection, no first byte in time, no usable key, too \
         busy, unknown model, …): one after the other, before the first byte of a reply, with six calls in all. Errors of the \
         request itself are not retried. By alias or model, or under `\"*\"` for all names; a list without names is the same as \
         `\"*\"`.",
    )
    .with_example(
        "sonnet = [\"openrouter:anthropic/claude-sonnet-5.5\", \"poe:sonnet\"]\n\"*\" = [\"openai:gpt-6.1-sol\"]",
    )
    .with_guide("#fail-over-to-another-provider"),
    SettingDeclaration::new(
        "custom-headers",
        Headers,
        "Headers for every request to this provider. Headers that carry a key or define the body are refused. In the variable, each \
         `_` of the header's name becomes a `-`.",
    )
    .with_variable("{PROVIDER}_CUSTOM_HEADER_{X_Y}")
    .with_example("x-team = \"platform\""),
    SettingDeclaration::new(
        "prices",
        Prices,
        "Prices of models at this provider, in dollars per million tokens, above all other prices. In the name, `*` matches any \
         characters. Prices of cached tokens that are missing are those of `input`. 0 means free.",
    )
    .with_example("\"mycorp-*\" = { input = 0.5, output = 1.5, cache-read = 0.05 }")
    .with_guide("cost.md#set-your-own-prices"),
    SettingDeclaration::new(
        "cache-diagnostics",
        Value(Flag),
        "Whether requests with a session ask an Anthropic-format provider why their prompt was not found in its cache, so that a \
         warning about a lost cache names the provider's reason. This adds `diagnostics` to the body.",
    )
    .with_implied_default("false")
    .with_guide("cost.md#lost-caches"),
    SettingDeclaration::new(
        "describe-images-with",
        Value(Text),
        "As in `[defaults]`, for this provider's models that accept only text.",
    )
    .with_example("\"anthropic:claude-haiku-4-5\"")
    .with_guide("images.md"),
    SettingDeclaration::new(
        "text-only-models",
        Value(Words),
        "Models (`*` matches any characters) that accept no images. By default these are the models in the table of \
         docs/images.md; `[]` means none.",
    )
    .with_example("[\"mycorp-coder*\"]")
    .with_guide("images.md#models"),
    SettingDeclaration::new(
        "reasoning-models",
        Value(Words),
        "Models (`*` matches any characters) that receive the reasoning parameter. By default these are the models in the table of \
         docs/thinking.md; `[]` means none.",
    )
    .with_example("[\"gpt-5*\", \"o3*\"]")
    .with_guide("thinking.md#models")
    .for_openai_format(),
    SettingDeclaration::new(
        "reasoning-parameter",
        Value(OneOf(&["reasoning_effort", "reasoning", "thinking"])),
        "Parameter that requests reasoning: `reasoning_effort` (OpenAI), `reasoning` (OpenRouter) or `thinking` (GLM, Kimi, DeepSeek).",
    )
    .with_implied_default("\"reasoning_effort\"")
    .for_openai_format(),
    SettingDeclaration::new(
        "reasoning-replay",
        Value(OneOf(REPLAYS)),
        "How a model receives its earlier reasoning: `reasoning_content`, `reasoning_content_always` (also with tool calls without \
         reasoning), `reasoning_details` or `none`.",
    )
    .with_implied_default("\"reasoning_content\"")
    .for_openai_format(),
    SettingDeclaration::new(
        "think-tags",
        Value(Flag),
        "Whether text between `<think>` and `</think>` at the start of a reply is reasoning.",
    )
    .with_implied_default("false")
    .for_openai_format(),
    SettingDeclaration::new(
        "system-anywhere",
        Value(Flag),
        "Whether system messages are accepted at any position. Otherwise all but the first become a `<system-reminder>` of the user.",
    )
    .with_implied_default("false")
    .for_openai_format(),
    SettingDeclaration::new("cache-control", Value(Flag), "Whether `cache_control` marks are accepted.")
        .with_implied_default("false")
        .for_openai_format(),
    SettingDeclaration::new("top-k", Value(Flag), "Whether `top_k` is accepted.")
        .with_implied_default("false")
        .for_openai_format(),
    SettingDeclaration::new(
        "tool-name-sanitization",
        Value(Flag),
        "Whether tool names may contain only letters, digits and `_`. Others are renamed, and restored in replies.",
    )
    .with_implied_default("false")
    .for_openai_format(),
    SettingDeclaration::new(
        "user-fields",
        Value(Words),
        "Fields that receive the id of the client's user, hashed if it is longer than 64 characters.",
    )
    .with_example("[\"safety_identifier\", \"prompt_cache_key\"]")
    .for_openai_format(),
    SettingDeclaration::new(
        "prompt-cache",
        Value(Flag),
        "Whether the session is sent as `prompt_cache_key` and, to GPT-5.6 and later, `cache_control` marks as \
         `prompt_cache_breakpoint`. By default only to `api.openai.com`.",
    )
    .with_example("true")
    .for_openai_format(),
    SettingDeclaration::new(
        "web-search",
        Value(WordOrObject(&HostedSearch::WORDS)),
        "Format in which the provider's own web search is requested if a client requests Anthropic's: that of `openrouter`, \
         `openai` (search models only), `perplexity`, `zai` or `bigmodel`, or a JSON object with members of the body.",
    )
    .with_example("\"perplexity\"")
    .with_guide(SEARCH_GUIDE)
    .for_openai_format(),
];

pub(in crate::config) const PROVIDER_VARIABLES_WITHOUT_KEY: &[VariableWithoutKey] = &[
    other(
        "CUSTOM_HEADER_{X_Y}",
        "A header `X-Y` on every request to providers without a header of that name.",
        None,
    ),
    other(
        "OPENAI_ORG_ID, OPENAI_PROJECT_ID",
        "Sent to provider `openai` as `openai-organization` and `openai-project`.",
        None,
    ),
];
