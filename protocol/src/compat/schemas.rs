//! Recognises refusals of JSON schemas: an unsupported keyword, or a required form of a tool's schema.

/// Nouns in front of a list of names that a verdict follows.
const NOUNS: [&str; 6] = ["properties ", "property ", "keywords ", "keyword ", "attributes ", "attribute "];
const VERDICTS: [&str; 8] = [
    " are not supported",
    " is not supported",
    " not supported",
    " are not permitted",
    " is not permitted",
    " are not allowed",
    " is not allowed",
    " values other than",
];
/// Keywords for alternatives, as OpenAI's and Anthropic's refusals name them.
const ALTERNATIVES: [&str; 4] = ["oneof", "anyof", "allof", "'not'"];
const OBJECTS: [&str; 6] = [
    "type 'object'",
    "type: 'object'",
    "of type object",
    "type must be 'object'",
    "type must be object",
    "input should be 'object'",
];
/// The longest list of names in front of a verdict in bytes, and the most names in it.
const LONGEST: usize = 240;
const MOST: usize = 8;

/// Whether a text (lower case, all quotes alike) is about the form of a tool's schema.
pub(super) fn is_unfit(lower: &str) -> bool {
    let says = |words: &&str| lower.contains(*words);
    if !lower.contains("schema") {
        return false;
    }
    lower.contains("missing properties")
        || lower.contains("missing items")
        || (lower.contains("top level") && ALTERNATIVES.iter().any(says))
        || OBJECTS.iter().any(says)
        || lower.contains("input_schema.type: field required")
        || lower.contains("type must be one of the following: object")
}

/// Returns the refused keywords that a text names.
pub(super) fn keywords(text: &str, lower: &str) -> Vec<String> {
    if !lower.contains("schema") && !lower.contains("' type, ") {
        return vec![];
    }
    let mut found = vec![];
    for noun in NOUNS {
        for (at, _) in lower.match_indices(noun) {
            let start = at + noun.len();
            found.extend(names(&text[start..], &lower[start..]));
        }
    }
    // `For 'array' type, 'minItems' values other than 0 or 1 are not supported`.
    for (at, _) in lower.match_indices(" values other than") {
        let name = text[..at].trim_end_matches('\'');
        found.extend(name.rsplit(|c: char| !is_keyword_char(c)).next().map(str::to_owned));
    }
    let refuses = |words: &[&str]| words.iter().any(|words| lower.contains(words));
    if lower.contains("regex") && refuses(&["invalid", "not a", "not supported", "unsupported", "error"]) {
        found.push("pattern".to_owned());
    }
    if lower.contains("'string' type, format") && refuses(&["not supported", "unsupported"]) {
        found.push("format".to_owned());
    }
    found.retain(|name| !name.is_empty());
    found.dedup();
    if found.len() > MOST { vec![] } else { found }
}

/// Returns the names in front of the next verdict, or nothing if other words precede it.
fn names(text: &str, lower: &str) -> Vec<String> {
    let Some(end) = VERDICTS.iter().filter_map(|verdict| lower.find(verdict)).min() else { return vec![] };
    if end > LONGEST {
        return vec![];
    }
    let list = text[..end].replace(" and ", ",").replace(" or ", ",");
    let words: Vec<_> =
        list.split(',').map(|word| word.trim_matches([' ', '\''])).filter(|word| !word.is_empty()).collect();
    if words.iter().all(|word| word.chars().all(is_keyword_char)) {
        words.into_iter().map(str::to_owned).collect()
    } else {
        vec![]
    }
}

fn is_keyword_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keywords_that_are_not_supported_are_found() {
        for (text, expected) in [
            (
                "output_config.format.schema: For 'integer' type, properties maximum, minimum are not supported",
                "maximum minimum",
            ),
            ("output_format.schema: For 'integer' type, property 'minimum' is not supported", "minimum"),
            (
                "tools.0.custom: For 'array' type, 'minItems' values other than 0 or 1 are not supported",
                "minItems",
            ),
            (
                "For 'string' type, properties minLength and maxLength are not supported",
                "minLength maxLength",
            ),
            ("For 'string' type, format 'uri-reference' is not supported", "format"),
            ("Invalid schema for function 'f': '^(?!a)' is not a 'regex'.", "pattern"),
            ("Invalid JSON schema: keyword '$dynamicRef' is not supported", "$dynamicRef"),
            ("The property 'temperature' is not supported", ""),
            ("Invalid schema: the property of a kind that nobody knows is not supported", ""),
            ("", ""),
        ] {
            assert_eq!(keywords(text, &text.to_ascii_lowercase()).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn the_forms_that_a_tool_must_have_are_known() {
        for text in [
            "Invalid schema for function 'f': In context=(), object schema missing properties.",
            "Invalid schema for function 'f': In context=('properties', 'a'), array schema missing items.",
            "Invalid schema for function 'f': schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.",
            "Invalid schema for function 'f': schema must be a JSON Schema of 'type: 'object'', got 'type: null'.",
            "tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level",
            "tools.0.custom.input_schema.type: Field required",
            "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.",
        ] {
            assert!(is_unfit(&text.to_ascii_lowercase()), "{text}");
        }
        for text in
            ["Invalid schema for function 'f': 'propertyNames' is not permitted.", "type 'object'", ""]
        {
            assert!(!is_unfit(&text.to_ascii_lowercase()), "{text}");
        }
    }
}
