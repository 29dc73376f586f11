//! Hashes of the parts of a prompt, so that two requests can be compared without keeping their text.

use super::cursor::{CursorResult, JsonCursor, Watch};

/// The most messages that are hashed; later ones are ignored.
const MOST_MESSAGES: usize = 512;
/// The start of the block that Claude Code puts first in `system`. It differs between requests, and no cache contains it.
pub(super) const ATTRIBUTION: &[u8] = b"\"x-anthropic-billing-header:";

/// The hashes of a prompt's parts. Equal parts have equal hashes, whether a text is a string or a block, and wherever
/// `cache_control` marks are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptPrefix {
    /// The system prompt; in OpenAI's APIs `instructions`, or a first message of that role.
    pub system: u32,
    pub tools: u32,
    /// The other messages or items, in order.
    pub messages: Vec<u32>,
}

/// Where two prompts differ first, in the order in which they are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixChange {
    Tools,
    System,
    /// The number of the message, counted from 1.
    Message(u32),
}

impl PromptPrefix {
    /// Reads a request. Returns `None` for a body that is not an object.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut prefix = Self::default();
        let mut cursor = JsonCursor::new(body);
        let walked = cursor.members(|cursor, key| {
            match key {
                "system" | "instructions" => prefix.system = part(cursor, Keys::Ignored)?,
                "tools" => prefix.tools = part(cursor, Keys::Hashed)?,
                "messages" | "input" => prefix.read_messages(cursor)?,
                _ => {
                    cursor.value()?;
                }
            }
            Ok(())
        });
        walked.ok()?;
        Some(prefix)
    }

    fn read_messages(&mut self, cursor: &mut JsonCursor<'_>) -> CursorResult<()> {
        let mut hasher = PartHasher::of_messages();
        match cursor.peek() {
            Some(b'[') => cursor.container(&mut hasher)?,
            _ => {
                cursor.value()?;
            }
        }
        if let Some(found) = hasher.finish_messages() {
            if let Some(system) = found.system {
                self.system = system;
            }
            self.messages = found.messages;
        }
        Ok(())
    }

    /// How many messages are the same at the same position.
    #[must_use]
    pub fn common_messages(&self, other: &Self) -> usize {
        self.messages.iter().zip(&other.messages).filter(|(one, other)| one == other).count()
    }

    /// The first part of this prompt that `later` does not continue; `None` if it begins with the whole prompt.
    #[must_use]
    pub fn change(&self, later: &Self) -> Option<PrefixChange> {
        if self.tools != later.tools {
            return Some(PrefixChange::Tools);
        }
        if self.system != later.system {
            return Some(PrefixChange::System);
        }
        let mut messages = self.messages.iter().enumerate();
        let (number, _) = messages.find(|&(number, hash)| later.messages.get(number) != Some(hash))?;
        Some(PrefixChange::Message(u32::try_from(number + 1).unwrap_or(u32::MAX)))
    }
}

pub(super) fn part(cursor: &mut JsonCursor<'_>, keys: Keys) -> CursorResult<u32> {
    let mut hasher = PartHasher::new(keys);
    if matches!(cursor.peek(), Some(b'[' | b'{')) {
        cursor.container(&mut hasher)?;
    } else {
        let value = cursor.value()?;
        hasher.add(cursor.slice(value));
    }
    Ok(hasher.hash.finish())
}

/// Whether the names of members are part of the hash: those of tools are the names of parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    Hashed,
    Ignored,
}

/// The member whose value comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Type,
    Role,
    Other,
}

#[derive(Clone, Default)]
pub(super) struct MessageHashes {
    /// The first message, if it is the system prompt.
    pub(super) system: Option<u32>,
    pub(super) messages: Vec<u32>,
    begun: bool,
    is_system: bool,
}

/// Hashes the strings of a value while it is skipped.
#[derive(Clone)]
pub(super) struct PartHasher {
    keys: Keys,
    hash: Hash,
    member: Member,
    /// The number of containers that were open at a `cache_control` whose value is being skipped.
    mark: Option<usize>,
    messages: Option<MessageHashes>,
}

/// The brackets that are open inside a message.
const MESSAGE: &[u8] = b"]}";

impl Watch for PartHasher {
    const WATCHES_STRINGS: bool = true;

    fn object(&mut self, open: &[u8]) {
        if open == MESSAGE && self.messages.is_some() {
            self.end_message();
            if let Some(messages) = &mut self.messages {
                messages.begun = true;
            }
        }
    }

