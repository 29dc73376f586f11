//! Where the parts of a prompt are in a request.

use std::ops::Range;

/// The values of the top-level members that make up a prompt.
#[derive(Clone, Debug, Default)]
pub(super) struct PromptSpans {
    pub(super) system: Option<Range<usize>>,
    pub(super) tools: Option<Range<usize>>,
    pub(super) messages: Option<Range<usize>>,
}

/// The same while the request is scanned.
#[derive(Debug, Default)]
pub(super) struct FoundSpans {
    spans: PromptSpans,
    found: u32,
}

impl FoundSpans {
    /// Notes the value of a member, whatever its name.
    pub(super) fn note(&mut self, key: &str, value: &Range<usize>) {
        let span = match key {
            "system" | "instructions" => &mut self.spans.system,
            "tools" => &mut self.spans.tools,
            "messages" | "input" => &mut self.spans.messages,
            _ => return,
        };
        *span = Some(value.clone());
        self.found += 1;
    }

    /// `None` if a name occurs twice, or for a request without a body.
    pub(super) fn unambiguous(&self) -> Option<PromptSpans> {
        let PromptSpans { system, tools, messages } = &self.spans;
        let names = [system, tools, messages].into_iter().flatten().count();
        (names > 0 && self.found == names as u32).then(|| self.spans.clone())
    }
}
