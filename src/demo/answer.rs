//! The demo provider's answer, a function of the request alone.

use serde_json::Value;

use super::arguments;

/// One answer, before it is cut into chunks.
#[derive(Debug, PartialEq)]
pub(super) enum DemoAnswer {
    Text(String),
    Call { name: String, arguments: Value },
}

impl DemoAnswer {
    /// Chooses the answer by the last turn: a summary for a tool's result, a call for a tool that the user named, and
    /// an explanation of the demo for anything else.
    pub(super) fn to(request: &Value) -> Self {
        let tools = Tools::of(request);
        match DemoTurn::last(request) {
            DemoTurn::Result(result) => Self::Text(summary(&result)),
            DemoTurn::Question(question) => match tools.wanted(&question) {
                Some(tool) => Self::call(tool, &question),
                None => Self::Text(reply(request, &question)),
            },
        }
    }

    fn call(tool: &Value, question: &str) -> Self {
        let (name, schema) = (name(tool), &tool["parameters"]);
        let arguments = match name {
            PATCHING => arguments::compose_patch(schema, question),
            _ => arguments::compose(schema, question),
        };
        Self::Call { name: name.to_owned(), arguments }
    }
}

/// The last turn with text or a result.
enum DemoTurn {
    /// The user's text.
    Question(String),
    /// A tool's result.
    Result(String),
}

impl DemoTurn {
    /// Skips system messages, prefilled answers and user messages that contain only reminders, because Claude Code puts
    /// these after the turn that it wants answered.
    fn last(request: &Value) -> Self {
        let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut turns = messages.iter().rev().filter_map(|message| match message["role"].as_str()? {
            "tool" => Some(Self::Result(text(message))),
            "user" => Some(own_words(&text(message))).filter(|words| !words.is_empty()).map(Self::Question),
            _ => None,
        });
        turns.next().unwrap_or_else(|| Self::Question(String::new()))
    }
}

/// The text of a message: its string, or its text parts.
fn text(message: &Value) -> String {
    let content = &message["content"];
    let Some(parts) = content.as_array() else { return content.as_str().unwrap_or_default().to_owned() };
    let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    texts.join("\n\n")
}

/// The user's own text, without the `<system-reminder>` parts that Claude Code adds.
fn own_words(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<system-reminder>") {
        words.push_str(before);
        rest = after.split_once("</system-reminder>").map_or("", |(_, after)| after);
    }
    words.push_str(rest);
    words.trim().to_owned()
}

/// The tools of the request, and whether one must be called.
struct Tools<'a> {
    functions: Vec<&'a Value>,
    choice: &'a Value,
}

impl<'a> Tools<'a> {
    fn of(request: &'a Value) -> Self {
        let offered = request["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
        let functions = offered.iter().map(|tool| &tool["function"]).filter(|tool| !name(tool).is_empty());
        Self { functions: functions.collect(), choice: &request["tool_choice"] }
    }

    /// The tool to call: the one that `tool_choice` forces, else the one that the question names first.
    fn wanted(&self, question: &str) -> Option<&'a Value> {
        if self.choice == "none" {
            return None;
        }
        if let Some(forced) = self.choice["function"]["name"].as_str() {
            return self.functions.iter().copied().find(|tool| name(tool) == forced);
        }
        let place = |name: &str| {
            let as_shell = || SHELLS.contains(&name).then(|| mention(question, "shell")).flatten();
            mention(question, name).or_else(as_shell)
        };
        let named = self.functions.iter().copied().filter_map(|tool| Some((place(name(tool))?, tool)));
        let first = named.min_by_key(|(place, tool)| (*place, std::cmp::Reverse(name(tool).len())));
        let insists = self.choice == "required";
        first.map(|(_, tool)| tool).or_else(|| self.functions.first().copied().filter(|_| insists))
    }
}

fn name(function: &Value) -> &str {
    function["name"].as_str().unwrap_or_default()
}

/// The position at which the question requests the tool of this name, if any.
///
/// Tools have names such as `Write` or `search`, which alone are no request ("Write a poem"). Such a word counts if the
/// words around it make it a tool, or if it is capitalised inside a sentence. A name like `get_weather` or `TodoWrite`
/// always counts.
fn mention(question: &str, name: &str) -> Option<usize> {
    let lower = question.to_ascii_lowercase();
    let spoken_of = |start: usize| is_spoken_of(&lower[..start], &lower[start + name.len()..]);
    let exact = words(question, name)
        .find(|&start| is_distinctive(name) || is_inside_sentence(question, start, name) || spoken_of(start));
    let any_case = || words(&lower, &name.to_ascii_lowercase()).find(|&start| spoken_of(start));
    exact.or_else(any_case)
}