    fn string(&mut self, open: &[u8], string: &[u8], rest: &[u8]) {
        if self.mark.is_some_and(|depth| open.len() > depth) {
            return;
        }
        if rest.trim_ascii_start().first() == Some(&b':') {
            self.mark = (string == b"\"cache_control\"").then_some(open.len());
            self.member = match string {
                b"\"type\"" => Member::Type,
                b"\"role\"" => Member::Role,
                _ => Member::Other,
            };
            if self.keys == Keys::Hashed && self.mark.is_none() {
                self.hash.add(string);
            }
            return;
        }
        if self.mark.is_some() {
            return;
        }
        if self.member == Member::Role && open == MESSAGE {
            self.role(string);
        }
        // A text is the same as a string and as a block.
        let is_text_block = self.member == Member::Type && string == b"\"text\"";
        if !is_text_block || self.keys == Keys::Hashed {
            self.add(string);
        }
    }
}

impl PartHasher {
    fn new(keys: Keys) -> Self {
        Self { keys, hash: Hash::default(), member: Member::Other, mark: None, messages: None }
    }

    fn add(&mut self, string: &[u8]) {
        if !string.starts_with(ATTRIBUTION) {
            self.hash.add(string);
        }
    }

    fn role(&mut self, role: &[u8]) {
        if let Some(messages) = &mut self.messages {
            let is_first = messages.messages.is_empty() && messages.system.is_none();
            messages.is_system = is_first && matches!(role, b"\"system\"" | b"\"developer\"");
        }
    }

    fn end_message(&mut self) {
        let hash = std::mem::take(&mut self.hash).finish();
        self.mark = None;
        let Some(messages) = self.messages.as_mut().filter(|messages| messages.begun) else { return };
        if std::mem::take(&mut messages.is_system) {
            messages.system = Some(hash);
        } else if messages.messages.len() < MOST_MESSAGES {
            messages.messages.push(hash);
        }
    }

    pub(super) fn of_messages() -> Self {
        Self { messages: Some(MessageHashes::default()), ..Self::new(Keys::Ignored) }
    }

    /// The same state without the messages that are complete.
    pub(super) fn suspended(&self) -> Self {
        let messages = self.messages.as_ref().map(|&MessageHashes { system, begun, is_system, .. }| {
            MessageHashes { system, messages: vec![], begun, is_system }
        });
        Self { hash: self.hash.clone(), messages, ..*self }
    }

    /// The state that was suspended, after these messages.
    pub(super) fn resumed(&self, messages: &[u32]) -> Self {
        let mut resumed = self.clone();
        if let Some(hashes) = &mut resumed.messages {
            hashes.messages = messages.to_vec();
        }
        resumed
    }

    /// The number of messages that are complete.
    pub(super) fn completed(&self) -> usize {
        self.messages.as_ref().map_or(0, |messages| messages.messages.len())
    }

    pub(super) fn finish_messages(mut self) -> Option<MessageHashes> {
        self.end_message();
        self.messages
    }
}

