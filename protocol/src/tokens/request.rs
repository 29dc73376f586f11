//! Determines which parts of a Messages request a model sees, and the cost of their framing.
//!
//! It walks the whole body with its own stack: every value has a [`ValueRole`], which determines how it counts.

use std::ops::Range;

use super::{
    EstimateError,
    block::{BlockKind, SourceKind, kind, source_kind},
    image,
    shape::Shape,
};
use crate::{
    json::{
        self, JsonSyntaxError,
        reader::{self, JsonReader},
    },
    request,
};

/// Tokens around the whole conversation, and for the start of the answer.
const REQUEST: u64 = 3;
/// Tokens around a message: its role and two separators (as OpenAI counts them for its chat models, rounded up).
const MESSAGE: u64 = 4;
/// Tokens around a tool's name, description and schema.
const TOOL: u64 = 8;
/// Tokens around a call's name and input, and around its result. The ids belong to the API; models receive none or
/// short ones.
const TOOL_USE: u64 = 8;
const TOOL_RESULT: u64 = 6;
/// Tokens of a document that is not in the request: a page as text and as an image, by Anthropic's PDF guide.
const PAGE: u64 = 3_000;
/// Base64 characters per token of a PDF: 3000 tokens for a page of about 50 KB. Vendors count the pages only.
const PDF_CHARACTERS: u64 = 22;
/// Base64 characters per token of encrypted content (redacted thinking, search results): four bytes of text.
const SEALED_CHARACTERS: u64 = 5;
/// How deeply blocks can nest. No API uses more than three levels; deeper ones count as JSON.
const DEEPEST_BLOCK: usize = 64;

/// How a value counts. A list's elements have the role of the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValueRole {
    Request,
    Messages,
    Tools,
    /// A string, or content blocks.
    Content,
    /// The source of an image or document, or the name of a search result.
    Source,
    /// A string that a model reads; any other value counts as JSON.
    Text,
    /// A value that a model reads as JSON, without white space.
    Json,
    /// Encrypted text that a model reads decrypted.
    Sealed,
    /// A block's type.
    Kind,
    SourceKind,
    /// The source's data, which counts when the whole block is known.
    Data,
    /// The same as a URL, which can contain the data.
    Url,
    /// A value that the model does not see.
    Unseen,
}

impl ValueRole {
    fn member(self, key: &str) -> Self {
        match self {
            Self::Request => match key {
                // An item of the Responses API counts like a block.
                "system" | "instructions" | "input" => Self::Content,
                "messages" => Self::Messages,
                "tools" => Self::Tools,
                "output_config" | "output_format" | "text" => Self::Json,
                _ => Self::Unseen,
            },
            Self::Messages if key == "content" => Self::Content,
            Self::Messages if key == "tool_calls" => Self::Tools,
            Self::Tools => match key {
                "name" | "description" | "arguments" => Self::Text,
                "input_schema" | "parameters" => Self::Json,
                // Of Chat Completions, and a namespace of the Responses API.
                "function" | "tools" => Self::Tools,
                // A grammar.
                "format" => Self::Json,
                _ => Self::Unseen,
            },
            Self::Content => Self::block_member(key),
            Self::Source => match key {
                "type" => Self::SourceKind,
                "data" => Self::Data,
                "url" => Self::Url,
                "content" => Self::Content,
                _ => Self::Unseen,
            },
            Self::Text | Self::Json => Self::Json,
            Self::Url if key == "url" => Self::Url,
            Self::Messages | Self::Sealed | Self::Kind | Self::SourceKind => Self::Unseen,
            Self::Data | Self::Url | Self::Unseen => Self::Unseen,
        }
    }

    /// Unknown members are text, so that new types of blocks count.
    fn block_member(key: &str) -> Self {
        match key {
            "type" => Self::Kind,
            "source" => Self::Source,
            "image_url" | "file_data" => Self::Url,
            "content" | "output" => Self::Content,
            "tools" => Self::Tools,
            "input" => Self::Json,
            "data" => Self::Sealed,
            "id" | "tool_use_id" | "signature" | "cache_control" | "citations" | "caller" | "is_error" => {
                Self::Unseen
            }
            "role" | "call_id" | "status" | "phase" | "summary" | "annotations" | "logprobs" | "detail" => {
                Self::Unseen
            }
            sealed if sealed.starts_with("encrypted_") => Self::Sealed,
            _ => Self::Text,
        }
    }
}

