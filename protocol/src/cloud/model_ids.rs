//! The ids of Claude's models in the clouds, and the ids of Anthropic's own API.
//!
//! Source: the tables of Claude Code 2.1.332 and of Anthropic's documentation (Claude on Amazon Bedrock, on Vertex AI).

use std::borrow::Cow;

/// The models whose names without a date stand for one with a date.
const DATES: [(&str, &str); 3] = [
    ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
    ("claude-opus-4-5", "claude-opus-4-5-20251101"),
    ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
];

/// The ids whose versions do not follow from their date.
const VERSIONS: [(&str, &str); 2] = [("claude-3-5-sonnet-20241022", "-v2:0"), ("claude-opus-4-6", "-v1")];

const VENDOR: &str = "anthropic.";

/// The id in Anthropic's own API of a Claude model of a cloud; any other id unchanged.
#[must_use]
pub fn plain(id: &str) -> Cow<'_, str> {
    if let Some((_, rest)) = id.split_once("publishers/anthropic/models/") {
        return plain(rest);
    }
    let id_in_arn = if id.starts_with("arn:") { id.rsplit('/').next().unwrap_or(id) } else { id };
    // `us.anthropic.claude-…`
    let named = match id_in_arn.split_once(VENDOR) {
        Some(("", rest)) => rest,
        Some((profile, rest)) if is_profile(profile) => rest,
        Some(_) | None => id_in_arn,
    };
    if !named.starts_with("claude-") {
        return Cow::Borrowed(id);
    }
    let named = without_version(named);
    match named.split_once('@') {
        // `claude-3-5-sonnet-v2@20241022`
        Some((name, date)) => Cow::Owned(format!("{}-{date}", name.strip_suffix("-v2").unwrap_or(name))),
        None => Cow::Borrowed(named),
    }
}

/// Whether an id is one of a cloud's: Anthropic's own API has none of these marks.
#[must_use]
pub fn is_of_cloud(id: &str) -> bool {
    id.contains("anthropic.claude-")
        || id.contains("publishers/anthropic/")
        || (id.starts_with("claude-") && id.contains('@'))
}

/// `us.`, `us-gov.`
fn is_profile(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or_default();
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// Without `-v1:0`, `-v1` or `:0`.
fn without_version(id: &str) -> &str {
    let id = match id.rsplit_once(':') {
        Some((front, number)) if is_number(number) => front,
        Some(_) | None => id,
    };
    match id.rsplit_once("-v") {
        Some((front, number)) if is_number(number) => front,
        Some(_) | None => id,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether an id is one of Anthropic's own API, without anything that only clouds have.
fn is_plain(id: &str) -> bool {
    id.starts_with("claude-") && !id.contains(['@', ':', '/', '['])
}

fn dated(id: &str) -> &str {
    DATES.iter().find(|(name, _)| *name == id).map_or(id, |(_, dated)| dated)
}

/// The date at the end of an id, such as `20250929`.
fn date(id: &str) -> Option<(&str, &str)> {
    id.rsplit_once('-').filter(|(_, date)| date.len() == 8 && is_number(date))
}

/// The id of a model at Amazon Bedrock, through an inference profile such as `us`; an id that is Bedrock's already, or unknown,
/// unchanged.
#[must_use]
pub fn for_bedrock<'m>(model: &'m str, profile: &str) -> Cow<'m, str> {
    if !is_plain(model) {
        return Cow::Borrowed(model);
    }
    let id = dated(model);
    let version = match VERSIONS.iter().find(|(known, _)| *known == id) {
        Some((_, version)) => version,
        None if date(id).is_some() => "-v1:0",
        None => "",
    };
    let dot = if profile.is_empty() { "" } else { "." };
    Cow::Owned(format!("{profile}{dot}{VENDOR}{id}{version}"))
}

/// The id of the model behind an inference profile of Bedrock's own, such as `us.anthropic.claude-…`; any other id unchanged.
/// Tokens are counted for models only (docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html).
#[must_use]
pub fn without_profile(id: &str) -> &str {
    let named = match id.split_once(":inference-profile/") {
        Some((arn, name)) if arn.starts_with("arn:") => name,
        Some(_) | None => id,
    };
    match named.split_once(VENDOR) {
        Some((profile, _)) if is_profile(profile) => &named[profile.len()..],
        Some(_) | None => id,
    }
}

/// The id of a model at Bedrock's Mantle endpoint.
#[must_use]
pub fn for_mantle(model: &str) -> Cow<'_, str> {
    if !is_plain(model) {
        return Cow::Borrowed(model);
    }
    let id = DATES.iter().find(|(_, dated)| *dated == model).map_or(model, |(name, _)| name);
    Cow::Owned(format!("{VENDOR}{id}"))
}

