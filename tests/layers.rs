//! Tests the architecture: which module may use which, the names of files, and that the paths in ARCHITECTURE.md
//! exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::DocumentMut;

#[path = "layers/circles.rs"]
mod circles;

/// File names without a meaning, which collect unrelated code.
const NAMES_OF_NOTHING: [&str; 6] = ["util", "helper", "common", "misc", "manager", "mod.rs"];
const LONGEST_FILE: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below these directories, relative to the top.
fn rust_files(directories: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = directories.iter().map(|name| root().join(name)).collect();
    while let Some(directory) = waiting.pop() {
        let entries =
            fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for entry in entries {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                // A fuzz crate has its own build directory.
                if path.file_name().is_none_or(|name| name != "target") {
                    waiting.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no files in {directories:?}");
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The crates that a manifest names in any section.
fn dependencies(manifest: &str) -> Vec<String> {
    let document: DocumentMut = read(&root().join(manifest)).parse().expect("cargo read it too");
    ["dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| document.get(section)?.as_table_like())
        .flat_map(|table| table.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn no_file_has_a_meaningless_name() {
    for path in rust_files(&["src", "actors", "protocol", "tests", "benches"]) {
        let relative = path.strip_prefix(root()).expect("below the top");
        for part in relative.iter().map(|part| part.to_string_lossy()) {
            assert!(!NAMES_OF_NOTHING.iter().any(|name| part.starts_with(name)), "{}", relative.display());
        }
    }
}

#[test]
fn every_file_begins_with_a_doc_comment() {
    for path in rust_files(&["src", "actors", "protocol", "tests", "benches"]) {
        assert!(read(&path).starts_with("//!"), "{} does not begin with //!", path.display());
    }
}

#[test]
fn no_file_exceeds_its_maximum_length() {
    let sources = rust_files(&["src", "actors/src", "protocol/src", "benches"]);
    for path in sources.iter().filter(|path| !path.ends_with("tests.rs")) {
        let code = read(path).lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
        assert!(code <= LONGEST_FILE, "{}: {code} lines before its tests", path.display());
    }
}

#[test]
fn the_protocol_crate_depends_on_no_runtime() {
    let allowed = dependencies("protocol/Cargo.toml");
    for stranger in
        ["tokio", "actix", "awc", "log", "env_logger", "futures", "rustls", "vandamme", "fastrand"]
    {
        assert!(
            !allowed.iter().any(|name| name.starts_with(stranger)),
            "protocol depends on {stranger}: {allowed:?}"
        );
    }
}

#[test]
fn the_protocol_crate_uses_no_clock_no_socket_and_no_file() {
    for path in rust_files(&["protocol/src"]) {
        for (number, line) in read(&path).lines().enumerate() {
            for outside in
                ["std::time", "std::net", "std::fs", "std::env", "std::process", "std::thread", "std::io"]
            {
                // Decoders use these traits on memory. They do no I/O by themselves.
                let is_trait = matches!(line, "use std::io::Read as _;" | "use std::io::Write as _;");
                assert!(is_trait || !line.contains(outside), "{}:{}: {outside}", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn the_actors_crate_does_not_use_the_edge() {
    let known = dependencies("actors/Cargo.toml");
    for edge in ["vandamme-proxy", "actix-web", "clap", "config", "env_logger", "dotenvy"] {
        assert!(!known.contains(&edge.to_owned()), "actors depends on {edge}");
    }
    assert!(known.contains(&"vandamme-protocol".to_owned()));
}

#[test]
fn only_the_gateway_module_starts_actors() {
    for path in rust_files(&["src"]) {
        let has_assembly = code(&read(&path)).contains("start_tree(");
        assert_eq!(has_assembly, path.ends_with("src/gateway.rs"), "{}", path.display());
    }
}

/// A module and the modules that it must not use, as paths below a crate's source directory.
struct Never {
    from: &'static str,
    to: &'static [&'static str],
}

/// The direction inside a crate.
struct Direction {
    /// The crate's source directory.
    sources: &'static str,
    nevers: &'static [Never],
}

const DIRECTIONS: [Direction; 3] = [
    Direction {
        sources: "protocol/src",
        nevers: &[
            Never { from: "anthropic", to: &["convert", "compat", "gemini", "middleware"] },
            Never { from: "openai", to: &["convert", "compat", "gemini", "middleware"] },
            Never { from: "json", to: &["anthropic", "openai", "convert", "compat", "request"] },
            Never { from: "sse", to: &["anthropic", "openai", "convert", "compat", "request"] },
            Never { from: "request", to: &["anthropic", "openai", "convert", "compat"] },
            Never { from: "fault", to: &["anthropic", "openai", "convert", "compat"] },
            Never { from: "compat", to: &["convert"] },
            Never { from: "gemini", to: &["convert", "compat"] },
        ],
    },
    Direction {
        sources: "actors/src",
        nevers: &[
            Never { from: "settings", to: &["routing", "router", "provider", "registry", "supervisor"] },
            Never { from: "secret", to: &["settings", "provider", "registry", "supervisor"] },
            Never { from: "snapshot", to: &["settings", "provider", "registry", "supervisor"] },
            Never { from: "outcome", to: &["provider", "retry", "registry", "supervisor"] },
            Never { from: "retry", to: &["provider", "registry", "supervisor"] },
            Never { from: "routing", to: &["router", "provider", "catalog", "registry", "supervisor"] },
            Never { from: "provider", to: &["routing", "router", "registry", "supervisor"] },
            Never { from: "catalog", to: &["router", "provider", "registry", "supervisor"] },
            Never { from: "ledger", to: &["history", "recorder", "registry", "supervisor"] },
            Never { from: "history", to: &["recorder", "registry", "supervisor"] },
            Never { from: "signatures", to: &["registry", "supervisor"] },
            Never { from: "registry", to: &["router", "recorder", "converter", "supervisor"] },
            Never { from: "router", to: &["supervisor"] },
            Never { from: "recorder", to: &["converter", "supervisor"] },
            Never { from: "converter", to: &["router", "supervisor"] },
        ],
    },
    Direction {
        sources: "src",
        nevers: &[
            Never { from: "config", to: &["gateway", "proxy", "models", "probe", "api", "cli", "serve"] },
            Never {
                from: "gateway",
                to: &["proxy", "models", "metrics", "otlp", "probe", "dashboard", "api", "cli", "serve"],
            },
            Never {
                from: "otlp",
                to: &["proxy", "models", "metrics", "probe", "dashboard", "api", "cli", "serve"],
            },
            Never { from: "metrics", to: &["proxy", "models", "probe", "dashboard", "api", "cli", "serve"] },
            Never { from: "proxy", to: &["models", "probe", "dashboard", "api", "cli", "serve"] },
            Never { from: "models", to: &["probe", "api", "cli", "serve"] },
            Never { from: "probe", to: &["api", "cli", "serve"] },
            Never { from: "api", to: &["cli", "serve"] },
            Never { from: "serve", to: &["cli"] },
            Never { from: "cli", to: &["api", "dashboard"] },
            Never { from: "dashboard", to: &["api", "cli", "serve", "master"] },
            Never { from: "views", to: &["proxy", "probe", "dashboard", "api", "cli", "serve", "master"] },
            Never { from: "live", to: &["config", "gateway", "proxy", "dashboard", "api", "cli", "serve"] },
            Never { from: "login", to: &["config", "gateway", "proxy", "dashboard", "api", "cli", "serve"] },
            Never { from: "usage_report", to: &["gateway", "proxy", "api", "cli", "serve"] },
            Never { from: "telemetry", to: &["cli", "api", "proxy", "gateway"] },
            Never { from: "demo", to: &["config", "gateway", "proxy", "api", "cli", "serve"] },
            Never { from: "process", to: &["gateway", "proxy", "api", "cli", "serve", "master"] },
            Never {
                from: "master",
                to: &["config", "gateway", "proxy", "models", "probe", "api", "cli", "serve"],
            },
            Never { from: "serve", to: &["master"] },
            Never { from: "failure", to: &["gateway", "proxy", "models", "probe", "api", "cli", "serve"] },
            Never { from: "caller", to: &["gateway", "proxy", "models", "probe", "api", "cli", "serve"] },
            Never {
                from: "top",
                to: &["gateway", "proxy", "models", "probe", "api", "cli", "serve", "dashboard"],
            },
            Never {
                from: "single_flight",
                to: &["failure", "gateway", "proxy", "models", "api", "cli", "serve"],
            },
        ],
    },
];

/// The module of a source file: `proxy/run.rs` is `proxy::run`.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs");
    path.split('/').filter(|part| !matches!(*part, "lib" | "main")).map(str::to_owned).collect()
}

/// The code of a source file without comments and without its tests. Lines keep their numbers.
fn code(text: &str) -> String {
    let mut bare = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("#[cfg(test)]") {
            // A module in its own file is one line. A module in this file is the rest of it.
            if lines.next_if(|next| next.ends_with(';')).is_none() {
                break;
            }
            bare.extend(["", ""]);
            continue;
        }
        bare.push(match line.find("//") {
            Some(at) if !line[..at].ends_with(':') => &line[..at],
            Some(_) | None => line,
        });
    }
    bare.join("\n")
}

/// The source files of a crate without tests, relative to its source directory, with their text.
fn sources_of(directory: &str) -> Vec<(String, String)> {
    let files: Vec<(String, String)> = rust_files(&[directory])
        .iter()
        .map(|path| {
            let file = path.strip_prefix(root().join(directory)).expect("below it");
            (file.to_string_lossy().into_owned(), read(path))
        })
        .collect();
    let tests: Vec<String> = files.iter().flat_map(|(file, text)| test_modules(file, text)).collect();
    let is_test = |file: &str| {
        tests.iter().any(|test| file == format!("{test}.rs") || file.starts_with(&format!("{test}/")))
    };
    files.into_iter().filter(|(file, _)| !is_test(file)).collect()
}

/// The modules that a file declares only for tests, as paths without `.rs`.
fn test_modules(file: &str, text: &str) -> Vec<String> {
    let directory = match file.trim_end_matches(".rs") {
        "lib" | "main" => String::new(),
        module => format!("{module}/"),
    };
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
    let names = pairs.filter_map(|pair| pair[1].split_once("mod ")?.1.strip_suffix(';'));
    names.map(|name| format!("{directory}{name}")).collect()
}

/// The modules of a crate, each with those that it uses.
fn module_uses(directory: &str) -> BTreeMap<String, BTreeSet<String>> {
    let sources = sources_of(directory);
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, _) in &sources {
        uses.entry(module_of(file).first().cloned().unwrap_or_default()).or_default();
    }
    let modules: Vec<String> = uses.keys().cloned().collect();
    for (file, text) in &sources {
        let Some(module) = module_of(file).first().cloned() else { continue };
        let used = paths_in(file, text).into_iter().filter_map(|(_, path)| path.into_iter().next());
        let used = used.filter(|used| *used != module && modules.contains(used));
        uses.entry(module.clone()).or_default().extend(used);
    }
    uses
}

/// The modules that use one another in a cycle.
fn circle(mut uses: BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    loop {
        let is_used = |name: &String| uses.values().any(|used| used.contains(name));
        let settled: Vec<String> = uses
            .iter()
            .filter(|(name, used)| !is_used(name) || used.iter().all(|name| !uses.contains_key(name)))
            .map(|(name, _)| name.clone())
            .collect();
        if settled.is_empty() {
            return uses.into_keys().collect();
        }
        settled.iter().for_each(|name| drop(uses.remove(name)));
    }
}

/// Every path of this crate in a file's code, with its line: those of `use` lines and those in expressions.
fn paths_in(file: &str, text: &str) -> Vec<(usize, Vec<String>)> {
    let (module, code) = (module_of(file), code(text));
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || "_:$".contains(c)) {
                continue;
            }
            let (mut rest, mut path) = (&code[at..], module.clone());
            if let Some(absolute) = rest.strip_prefix("crate::") {
                (rest, path) = (absolute, vec![]);
            }
            while let Some(above) = rest.strip_prefix("super::") {
                path.pop();
                rest = above;
            }
            let mut leaves = Vec::new();
            read_tree(rest, &path, &mut leaves);
            let line = code[..at].lines().count().max(1);
            found.extend(leaves.into_iter().map(|path| (line, path)));
        }
    }
    found
}

/// Collects the paths of `a::b`, `{a, b::c}` and so on, and returns the rest of the text.
fn read_tree<'t>(text: &'t str, prefix: &[String], leaves: &mut Vec<Vec<String>>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        while !rest.is_empty() {
            rest = read_tree(rest, prefix, leaves).trim_start();
            match rest.strip_prefix(',') {
                Some(more) if !more.trim_start().starts_with('}') => rest = more,
                Some(more) => return more.trim_start().trim_start_matches('}'),
                None => return rest.strip_prefix('}').unwrap_or_default(),
            }
        }
        return rest;
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = [prefix, &[name.to_owned()]].concat();
    match rest.strip_prefix("::") {
        Some(below)
            if !name.is_empty() && below.starts_with(|c: char| c.is_alphabetic() || "{_".contains(c)) =>
        {
            read_tree(below, &path, leaves)
        }
        Some(_) | None => {
            leaves.push(path);
            // After `as name`.
            rest.find([',', '}', ';', '\n']).map_or("", |end| &rest[end..])
        }
    }
}

fn is_in(path: &[String], module: &str) -> bool {
    let module: Vec<&str> = module.split("::").collect();
    path.len() >= module.len() && path.iter().zip(&module).all(|(one, other)| one == other)
}

/// The forbidden uses in a file, each with its line.
fn violations(file: &str, text: &str, nevers: &[Never]) -> Vec<String> {
    let module = module_of(file);
    let nevers: Vec<&Never> = nevers.iter().filter(|never| is_in(&module, never.from)).collect();
    let mut found = Vec::new();
    for (line, path) in paths_in(file, text) {
        for Never { from, to } in &nevers {
            for to in to.iter().filter(|to| is_in(&path, to)) {
                found.push(format!("{file}:{line}: {from} must not use {to}: {}", path.join("::")));
            }
        }
    }
    found
}

#[test]
fn no_module_uses_a_module_above_it() {
    for Direction { sources, nevers } in DIRECTIONS {
        for name in nevers.iter().flat_map(|never| never.to.iter().chain([&never.from])) {
            let path = root().join(sources).join(name.replace("::", "/"));
            assert!(path.is_dir() || path.with_extension("rs").is_file(), "{sources} has no module {name}");
        }
        let found: Vec<String> =
            sources_of(sources).iter().flat_map(|(file, text)| violations(file, text, nevers)).collect();
        assert!(found.is_empty(), "below {sources}:\n{}", found.join("\n"));
    }
}

#[test]
fn the_modules_of_a_crate_have_no_cycles() {
    for directory in ["protocol/src", "actors/src", "src"] {
        let circle = circle(module_uses(directory));
        assert!(circle.is_empty(), "{directory}: {circle:?} use one another");
    }
}

/// Requirement: the direction holds inside every room, too. [`circles::circles`] says what counts as a circle.
#[test]
fn the_files_of_a_module_use_one_another_in_no_circle() {
    let circles_below = |directory: &&str| circles::circles(&sources_of(directory));
    let found: Vec<String> = ["protocol/src", "actors/src", "src"].iter().flat_map(circles_below).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_cycle_is_found_and_code_after_a_test_module_is_read() {
    let uses = |pairs: &[(&str, &[&str])]| {
        let pairs = pairs.iter();
        pairs
            .map(|(name, used)| ((*name).to_owned(), used.iter().map(|used| (*used).to_owned()).collect()))
            .collect()
    };
    assert_eq!(circle(uses(&[("a", &["b"]), ("b", &["c"]), ("c", &[])])), Vec::<String>::new());
    assert_eq!(circle(uses(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &[])])), ["b", "c"]);

    let text =
        "#[cfg(test)]\nmod agreement;\nuse crate::api;\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n";
    assert_eq!(paths_in("proxy.rs", text), [(3, vec!["api".to_owned()])]);
    assert_eq!(test_modules("proxy.rs", text), ["proxy/agreement"]);
}

#[test]
fn a_forbidden_use_is_found_in_every_notation() {
    let nevers =
        [Never { from: "proxy", to: &["api", "cli::wrap"] }, Never { from: "gateway", to: &["proxy"] }];
    let found = |file: &str, text: &str| violations(file, text, &nevers);
    let one = "//! It is not crate::api that this one uses.\n\nuse crate::api::{self, body};\n";
    assert_eq!(
        found("proxy/run.rs", one),
        [
            "proxy/run.rs:3: proxy must not use api: api::self",
            "proxy/run.rs:3: proxy must not use api: api::body"
        ]
    );
    for text in [
        "use crate::{caller, api};",
        "use crate::{\n    caller::{self, KeyForm},\n    api::body as it,\n    gateway,\n};",
        "fn a() { crate::api::body::read(); }",
        "use super::super::api::body;",
        "pub(super) use crate::cli::wrap::gateway;",
        "let kind = match none { Some(_) => crate::api::kind(), None => 1 };",
    ] {
        assert_eq!(found("proxy/run.rs", text).len(), 1, "{text}");
    }
    assert_eq!(
        found("gateway.rs", "use super::proxy::Flights;"),
        ["gateway.rs:1: gateway must not use proxy: proxy::Flights"]
    );
    for text in [
        "use crate::caller;\nuse vandamme_actors::api::Thing;",
        "use crate::cli::exit_code::Exit;",
        "use super::api;",
        "let url = \"crate\"; // crate::api::body",
        "#[cfg(test)]\nmod tests {\n    use crate::api::body;\n}",
        "use crate::apiary::Bee;",
    ] {
        assert_eq!(found("proxy/run.rs", text), [""; 0], "{text}");
    }
    assert_eq!(found("api.rs", "use crate::cli;"), [""; 0]);
}

#[test]
fn only_the_edge_uses_signals_and_processes() {
    for path in rust_files(&["actors/src", "protocol/src"]) {
        // Compiled for tests only: a variable sets the number of its schedules.
        if path.ends_with("actors/src/simulation.rs") {
            continue;
        }
        // AWS's `credential_process` is a program by definition.
        if path.ends_with("actors/src/credentials/aws/program.rs") {
            continue;
        }
        let text = read(&path);
        for word in ["std::process", "signal::unix", "std::env::var"] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn every_path_in_the_architecture_document_exists() {
    let map = read(&root().join("ARCHITECTURE.md"));
    let named: Vec<&str> = map.split('`').skip(1).step_by(2).filter(|word| is_path(word)).collect();
    assert!(named.len() > 10, "the map names hardly anything: {named:?}");
    for path in named {
        assert!(root().join(path.trim_end_matches('/')).exists(), "ARCHITECTURE.md names {path}");
    }
}

/// Whether a quoted word is a path of this repository.
fn is_path(word: &str) -> bool {
    const ROOMS: [&str; 8] =
        ["src/", "actors/", "protocol/", "tests/", "scripts/", "docs/", "benches/", ".ci/"];
    let plain = word.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-/".contains(letter));
    plain && ROOMS.iter().any(|room| word.starts_with(room))
}
