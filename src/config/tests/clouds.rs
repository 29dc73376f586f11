//! Providers in clouds: what registers them, what does not, and what they are registered with.

use vandamme_actors::settings::{CloudIdentity, MessagesForm};

use super::*;

/// Variables that most machines have for other programs.
const GENERAL: Set<'_> = &[
    ("AWS_ACCESS_KEY_ID", "AKIA"),
    ("AWS_SECRET_ACCESS_KEY", "s"),
    ("AWS_PROFILE", "work"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json"),
    ("GOOGLE_CLOUD_PROJECT", "p"),
    ("CLOUD_ML_REGION", "us-east5"),
    ("ANTHROPIC_VERTEX_PROJECT_ID", "p"),
];

fn with(more: Set<'_>) -> Machine {
    Machine::with(&[GENERAL, more].concat())
}

fn names(config: &Config) -> Vec<&str> {
    config.settings.providers.iter().map(|provider| &*provider.name).collect()
}

/// Requirement (issue 20): general variables of AWS and Google register nothing, and never replace the demo.
#[test]
fn general_variables_register_nothing() {
    for more in [
        &[][..],
        &[("CLAUDE_CODE_USE_BEDROCK", "0"), ("CLAUDE_CODE_USE_VERTEX", "false")],
        &[("CLAUDE_CODE_USE_BEDROCK", "")],
    ] {
        let config = with(more).load();
        assert_eq!(names(&config), Vec::<&str>::new(), "{more:?}");
        assert_eq!(config.demo, DemoMode::Fallback);
        assert_eq!(config.warnings, Vec::<String>::new());
        assert_eq!(config.settings.partial, vec![]);
        assert!(config.settings.keyless.iter().all(|it| it.name != "aws" && it.name != "google_cloud"));
    }
}

/// Requirement (issue 20): a Bedrock key, a variable of Claude Code or a section registers a provider.
#[test]
fn each_way_registers_its_provider() {
    for (more, toml, name, is_signed) in [
        (&[("BEDROCK_API_KEY", "k")][..], "", "bedrock", false),
        (&[("AWS_BEARER_TOKEN_BEDROCK", "k")], "", "bedrock", false),
        (&[("CLAUDE_CODE_USE_BEDROCK", "1")], "", "bedrock", true),
        (&[("BEDROCK_AUTH_MODE", "aws")], "", "bedrock", true),
        (&[], "[bedrock]", "bedrock", true),
        (&[], "[bedrock.aliases]\nx = 'claude-opus-5'", "bedrock", true),
        (&[("CLAUDE_CODE_USE_MANTLE", "1")], "", "bedrock-mantle", true),
        (&[], "[bedrock-openai]", "bedrock-openai", true),
        (&[("CLAUDE_CODE_USE_VERTEX", "true")], "", "vertex", true),
        (&[], "[vertex]", "vertex", true),
        (&[("ANTHROPIC_AWS_API_KEY", "k")], "", "claude-aws", false),
    ] {
        let config = with(more).toml(toml).load();
        assert_eq!(names(&config), [name], "{more:?} {toml}");
        let provider = provider(&config, name);
        assert_eq!(provider.identity.is_some(), is_signed, "{more:?} {toml}");
        assert_eq!(provider.keys.len(), 1);
        assert_eq!(config.demo, DemoMode::Off);
    }
}

#[test]
fn a_bearer_key_registers_one_provider_and_serves_those_that_have_a_section() {
    let config = with(&[("AWS_BEARER_TOKEN_BEDROCK", "k")]).toml("[bedrock-mantle]").load();
    let mut names = names(&config);
    names.sort_unstable();
    assert_eq!(names, ["bedrock", "bedrock-mantle"]);
    assert!(provider(&config, "bedrock-mantle").identity.is_none());
}

#[test]
fn the_region_is_in_urls_signatures_and_profiles() {
    for (region, profile) in
        [("us-west-2", "us"), ("eu-central-1", "eu"), ("ap-northeast-1", "jp"), ("us-gov-west-1", "us-gov")]
    {
        let config = Machine::with(&[("CLAUDE_CODE_USE_BEDROCK", "1"), ("AWS_REGION", region)]).load();
        let bedrock = provider(&config, "bedrock");
        assert_eq!(bedrock.base_url, format!("https://bedrock-runtime.{region}.amazonaws.com"));
        assert_eq!(bedrock.messages_form, MessagesForm::InvokeModel { profile: profile.into() });
        let Some(CloudIdentity::Aws(aws)) = &bedrock.identity else { panic!("no identity") };
        assert_eq!((&*aws.region, &*aws.service), (region, "bedrock"));
    }
    let own = with(&[("CLAUDE_CODE_USE_BEDROCK", "1"), ("BEDROCK_REGION", "eu-west-3")]).load();
    assert_eq!(provider(&own, "bedrock").base_url, "https://bedrock-runtime.eu-west-3.amazonaws.com");
    let toml = "[bedrock]\nregion = 'eu-west-1'\ninference-profile = 'global'\n[bedrock-mantle]\nregion = 'us-east-2'";
    let config = with(&[]).toml(toml).load();
    let form = &provider(&config, "bedrock").messages_form;
    assert_eq!(*form, MessagesForm::InvokeModel { profile: "global".into() });
    let mantle = provider(&config, "bedrock-mantle");
    assert_eq!(mantle.base_url, "https://bedrock-mantle.us-east-2.api.aws/anthropic");
    let Some(CloudIdentity::Aws(aws)) = &mantle.identity else { panic!("no identity") };
    assert_eq!(&*aws.service, "bedrock-mantle");
}