/// What must be known of a block before its source counts.
#[derive(Default)]
struct CountedBlock {
    kind: BlockKind,
    source: Option<SourceKind>,
    data: Option<Range<usize>>,
}

/// An open list or object.
#[derive(Clone, Copy)]
struct OpenValue {
    role: ValueRole,
    close: u8,
}

struct RequestWalk<'a> {
    reader: JsonReader<'a>,
    open: Vec<OpenValue>,
    /// Whether the innermost open container is still empty.
    empty: bool,
    blocks: Vec<CountedBlock>,
    shape: Shape,
    /// Tokens of everything other than text.
    tokens: u64,
    messages: Option<u8>,
}

/// Returns the input tokens of a body.
pub(super) fn tokens(body: &str) -> Result<u64, EstimateError> {
    let reader = JsonReader::new(body);
    if reader.peek() != Some(b'{') && request::is_complete_json(body.as_bytes()) {
        return Err(EstimateError::NotAnObject);
    }
    let mut walk = RequestWalk {
        reader,
        open: Vec::with_capacity(16),
        empty: true,
        blocks: Vec::new(),
        shape: Shape::default(),
        tokens: REQUEST,
        messages: None,
    };
    walk.run().map_err(|JsonSyntaxError { offset }| EstimateError::NotJson { offset })?;
    match walk.messages {
        None => Err(EstimateError::NoMessages),
        Some(b'[') => Ok(walk.tokens + walk.shape.tokens()),
        Some(_) => Err(EstimateError::MessagesNotAList),
    }
}

