//! Reads the session that a request belongs to, as clients report it in the body.

use std::borrow::Cow;

use super::RequestHead;
use super::cursor::{JsonCursor, decoded};

/// The marker in front of the session id in Claude Code's `metadata.user_id`.
const MARK: &str = "_session_";

impl RequestHead<'_> {
    /// Returns the session in `metadata.user_id` (Claude Code's `user_…_session_ID`, or a JSON object with `session_id`),
    /// else the `prompt_cache_key` of OpenAI's APIs. `body` must be the body that was scanned.
    #[must_use]
    pub fn session<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        self.session_of_user(body).or_else(|| self.cache_key(body))
    }

    /// The value of `prompt_cache_key`: Codex sends its session there.
    fn cache_key<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        decoded(body.get(self.prompt_cache_key.clone()?)?).filter(|key| !key.is_empty())
    }

    fn session_of_user<'b>(&self, body: &'b [u8]) -> Option<Cow<'b, str>> {
        let metadata = &body[self.metadata.clone()?];
        match member(metadata, "user_id")? {
            Cow::Borrowed(user) => within(user),
            Cow::Owned(user) => within(&user).map(|session| Cow::Owned(session.into_owned())),
        }
    }
}

fn within(user: &str) -> Option<Cow<'_, str>> {
    if user.starts_with('{') {
        return member(user.as_bytes(), "session_id").filter(|session| !session.is_empty());
    }
    let (_, session) = user.rsplit_once(MARK)?;
    (!session.is_empty()).then_some(Cow::Borrowed(session))
}

/// Returns the last member of that name, if it is a string in an object.
fn member<'b>(object: &'b [u8], name: &str) -> Option<Cow<'b, str>> {
    let mut found = None;
    let mut cursor = JsonCursor::new(object);
    let walked = cursor.members(|cursor, key| {
        let value = cursor.value()?;
        if key == name {
            found = Some(value);
        }
        Ok(())
    });
    walked.ok()?;
    decoded(&object[found?])
}

#[cfg(test)]
mod tests {
    use crate::request::head;

    fn session(body: &str) -> Option<String> {
        head(body.as_bytes()).unwrap().session(body.as_bytes()).map(std::borrow::Cow::into_owned)
    }

    fn of_user(user: &str) -> Option<String> {
        session(&serde_json::json!({"metadata": {"a": [1], "user_id": user}, "model": "m"}).to_string())
    }

    #[test]
    fn both_session_formats_of_claude_code_are_read() {
        let id = "2c5bd53c-8a4d-4a3b-9c55-0b9d4c1d9e6f";
        assert_eq!(of_user(&format!("user_0af1_account__session_{id}")).as_deref(), Some(id));
        assert_eq!(of_user(&format!("{{\"device_id\":\"d\",\"session_id\":\"{id}\"}}")).as_deref(), Some(id));
        let twice =
            r#"{"metadata":{"user_id":"x_session_a"},"model":"m","metadata":{"user_id":"x_session_b"}}"#;
        assert_eq!(session(twice).as_deref(), Some("b"));
    }

    #[test]
    fn the_key_of_the_prompt_cache_is_a_session() {
        let key = |members: &str| session(&format!(r#"{{"model":"m",{members}}}"#));
        assert_eq!(key(r#""prompt_cache_key":"0193-a""#).as_deref(), Some("0193-a"));
        let both = r#""prompt_cache_key":"b","metadata":{"user_id":"x_session_a"}"#;
        assert_eq!(key(both).as_deref(), Some("a"));
        for none in [r#""prompt_cache_key":"""#, r#""prompt_cache_key":null"#, r#""prompt_cache_key":7"#] {
            assert_eq!(key(none), None, "{none}");
        }
    }

    #[test]
    fn other_metadata_has_no_session() {
        for user in ["", "somebody", "x_session_", "{}", "{\"session_id\":\"\"}", "{\"session_id\":1}", "{"] {
            assert_eq!(of_user(user), None, "{user}");
        }
        for body in [
            r#"{"model":"m"}"#,
            r#"{"model":"m","metadata":null}"#,
            r#"{"model":"m","metadata":"x_session_y"}"#,
            r#"{"model":"m","metadata":{"user_id":7}}"#,
            r#"{"model":"m","messages":[{"metadata":{"user_id":"x_session_y"}}]}"#,
        ] {
            assert_eq!(session(body), None, "{body}");
        }
    }
}
