//! The built-in providers in clouds, and the variables of other programs that configure them.

use super::value_type::{AWS, GOOGLE};

/// The variables that name or contain credentials, by AWS's and Google's documentation of their SDKs.
pub(super) const VARIABLES: [&str; 31] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL_SSO_OIDC",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_QUOTA_PROJECT",
    "CLOUDSDK_CONFIG",
    "GCE_METADATA_HOST",
    "HOME",
    "APPDATA",
    "USERPROFILE",
];

/// A built-in provider in a cloud. The variables are those of Claude Code and of Anthropic's SDKs.
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) mode: &'static str,
    /// Contain a key that is sent as it is, the first that is set.
    pub(super) keys: &'static [&'static str],
    /// Whether such a key registers the provider.
    pub(super) key_registers: bool,
    /// Registers the provider if it is true.
    pub(super) use_variable: Option<&'static str>,
    pub(super) base_url: Option<&'static str>,
    pub(super) region: &'static [&'static str],
    /// The region if no variable names one.
    pub(super) default_region: Option<&'static str>,
    pub(super) project: &'static [&'static str],
    pub(super) workspace: Option<&'static str>,
}

pub(super) const AWS_REGIONS: &[&str] = &["AWS_REGION", "AWS_DEFAULT_REGION"];
const BEDROCK_KEYS: &[&str] = &["BEDROCK_API_KEY", "AWS_BEARER_TOKEN_BEDROCK"];
const PRESETS: [Preset; 6] = [
    Preset {
        name: "bedrock",
        mode: AWS,
        keys: BEDROCK_KEYS,
        key_registers: true,
        use_variable: Some("CLAUDE_CODE_USE_BEDROCK"),
        base_url: Some("ANTHROPIC_BEDROCK_BASE_URL"),
        region: AWS_REGIONS,
        default_region: None,
        project: &[],
        workspace: None,
    },
    Preset {
        name: "bedrock-mantle",
        mode: AWS,
        keys: BEDROCK_KEYS,
        key_registers: false,
        use_variable: Some("CLAUDE_CODE_USE_MANTLE"),
        base_url: Some("ANTHROPIC_BEDROCK_MANTLE_BASE_URL"),
        region: AWS_REGIONS,
        default_region: None,
        project: &[],
        workspace: None,
    },
    Preset {
        name: "bedrock-openai",
        mode: AWS,
        keys: BEDROCK_KEYS,
        key_registers: false,
        use_variable: None,
        base_url: None,
        region: AWS_REGIONS,
        default_region: None,
        project: &[],
        workspace: None,
    },
    Preset {
        name: "claude-aws",
        mode: AWS,
        keys: &["ANTHROPIC_AWS_API_KEY"],
        key_registers: true,
        use_variable: Some("CLAUDE_CODE_USE_ANTHROPIC_AWS"),
        base_url: Some("ANTHROPIC_AWS_BASE_URL"),
        region: AWS_REGIONS,
        default_region: None,
        project: &[],
        workspace: Some("ANTHROPIC_AWS_WORKSPACE_ID"),
    },
    Preset {
        name: "vertex",
        mode: GOOGLE,
        keys: &[],
        key_registers: false,
        use_variable: Some("CLAUDE_CODE_USE_VERTEX"),
        base_url: Some("ANTHROPIC_VERTEX_BASE_URL"),
        region: &["CLOUD_ML_REGION"],
        default_region: Some("global"),
        project: &["ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT"],
        workspace: None,
    },
    Preset {
        name: "claude-google",
        mode: GOOGLE,
        keys: &[],
        key_registers: false,
        use_variable: Some("CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD"),
        base_url: Some("ANTHROPIC_GOOGLE_CLOUD_BASE_URL"),
        region: &["ANTHROPIC_GOOGLE_CLOUD_LOCATION"],
        default_region: Some("global"),
        project: &["ANTHROPIC_GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_PROJECT"],
        workspace: Some("ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID"),
    },
];

/// Whether this name is a built-in provider in a cloud.
pub(crate) fn is_preset(name: &str) -> bool {
    preset(name).is_some()
}

pub(super) fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}
