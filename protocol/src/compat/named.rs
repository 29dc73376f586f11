//! Maps the name in a refusal to the member that can be removed. Vendors count array elements, name the variant they
//! tried, and write brackets, dots or slashes. Many members must never be removed.

use super::Fixup;

/// The longest name, in bytes.
pub(super) const LONGEST: usize = 64;
const DEEPEST: usize = 6;

/// Members that hold the conversation. They are never removed, whatever the upstream refuses.
const CONVERSATION: [&str; 8] = [
    "messages",
    "contents",
    "content",
    "prompt",
    "input",
    "instructions",
    "previous_response_id",
    "conversation",
];
/// Members without which a request has another meaning.
const REQUIRED: [&str; 8] =
    ["model", "stream", "tools", "system", "functions", "max_tokens", "max_completion_tokens", "schema"];
/// Members without which a tool is invalid.
const REQUIRED_IN_TOOLS: [&str; 6] = ["name", "type", "function", "parameters", "input_schema", "custom"];
/// Keywords without which a schema has another meaning.
const REQUIRED_IN_SCHEMAS: [&str; 3] = ["type", "properties", "items"];
/// Names of the variant that the upstream tried, between a container and its member.
const VARIANTS: [&str; 10] =
    ["custom", "function", "ephemeral", "enabled", "disabled", "adaptive", "auto", "any", "tool", "none"];
/// Members whose value is a schema.
const SCHEMAS: [&str; 3] = ["parameters", "input_schema", "schema"];

/// Returns the fixup that removes the member at the path `text`.
pub(super) fn param(text: &str) -> Option<Fixup> {
    let steps = steps(text);
    let steps = match steps.split_first() {
        Some((PathStep { name: "body" | "GenerateContentRequest", .. }, inside)) => inside,
        Some(_) | None => &steps,
    };
    let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
    let names = names.as_slice();
    if names.is_empty() || !names.iter().all(|name| is_name(name)) {
        return None;
    }
    let container = names.iter().position(|name| SCHEMAS.contains(name));
    match (container, names) {
        (Some(at), [.., keyword]) if at + 1 < names.len() && holds_schemas(names) => {
            (!REQUIRED_IN_SCHEMAS.contains(keyword)).then(|| Fixup::Keyword((*keyword).into()))
        }
        _ => member(steps),
    }
}

/// Returns the path of a member that is only read. The path leads through objects only.
pub(super) fn path(text: &str) -> Option<Box<str>> {
    let names: Vec<_> = text.split('.').collect();
    let is_path = names.len() <= DEEPEST && names.iter().all(|name| !name.is_empty() && is_name(name));
    is_path.then(|| text.into())
}

/// Whether a member can be set: its path leads through objects only.
pub(super) fn can_be_set(path: &str) -> bool {
    let first = path.split('.').next().unwrap_or_default();
    !["tools", "system", "functions"].contains(&first)
}

/// One name of a path, and what precedes it.
struct PathStep<'t> {
    name: &'t str,
    before: StepPrefix,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StepPrefix {
    Name,
    /// The index of a list element.
    Index,
}

fn steps(text: &str) -> Vec<PathStep<'_>> {
    let mut steps = vec![];
    let mut before = StepPrefix::Name;
    for name in text.split(['.', '[', ']', '/', '#', ' ']).map(|name| name.trim_matches(['\'', '"'])) {
        match name {
            "" | "*" => {}
            index if index.bytes().all(|byte| byte.is_ascii_digit()) => before = StepPrefix::Index,
            name => {
                steps.push(PathStep { name, before });
                before = StepPrefix::Name;
            }
        }
    }
    steps
}

fn member(steps: &[PathStep<'_>]) -> Option<Fixup> {
    let (PathStep { name: first, .. }, rest) = steps.split_first()?;
    let (last, way) = rest.split_last().map_or((None, rest), |(last, way)| (Some(last.name), way));
    // Each type of tool is a variant, and there are many: the name after a tool's index is one.
    let is_kind = |PathStep { name, before }: &PathStep<'_>| {
        *first == "tools" && *before == StepPrefix::Index && *name != "cache_control"
    };
    let stays = |step: &&PathStep<'_>| !VARIANTS.contains(&step.name) && !is_kind(step);
    let way = way.iter().filter(stays).map(|step| step.name);
    let path: Vec<&str> = std::iter::once(*first).chain(way).chain(last).collect();
    let can_be_removed = match path[..] {
        [.., last] if SCHEMAS.contains(&last) => false,
        [only] => !CONVERSATION.contains(&only) && !REQUIRED.contains(&only),
        ["tools", member] => !REQUIRED_IN_TOOLS.contains(&member),
        ["system", inside, ..] => inside == "cache_control",
        [first, ..] => !CONVERSATION.contains(&first),
        [] => false,
    };
    (can_be_removed && path.len() <= DEEPEST).then(|| Fixup::Param(path.join(".").into()))
}

/// `schema` alone covers all of them.
fn holds_schemas(names: &[&str]) -> bool {
    matches!(
        names.first(),
        Some(&("tools" | "response_format" | "output_format" | "output_config" | "text" | "schema"))
    )
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-$".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_variants_and_punctuation_are_removed_from_a_name() {
        for (text, path) in [
            ("temperature", "temperature"),
            ("body.temperature", "temperature"),
            ("tools[0].function.strict", "tools.strict"),
            ("tools.3.custom.defer_loading", "tools.defer_loading"),
            ("tools.0.bash_20250124.defer_loading", "tools.defer_loading"),
            ("#/tools/0/strict", "tools.strict"),
            ("system.1.cache_control.ephemeral.scope", "system.cache_control.scope"),
            ("tools.1.cache_control.scope", "tools.cache_control.scope"),
            ("tools.1.custom.cache_control.ephemeral.scope", "tools.cache_control.scope"),
            ("thinking.enabled.display", "thinking.display"),
            ("output_config.effort", "output_config.effort"),
            ("reasoning.effort", "reasoning.effort"),
            ("text.verbosity", "text.verbosity"),
            ("tool_choice.auto.disable_parallel_tool_use", "tool_choice.disable_parallel_tool_use"),
        ] {
            assert_eq!(param(text), Some(Fixup::Param(path.into())), "{text}");
        }
    }

    #[test]
    fn a_name_inside_a_schema_is_a_keyword() {
        for text in [
            "schema.$ref",
            "tools[0].function.parameters.properties.x.$ref",
            "tools.0.custom.input_schema.properties.a.items.$ref",
            "tools[0].function_declarations[3].parameters.$ref",
            "response_format.json_schema.schema.$ref",
            "text.format.schema.properties.x.$ref",
        ] {
            assert_eq!(param(text), Some(Fixup::Keyword("$ref".into())), "{text}");
        }
    }

    #[test]
    fn required_members_are_never_removed() {
        for text in [
            "",
            ".",
            "0",
            "model",
            "messages",
            "messages.0",
            "messages[0].content[1].cache_control",
            "stream",
            "max_tokens",
            "max_completion_tokens",
            "tools",
            "tools.0",
            "tools[0].function",
            "tools.0.name",
            "tools.0.custom.input_schema",
            "tools.0.type",
            "system",
            "system.0.text",
            "input",
            "input[3].encrypted_content",
            "instructions",
            "previous_response_id",
            "conversation",
            "prompt",
            "schema",
            "tools.0.input_schema.type",
            "schema.properties",
            "contents.0.parts",
            "a b\u{e9}",
            "a\"b",
            "a,b",
            "one.two.three.four.five.six.seven",
        ] {
            assert_eq!(param(text), None, "{text}");
        }
    }
}
