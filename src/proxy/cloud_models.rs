//! A cloud's list of models, as Anthropic's API writes it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What Bedrock and Vertex list.
enum CloudList {
    Profiles(Vec<Profile>),
    Published(Vec<Published>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    inference_profile_id: String,
    #[serde(default)]
    inference_profile_name: String,
}

#[derive(Deserialize)]
struct Published {
    /// `publishers/anthropic/models/claude-…`
    name: String,
}

#[derive(Serialize)]
struct List {
    data: Vec<Model>,
    has_more: bool,
}

#[derive(Serialize)]
struct Model {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    display_name: String,
}

/// The list; `None` if it is no cloud's. Bedrock lists other vendors' models, too, which do not have the Messages API.
pub(super) fn read(body: &[u8]) -> Option<Bytes> {
    let model = |id: String, display_name: String| Model { kind: "model", id, display_name };
    let data = match entries(body)? {
        CloudList::Profiles(profiles) => profiles
            .into_iter()
            .filter(|profile| profile.inference_profile_id.contains("anthropic."))
            .map(|profile| model(profile.inference_profile_id, profile.inference_profile_name))
            .collect(),
        CloudList::Published(models) => models
            .into_iter()
            .filter_map(|it| Some(model(it.name.rsplit('/').next()?.to_owned(), String::new())))
            .collect(),
    };
    serde_json::to_vec(&List { data, has_more: false }).ok().map(Into::into)
}

/// Other members, such as the token of a next page, stand beside the list.
fn entries(body: &[u8]) -> Option<CloudList> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Members {
        inference_profile_summaries: Option<Vec<Profile>>,
        publisher_models: Option<Vec<Published>>,
    }
    let members: Members = serde_json::from_slice(body).ok()?;
    let profiles = members.inference_profile_summaries.map(CloudList::Profiles);
    profiles.or_else(|| members.publisher_models.map(CloudList::Published))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_of_clouds_are_listed_by_the_ids_that_requests_use() {
        let bedrock = r#"{"nextToken":null,"inferenceProfileSummaries":[
            {"inferenceProfileId":"us.anthropic.claude-a","inferenceProfileName":"Claude A","status":"ACTIVE"},
            {"inferenceProfileId":"us.amazon.nova"}]}"#;
        let expected = r#"{"data":[{"type":"model","id":"us.anthropic.claude-a","display_name":"Claude A"}],"has_more":false}"#;
        assert_eq!(read(bedrock.as_bytes()).unwrap(), expected);
        let vertex = r#"{"publisherModels":[{"name":"publishers/anthropic/models/claude-a"}]}"#;
        let expected = r#"{"data":[{"type":"model","id":"claude-a"}],"has_more":false}"#;
        assert_eq!(read(vertex.as_bytes()).unwrap(), expected);
        assert_eq!(read(br#"{"data":[]}"#), None);
    }
}