/// A hash of several byte strings. It is fast, but anybody can find collisions: it serves comparisons only.
#[derive(Clone)]
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Hash {
    const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;

    fn add(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last));
        self.mix(bytes.len() as u64);
    }

    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(Self::FACTOR);
        self.0 = (product as u64).wrapping_add((product >> 64) as u64).rotate_left(29);
    }

    fn finish(self) -> u32 {
        (self.0 ^ (self.0 >> 32)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(body: &str) -> PromptPrefix {
        PromptPrefix::read(body.as_bytes()).unwrap()
    }

    const FIRST: &str = r#"{"model":"m","system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1; cch=aa;"},
        {"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}],
        "tools":[{"name":"Read","input_schema":{"properties":{"path":{"type":"string"}}}}],
        "messages":[{"role":"user","content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"1h"}}]}]}"#;

    /// Requirement: moved cache marks, strings in place of blocks and the attribution block are no changes.
    #[test]
    fn the_next_turn_of_claude_code_continues_the_prefix() {
        let next = r#"{"model":"m","messages":[{"role":"user","content":"hi"},
            {"role":"assistant","content":[{"type":"text","text":"hello"}]},
            {"role":"user","content":[{"type":"text","text":"more","cache_control":{"type":"ephemeral"}}]}],
            "system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1; cch=bb;"},
            {"type":"text","text":"be brief"}],
            "tools":[{"name":"Read","cache_control":{"type":"ephemeral"},
                "input_schema":{"properties":{"path":{"type":"string"}}}}]}"#;
        let (first, next) = (prefix(FIRST), prefix(next));
        assert_eq!(first.change(&next), None);
        assert_eq!((first.messages.len(), next.messages.len(), first.common_messages(&next)), (1, 3, 1));
    }

    #[test]
    fn the_first_change_is_found_in_the_order_of_the_cache() {
        let changed = |from: &str, to: &str| {
            assert!(FIRST.contains(from));
            prefix(FIRST).change(&prefix(&FIRST.replace(from, to)))
        };
        assert_eq!(changed("be brief", "be long"), Some(PrefixChange::System));
        assert_eq!(changed("Read", "Write"), Some(PrefixChange::Tools));
        assert_eq!(changed("\"path\"", "\"file\""), Some(PrefixChange::Tools));
        assert_eq!(changed("\"hi\"", "\"ho\""), Some(PrefixChange::Message(1)));
        assert_eq!(changed("\"model\":\"m\"", "\"model\":\"n\""), None);
        assert_eq!(changed("1h", "5m"), None);
    }

    #[test]
    fn a_removed_message_is_a_change() {
        let two = prefix(r#"{"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}"#);
        let one = prefix(r#"{"messages":[{"role":"user","content":"a"}]}"#);
        assert_eq!((two.change(&one), one.change(&two)), (Some(PrefixChange::Message(2)), None));
    }

    #[test]
    fn the_system_message_of_chat_completions_is_the_system_prompt() {
        let body = |system: &str, user: &str| {
            prefix(&format!(
                r#"{{"messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"{user}"}}]}}"#
            ))
        };
        assert_eq!(body("a", "u").messages.len(), 1);
        assert_eq!(body("a", "u").change(&body("b", "u")), Some(PrefixChange::System));
        assert_eq!(body("a", "u").change(&body("a", "v")), Some(PrefixChange::Message(1)));
    }

    #[test]
    fn the_items_of_responses_continue_or_change_a_prompt() {
        let user = |text: &str| {
            format!(
                r#"{{"type":"message","role":"user","content":[{{"type":"input_text","text":"{text}"}}]}}"#
            )
        };
        let body = |instructions: &str, items: &[String]| {
            prefix(&format!(r#"{{"instructions":"{instructions}","input":[{}]}}"#, items.join(",")))
        };
        let first = body("a", &[user("u")]);
        assert_eq!(first.change(&body("a", &[user("u"), user("v")])), None);
        assert_eq!(first.change(&body("b", &[user("u")])), Some(PrefixChange::System));
        assert_eq!(first.change(&body("a", &[user("w")])), Some(PrefixChange::Message(1)));
        let developer = user("x").replace("user", "developer");
        let led = prefix(&format!(r#"{{"input":[{developer},{}]}}"#, user("u")));
        assert_eq!((led.messages.len(), led.system != 0), (1, true));
    }

    #[test]
    fn the_number_of_messages_is_bounded() {
        let messages = vec![r#"{"role":"user","content":"x"}"#; MOST_MESSAGES + 10].join(",");
        assert_eq!(prefix(&format!(r#"{{"messages":[{messages}]}}"#)).messages.len(), MOST_MESSAGES);
    }

    #[test]
    fn odd_bodies_have_a_prefix_or_none() {
        for body in ["{}", r#"{"messages":null,"system":7,"tools":"x"}"#, r#"{"messages":[1,"a",[{}]]}"#] {
            assert!(prefix(body).messages.is_empty(), "{body}");
        }
        for body in ["", "[]", "{", "{\"messages\":[}"] {
            assert_eq!(PromptPrefix::read(body.as_bytes()), None, "{body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = PromptPrefix::read(&body);
        }

        #[test]
        fn appended_messages_never_change_the_prefix(texts in proptest::collection::vec("[a-z\"\\\\{}]{0,12}", 1..20), cut in 0_usize..20) {
            let message = |text: &String| serde_json::json!({"role": "user", "content": text});
            let all: Vec<_> = texts.iter().map(message).collect();
            let body = |messages: &[serde_json::Value]| prefix(&serde_json::json!({"messages": messages}).to_string());
            let (earlier, later) = (body(&all[..cut.min(all.len())]), body(&all));
            proptest::prop_assert_eq!(earlier.change(&later), None);
        }
    }
}