#[test]
fn vertex_has_a_host_for_each_kind_of_location() {
    for (location, base_url) in [
        ("global", "https://aiplatform.googleapis.com"),
        ("us", "https://aiplatform.us.rep.googleapis.com"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com"),
        ("us-east5", "https://us-east5-aiplatform.googleapis.com"),
    ] {
        let config = with(&[("CLAUDE_CODE_USE_VERTEX", "1"), ("CLOUD_ML_REGION", location)]).load();
        let vertex = provider(&config, "vertex");
        assert_eq!(vertex.base_url, base_url);
        let form = MessagesForm::RawPredict { project: "p".into(), location: location.into() };
        assert_eq!(vertex.messages_form, form);
    }
    let variables = [("CLAUDE_CODE_USE_VERTEX", "1"), ("GOOGLE_CLOUD_PROJECT", "p")];
    let config = Machine::with(&variables).load();
    assert_eq!(provider(&config, "vertex").base_url, "https://aiplatform.googleapis.com");
}

#[test]
fn what_is_missing_is_named_and_the_start_goes_on() {
    for (variables, toml, expected) in [
        (
            &[("CLAUDE_CODE_USE_BEDROCK", "1")][..],
            "",
            "environment variable CLAUDE_CODE_USE_BEDROCK: bedrock has no region, so it cannot be used; set BEDROCK_REGION or AWS_REGION",
        ),
        (
            &[("CLAUDE_CODE_USE_VERTEX", "1")],
            "",
            "environment variable CLAUDE_CODE_USE_VERTEX: vertex has no project, so it cannot be used; set VERTEX_PROJECT or ANTHROPIC_VERTEX_PROJECT_ID",
        ),
        (
            &[("ANTHROPIC_GOOGLE_CLOUD_PROJECT", "p")],
            "[claude-google]",
            "1:2: claude-google: claude-google has no workspace, so it cannot be used; set CLAUDE_GOOGLE_WORKSPACE or ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID",
        ),
    ] {
        let config = Machine::with(variables).toml(toml).load();
        assert_eq!(names(&config), Vec::<&str>::new());
        assert!(config.warnings.iter().any(|warning| warning.ends_with(expected)), "{:#?}", config.warnings);
    }
}

/// The shell of a client: its cloud is the gateway itself.
#[test]
fn a_clients_own_mode_registers_nothing() {
    let config = with(&[
        ("CLAUDE_CODE_USE_BEDROCK", "1"),
        ("ANTHROPIC_BEDROCK_BASE_URL", "http://localhost:8082/bedrock"),
    ])
    .load();
    assert_eq!(names(&config), Vec::<&str>::new());
    let elsewhere = with(&[
        ("CLAUDE_CODE_USE_BEDROCK", "1"),
        ("ANTHROPIC_BEDROCK_BASE_URL", "https://bedrock.mycorp.example"),
    ])
    .load();
    assert_eq!(provider(&elsewhere, "bedrock").base_url, "https://bedrock.mycorp.example");
}

#[test]
fn a_workspace_is_a_header_or_a_part_of_the_url() {
    let config = with(&[
        ("ANTHROPIC_AWS_API_KEY", "k"),
        ("ANTHROPIC_AWS_WORKSPACE_ID", "wrkspc_1"),
        ("CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD", "1"),
        ("ANTHROPIC_GOOGLE_CLOUD_WORKSPACE_ID", "w2"),
    ])
    .load();
    let aws = provider(&config, "claude-aws");
    let header = aws.custom_headers.iter().find(|(name, _)| name == "anthropic-workspace-id");
    assert_eq!(header.map(|(_, value)| value.as_bytes()), Some(&b"wrkspc_1"[..]));
    let google = provider(&config, "claude-google");
    assert_eq!(
        google.base_url,
        "https://claude.googleapis.com/v1/projects/p/locations/global/workspaces/w2/invoke"
    );
    assert!(google.custom_headers.is_empty());
}

#[test]
fn keys_and_a_clouds_credentials_exclude_each_other() {
    let machine = with(&[("BEDROCK_API_KEY", "k"), ("BEDROCK_AUTH_MODE", "aws")]);
    let errors = Config::load(&machine.overrides).expect_err("both are set");
    let expected = "it has them or uses a cloud's credentials, not both";
    assert!(errors[0].to_string().contains(expected), "{errors:?}");
}
