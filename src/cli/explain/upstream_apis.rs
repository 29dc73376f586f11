//! The API in which a request is sent to its target, by the API of the client.

use serde::Serialize;
use vandamme_actors::routing::Route;
use vandamme_actors::settings::Api;

/// The upstream's API for each client's, in the words of `api-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct UpstreamApis {
    #[serde(serialize_with = "word")]
    messages: Api,
    #[serde(rename = "chat-completions", serialize_with = "word")]
    chat_completions: Api,
    #[serde(serialize_with = "word")]
    responses: Api,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn word<S: serde::Serializer>(api: &Api, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(api.name())
}

impl UpstreamApis {
    pub(super) fn of(route: &Route) -> Self {
        let of = |client| route.provider.api_for(client, &route.model);
        Self {
            messages: of(Api::Messages),
            chat_completions: of(Api::ChatCompletions),
            responses: of(Api::Responses),
        }
    }

    /// One line for people.
    pub(super) fn sentence(self) -> String {
        let clients = [
            (Api::Messages, self.messages),
            (Api::ChatCompletions, self.chat_completions),
            (Api::Responses, self.responses),
        ];
        let mut groups: Vec<(Api, Vec<&str>)> = vec![];
        for (client, upstream) in clients {
            match groups.iter_mut().find(|(api, _)| *api == upstream) {
                Some((_, clients)) => clients.push(title(client)),
                None => groups.push((upstream, vec![title(client)])),
            }
        }
        let said = match &groups[..] {
            [(api, _)] => title(*api).to_owned(),
            groups => {
                let group = |(api, clients): &(Api, Vec<&str>)| {
                    format!("{} for clients of {}", title(*api), clients.join(" and "))
                };
                groups.iter().map(group).collect::<Vec<_>>().join(", ")
            }
        };
        format!("API: {said}")
    }
}

fn title(api: Api) -> &'static str {
    match api {
        Api::Messages => "Messages",
        Api::ChatCompletions => "Chat Completions",
        Api::Responses => "Responses",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_for_all_clients_is_named_once() {
        let apis =
            |messages, chat_completions, responses| UpstreamApis { messages, chat_completions, responses };
        use Api::{ChatCompletions as Chat, Messages, Responses};
        for (apis, sentence) in [
            (apis(Chat, Chat, Chat), "API: Chat Completions"),
            (apis(Messages, Messages, Messages), "API: Messages"),
            (
                apis(Responses, Chat, Responses),
                "API: Responses for clients of Messages and Responses, Chat Completions for clients of Chat Completions",
            ),
            (
                apis(Chat, Chat, Responses),
                "API: Chat Completions for clients of Messages and Chat Completions, Responses for clients of Responses",
            ),
        ] {
            assert_eq!(apis.sentence(), sentence);
        }
        let json = serde_json::to_value(apis(Responses, Chat, Responses)).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"messages": "responses", "chat-completions": "openai", "responses": "responses"})
        );
    }
}