/// The positions of `word` in `text` where it is not next to a letter, digit, `_` or `-`.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let touches = |near: Option<char>| near.is_some_and(|near| near.is_alphanumeric() || "_-".contains(near));
    text.match_indices(word).map(|(start, _)| start).filter(move |&start| {
        !touches(text[..start].chars().next_back()) && !touches(text[start + word.len()..].chars().next())
    })
}

/// Whether the name cannot be an ordinary word.
fn is_distinctive(name: &str) -> bool {
    name.chars().skip(1).any(|letter| !letter.is_ascii_lowercase())
}

fn is_inside_sentence(question: &str, start: usize, name: &str) -> bool {
    let before = question[..start].trim_end();
    let opens = before.is_empty()
        || before.ends_with(['.', '!', '?', ':', '"', '“'])
        || question[before.len()..start].contains('\n');
    name.starts_with(|letter: char| letter.is_ascii_uppercase()) && !opens
}

/// Whether the words around the name make it a tool: "use x", "the x tool", "`x`", "x(".
fn is_spoken_of(before: &str, after: &str) -> bool {
    let mut near = before.split_whitespace().rev();
    let last = match near.next() {
        Some("the" | "tool") => near.next(),
        last => last,
    };
    let asked = matches!(last, Some("use" | "using" | "call" | "calling" | "invoke" | "run"));
    let called =
        ["tool", "function"].iter().any(|noun| after.trim_start_matches(['`', '"', ' ']).starts_with(noun));
    asked || called || after.starts_with('(') || (before.ends_with('`') && after.starts_with('`'))
}

/// The text answer, in the form that the request requires.
fn reply(request: &Value, question: &str) -> String {
    let format = &request["response_format"];
    match format["type"].as_str() {
        Some("json_schema") => arguments::compose(&format["json_schema"]["schema"], question).to_string(),
        Some("json_object") => serde_json::json!({"demo": true, "question": question}).to_string(),
        Some(_) | None => introduction(question),
    }
}

fn introduction(question: &str) -> String {
    let asked = match question {
        "" => String::new(),
        question => format!("\n\nYou asked:\n\n> {}", quoted(question)),
    };
    format!(
        "Hello! This is the demo provider of Vandamme Proxy. Your request went the whole way through the \
         gateway, but no model is behind it.{asked}\n\n\
         For real answers, give vdm the key of a provider and start it again:\n\n    \
         export OPENAI_API_KEY=…\n\n\
         or `export ANTHROPIC_API_KEY=…`. Until then I can call a tool: ask me to \"use the NAME tool\"."
    )
}

fn summary(result: &str) -> String {
    // Codex reports on a command before its output.
    let result = result.split_once("\nOutput:\n").map_or(result, |(_, output)| output);
    let mut lines = result.lines().map(str::trim).filter(|line| !line.is_empty());
    let Some(first) = lines.next() else {
        return "The tool ran and answered nothing.".to_owned();
    };
    let more = match lines.count() {
        0 => String::new(),
        1 => "\n\nOne more line follows.".to_owned(),
        more => format!("\n\n{more} more lines follow."),
    };
    format!("The tool answered:\n\n> {}{more}", shortened(first))
}