impl RequestWalk<'_> {
    fn run(&mut self) -> Result<(), JsonSyntaxError> {
        if self.reader.peek() != Some(b'{') {
            return self.reader.fail();
        }
        self.value(ValueRole::Request)?;
        while let Some(&open) = self.open.last() {
            self.reader.space();
            if self.reader.peek() == Some(open.close) {
                self.close(open);
                continue;
            }
            if !self.empty {
                self.punctuation(open.role, ',')?;
            }
            self.empty = false;
            let role = if open.close == b'}' { self.key(open.role)? } else { open.role };
            self.value(role)?;
        }
        self.reader.end()
    }

    /// Reads a key and returns the role of its value.
    fn key(&mut self, object: ValueRole) -> Result<ValueRole, JsonSyntaxError> {
        let role = if object == ValueRole::Json || object == ValueRole::Text {
            self.quoted()?;
            ValueRole::Json
        } else {
            let key = self.reader.skip_string()?;
            let start = key.start;
            let key = json::decode_text(self.reader.slice(key)).ok_or(JsonSyntaxError { offset: start })?;
            let role = object.member(&key);
            if object == ValueRole::Request && role == ValueRole::Messages {
                self.messages = self.reader.value_behind_colon();
            } else if object == ValueRole::Request && key == "input" {
                // A text, or items.
                self.messages = self.messages.or(Some(b'['));
            }
            role
        };
        self.reader.space();
        self.punctuation(object, ':')?;
        Ok(role)
    }

    /// Reads a comma or colon; inside JSON the model sees it.
    fn punctuation(&mut self, role: ValueRole, mark: char) -> Result<(), JsonSyntaxError> {
        self.reader.expect(mark as u8)?;
        self.reader.space();
        self.bracket(role, mark);
        Ok(())
    }

    fn bracket(&mut self, role: ValueRole, mark: char) {
        if matches!(role, ValueRole::Json | ValueRole::Text) {
            self.shape.push(mark);
        }
    }

    fn value(&mut self, role: ValueRole) -> Result<(), JsonSyntaxError> {
        match self.reader.peek() {
            Some(b'"') => self.string(role)?,
            Some(b'{') => self.enter(role, b'}'),
            Some(b'[') => self.enter(role, b']'),
            _ => self.scalar(role)?,
        }
        Ok(())
    }

    fn enter(&mut self, role: ValueRole, close: u8) {
        self.reader.pass();
        let is_object = close == b'}';
        let too_deep = is_object && role == ValueRole::Content && self.blocks.len() >= DEEPEST_BLOCK;
        let role = if too_deep { ValueRole::Json } else { role };
        if is_object {
            self.start(role);
        }
        self.bracket(role, if is_object { '{' } else { '[' });
        self.open.push(OpenValue { role, close });
        self.empty = true;
    }

    fn start(&mut self, object: ValueRole) {
        if object == ValueRole::Content {
            self.blocks.push(CountedBlock::default());
        } else if object == ValueRole::Messages {
            self.tokens += MESSAGE;
        } else if object == ValueRole::Tools {
            self.tokens += TOOL;
        }
    }

    fn close(&mut self, OpenValue { role, close }: OpenValue) {
        self.reader.pass();
        self.open.pop();
        self.empty = false;
        self.bracket(role, close.into());
        if role == ValueRole::Content && close == b'}' {
            let block = self.blocks.pop().unwrap_or_default();
            self.count(block);
        }
        if !self.open.last().is_some_and(|outer| matches!(outer.role, ValueRole::Json | ValueRole::Text)) {
            self.shape.end_text();
        }
    }

    fn count(&mut self, block: CountedBlock) {
        let data = block.data.map(|data| self.reader.slice(data));
        match block.kind {
            BlockKind::Image => {
                self.tokens += data.map_or(image::LARGEST, |data| image::tokens(data.as_bytes()))
            }
            BlockKind::Document => self.document(block.source, data),
            BlockKind::ToolUse => self.tokens += TOOL_USE,
            BlockKind::ToolResult => self.tokens += TOOL_RESULT,
            BlockKind::Message => self.tokens += MESSAGE,
            BlockKind::Other => {}
        }
    }

    fn document(&mut self, source: Option<SourceKind>, data: Option<&str>) {
        match (source, data) {
            (Some(SourceKind::Blocks), _) => {}
            (Some(SourceKind::Text), Some(text)) => {
                reader::decode(text, |character| self.shape.push(character));
                self.shape.end_text();
            }
            (_, Some(base64)) => self.tokens += (base64.len() as u64 / PDF_CHARACTERS).max(PAGE / 2),
            (_, None) => self.tokens += PAGE,
        }
    }

    fn string(&mut self, role: ValueRole) -> Result<(), JsonSyntaxError> {
        match role {
            ValueRole::Text | ValueRole::Content | ValueRole::Source if !self.inside_json() => {
                self.reader.string(|character| self.shape.push(character))?;
                self.shape.end_text();
            }
            ValueRole::Text | ValueRole::Content | ValueRole::Source | ValueRole::Json => self.quoted()?,
            ValueRole::Sealed => {
                let sealed = self.reader.skip_string()?;
                self.tokens += (sealed.len() as u64).div_ceil(SEALED_CHARACTERS);
            }
            ValueRole::Kind | ValueRole::SourceKind | ValueRole::Data | ValueRole::Url => {
                let value = self.reader.skip_string()?;
                self.record(role, value);
            }
            ValueRole::Request | ValueRole::Messages | ValueRole::Tools | ValueRole::Unseen => {
                self.reader.skip_string()?;
            }
        }
        Ok(())
    }

    /// Whether the list counts as JSON. A list of strings in a role for text does.
    fn inside_json(&self) -> bool {
        self.open.last().is_some_and(|open| matches!(open.role, ValueRole::Json | ValueRole::Text))
    }

    /// Reads a string that the model sees with its quotes.
    fn quoted(&mut self) -> Result<(), JsonSyntaxError> {
        self.shape.push('"');
        self.reader.string(|character| self.shape.push(character))?;
        self.shape.push('"');
        Ok(())
    }

    /// Records what a block's own strings determine.
    fn record(&mut self, role: ValueRole, value: Range<usize>) {
        let Some(block) = self.blocks.last_mut() else { return };
        let text = self.reader.slice(value.clone());
        if role == ValueRole::Kind {
            block.kind = kind(text);
        } else if role == ValueRole::SourceKind {
            block.source = Some(source_kind(text));
        } else if role == ValueRole::Url {
            let comma = text.find(',').filter(|_| text.starts_with("data:"));
            block.data = comma.map(|comma| value.start + comma + 1..value.end);
        } else {
            block.data = Some(value);
        }
    }

    fn scalar(&mut self, role: ValueRole) -> Result<(), JsonSyntaxError> {
        let scalar = self.reader.scalar()?;
        if matches!(role, ValueRole::Json | ValueRole::Text) {
            self.reader.slice(scalar).chars().for_each(|character| self.shape.push(character));
        }
        Ok(())
    }
}