/// The id of a model at Vertex AI.
#[must_use]
pub fn for_vertex(model: &str) -> Cow<'_, str> {
    let plain = plain(model);
    if !is_plain(&plain) {
        return Cow::Borrowed(model);
    }
    match date(dated(&plain)) {
        Some(("claude-3-5-sonnet", date @ "20241022")) => Cow::Owned(format!("claude-3-5-sonnet-v2@{date}")),
        Some((name, date)) => Cow::Owned(format!("{name}@{date}")),
        None => plain.into_owned().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the tables of Claude Code 2.1.332.
    const KNOWN: [(&str, &str, &str); 8] = [
        ("claude-sonnet-5-5", "us.anthropic.claude-sonnet-5-5", "claude-sonnet-5-5"),
        ("claude-fable-5-2", "us.anthropic.claude-fable-5-2", "claude-fable-5-2"),
        ("claude-opus-4-6", "us.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("claude-sonnet-4-6", "us.anthropic.claude-sonnet-4-6", "claude-sonnet-4-6"),
        (
            "claude-haiku-4-5-20251001",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "claude-haiku-4-5@20251001",
        ),
        (
            "claude-3-5-sonnet-20241022",
            "us.anthropic.claude-3-5-sonnet-20241022-v2:0",
            "claude-3-5-sonnet-v2@20241022",
        ),
        (
            "claude-opus-4-1-20250805",
            "us.anthropic.claude-opus-4-1-20250805-v1:0",
            "claude-opus-4-1@20250805",
        ),
        (
            "claude-sonnet-4-20250514",
            "us.anthropic.claude-sonnet-4-20250514-v1:0",
            "claude-sonnet-4@20250514",
        ),
    ];

    #[test]
    fn each_cloud_has_its_id_and_each_id_its_plain_one() {
        for (id, bedrock, vertex) in KNOWN {
            assert_eq!(for_bedrock(id, "us"), bedrock);
            assert_eq!(for_vertex(id), vertex);
            assert_eq!(for_vertex(bedrock), vertex);
            assert_eq!((plain(bedrock), plain(vertex), plain(id)), (id.into(), id.into(), id.into()));
            assert_eq!(for_bedrock(bedrock, "eu"), bedrock, "Bedrock's ids stay");
        }
        assert_eq!(
            for_bedrock("claude-haiku-4-5", "global"),
            "global.anthropic.claude-haiku-4-5-20251001-v1:0"
        );
        assert_eq!(for_mantle("claude-haiku-4-5-20251001"), "anthropic.claude-haiku-4-5");
        assert_eq!(for_mantle("anthropic.claude-opus-5"), "anthropic.claude-opus-5");
    }

    #[test]
    fn the_model_behind_a_profile_is_known_by_its_id() {
        for (id, expected) in [
            ("us.anthropic.claude-sonnet-4-6", "anthropic.claude-sonnet-4-6"),
            ("us-gov.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0"),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-opus-4-6-v1",
                "anthropic.claude-opus-4-6-v1",
            ),
        ] {
            assert_eq!(without_profile(id), expected);
        }
        for id in [
            "anthropic.claude-sonnet-4-6",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc",
            "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-5-5",
            "us.amazon.nova-pro-v1:0",
            "x.y.anthropic.claude-a",
        ] {
            assert_eq!(without_profile(id), id);
        }
    }

    #[test]
    fn arns_and_paths_lead_to_their_models() {
        for (id, expected) in [
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "claude-sonnet-4-5-20250929",
            ),
            ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-5-5", "claude-opus-5-5"),
            ("publishers/anthropic/models/claude-opus-4-1@20250805", "claude-opus-4-1-20250805"),
            ("anthropic.claude-opus-4-8", "claude-opus-4-8"),
        ] {
            assert_eq!(plain(id), expected);
        }
        for id in [
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc",
            "openai.gpt-oss-120b-1:0",
            "meta.llama",
            "x.y.anthropic.claude-a",
        ] {
            assert_eq!((plain(id), for_bedrock(id, "us"), for_vertex(id)), (id.into(), id.into(), id.into()));
        }
    }
}