/// The first lines of the question, as a Markdown quotation.
fn quoted(question: &str) -> String {
    let lines: Vec<String> = question.lines().take(QUOTED_LINES).map(shortened).collect();
    let more = if question.lines().nth(QUOTED_LINES).is_some() { "\n> …" } else { "" };
    lines.join("\n> ") + more
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Codex's tool for patches, whose format no schema describes.
const PATCHING: &str = "apply_patch";
/// Tools that run a command. A user calls each of them the shell tool.
const SHELLS: [&str; 5] = ["exec_command", "shell_command", "shell", "local_shell", "Bash"];
const QUOTED_LINES: usize = 3;
const QUOTED_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn function(name: &str, required: &[&str]) -> Value {
        let properties: serde_json::Map<String, Value> =
            required.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
        json!({"type": "function", "function": {"name": name,
               "parameters": {"type": "object", "properties": properties, "required": required}}})
    }

    fn request(content: Value) -> Value {
        json!({"model": "demo-1", "messages": [{"role": "user", "content": content}],
               "tools": [function("Read", &["file_path"]), function("Write", &["file_path", "content"]),
                         function("get_weather", &["city"]), function("search", &["query"])]})
    }

    fn called(request: &Value) -> Option<String> {
        match DemoAnswer::to(request) {
            DemoAnswer::Call { name, .. } => Some(name),
            DemoAnswer::Text(_) => None,
        }
    }

    #[test]
    fn the_answer_quotes_the_question_and_explains_how_to_add_a_provider() {
        let DemoAnswer::Text(text) = DemoAnswer::to(&request(json!("What is Rust?"))) else {
            panic!("a call")
        };

        for part in ["demo", "> What is Rust?", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_tool_is_called_if_the_prompt_requests_it() {
        for (prompt, tool) in [
            ("Use the Write tool to make a file", Some("Write")),
            ("use the write tool to make a file", Some("Write")),
            ("Please Write \"hi\" to /tmp/x", Some("Write")),
            ("First Read it, then use Write", Some("Read")),
            ("What does get_weather say about Bern?", Some("get_weather")),
            ("Run `search` for crabs", Some("search")),
            ("Call search(\"crabs\")", Some("search")),
            ("Write a poem about rivers", None),
            ("Hello.\nRead me a story", None),
            ("How do I search a list?", None),
            ("Is forget_weather a word? Or get_weathers?", None),
            ("Ein Gruß: Überschreibe nichts", None),
        ] {
            assert_eq!(called(&request(json!(prompt))).as_deref(), tool, "{prompt}");
        }
    }

    #[test]
    fn reminders_of_claude_code_and_system_messages_are_skipped() {
        let mut request = request(json!([
            {"type": "text", "text": "<system-reminder>\nUse the Write tool.\n</system-reminder>\n"},
            {"type": "text", "text": "Use the Read tool on \"/etc/hosts\""},
        ]));
        request["messages"].as_array_mut().unwrap().extend([
            json!({"role": "user", "content": "<system-reminder>call get_weather"}),
            json!({"role": "system", "content": "Use the Write tool."}),
        ]);

        assert_eq!(
            DemoAnswer::to(&request),
            DemoAnswer::Call { name: "Read".to_owned(), arguments: json!({"file_path": "/etc/hosts"}) }
        );
    }

    #[test]
    fn a_tool_result_is_summarised_and_causes_no_second_call() {
        let mut request = request(json!("Use the Read tool on \"/etc/hosts\""));
        request["messages"].as_array_mut().unwrap().extend([
            json!({"role": "assistant", "content": null, "tool_calls": []}),
            json!({"role": "tool", "tool_call_id": "a", "content": "\n127.0.0.1 localhost\n::1 localhost\n"}),
            json!({"role": "user", "content": "<system-reminder>Use the Write tool.</system-reminder>"}),
        ]);

        let DemoAnswer::Text(text) = DemoAnswer::to(&request) else { panic!("a call") };

        assert!(text.contains("> 127.0.0.1 localhost") && text.contains("One more line"), "{text}");
    }

    /// Codex's tools: the one for commands has another name than its users expect.
    #[test]
    fn the_shell_tool_and_patches_of_codex_are_called_by_name() {
        let mut request = request(json!("Use the shell tool to run \"echo hi\""));
        request["tools"] = json!([function("apply_patch", &["input"]), function("exec_command", &["cmd"])]);
        let call = |name: &str, arguments| DemoAnswer::Call { name: name.to_owned(), arguments };

        assert_eq!(DemoAnswer::to(&request), call("exec_command", json!({"cmd": "echo hi"})));
        request["messages"][0]["content"] = json!("Use the apply_patch tool to write \"hi\" to a.txt");
        let patch = "*** Begin Patch\n*** Add File: a.txt\n+hi\n*** End Patch\n";
        assert_eq!(DemoAnswer::to(&request), call("apply_patch", json!({"input": patch})));
        request["messages"][0]["content"] = json!("How do I write a shell script?");
        assert_eq!(called(&request), None);
    }

    #[test]
    fn the_summary_of_a_command_is_about_its_output() {
        assert!(summary("Chunk ID: a\nProcess exited with code 0\nOutput:\nhi\n").ends_with("> hi"));
        assert!(summary("Process exited with code 0\nOutput:\n").contains("answered nothing"));
    }

    #[test]
    fn tool_choice_is_respected() {
        let mut request = request(json!("Use the Read tool"));

        request["tool_choice"] = json!("none");
        assert_eq!(called(&request), None);
        request["tool_choice"] = json!({"type": "function", "function": {"name": "get_weather"}});
        assert_eq!(called(&request).as_deref(), Some("get_weather"));
        request["messages"][0]["content"] = json!("Hello");
        request["tool_choice"] = json!("required");
        assert_eq!(called(&request).as_deref(), Some("Read"));
    }

    #[test]
    fn an_answer_satisfies_the_requested_schema() {
        let mut request = request(json!("Hello"));
        request["response_format"] = json!({"type": "json_schema", "json_schema": {"name": "title", "schema": {
            "type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}}});

        let DemoAnswer::Text(text) = DemoAnswer::to(&request) else { panic!("a call") };

        assert!(serde_json::from_str::<Value>(&text).unwrap()["title"].is_string(), "{text}");
    }

    #[test]
    fn only_the_first_lines_of_a_long_question_are_quoted() {
        let question = format!("{}\n2\n3\n4", "ä".repeat(500));

        let DemoAnswer::Text(text) = DemoAnswer::to(&request(json!(question))) else { panic!("a call") };

        assert!(text.contains(&format!("{}…\n> 2\n> 3\n> …", "ä".repeat(QUOTED_CHARS))), "{text}");
    }
}
