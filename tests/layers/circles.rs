//! Finds circles between the files of one module. [`circles`] says what counts.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, module_of, paths_in, read_tree};

/// The path of a module, or of an item in it, below the crate.
type ItemPath = Vec<String>;

/// What a module uses, each with the place of a use.
type Uses = BTreeMap<String, String>;

/// The module paths of a crate, each with its file.
struct Crate {
    files: BTreeMap<ItemPath, SourceFile>,
}

struct SourceFile {
    name: String,
    /// Every path of this crate in the file, with its line.
    paths: Vec<(usize, ItemPath)>,
    /// The items that the file imports, by name.
    imports: BTreeMap<String, ItemPath>,
    /// The free functions of the file.
    functions: BTreeMap<String, String>,
}

/// The circles between files, one text for each.
///
/// A module is its file and everything in the directory of its name. At each level:
///
/// * Modules side by side must not use one another in a circle, neither directly nor from any file below them.
/// * A parent and its children may use one another. This is the usual facade: the parent declares the types that its children
///   share, and the parent's methods call the children. An item that a child imports from its parent belongs to the module
///   that declares it, so a use of another child cannot hide behind a re-export.
/// * A free function of the parent counts as a module beside the children, since nothing but its place makes it a part of the
///   parent. A child that calls it depends on everything that the function calls. So two children must not use one another
///   by way of such a function, nor may a child and the function call each other.
pub(super) fn circles(sources: &[(String, String)]) -> Vec<String> {
    let found = Crate::new(sources);
    let parents: BTreeSet<&[String]> =
        found.files.keys().filter_map(|module| module.split_last()).map(|(_, parent)| parent).collect();
    // The modules at the top of a crate have a test of their own.
    let parents = parents.into_iter().filter(|parent| !parent.is_empty());
    parents.filter_map(|parent| found.circle_below(parent)).collect()
}

impl Crate {
    fn new(sources: &[(String, String)]) -> Self {
        let modules: BTreeSet<ItemPath> = sources.iter().map(|(file, _)| module_of(file)).collect();
        let read = |(file, text): &(String, String)| {
            let module = module_of(file);
            let children = modules.iter().filter_map(|other| other.split_last());
            let children: Vec<&str> =
                children.filter(|(_, parent)| *parent == module).map(|(name, _)| &**name).collect();
            (module, SourceFile::parse(file, text, &children))
        };
        Self { files: sources.iter().map(read).collect() }
    }

    /// The module that declares this path, as far as it is a file.
    fn home(&self, path: &[String]) -> ItemPath {
        let known = (0..=path.len()).rev().map(|length| &path[..length]);
        known.into_iter().find(|path| self.files.contains_key(*path)).unwrap_or_default().to_vec()
    }

    /// The path of the declaration behind re-exports.
    fn declared(&self, path: &[String]) -> ItemPath {
        let mut path = path.to_vec();
        // A re-export of a re-export is rare; a longer chain would be a circle of its own.
        for _ in 0..5 {
            let home = self.home(&path);
            let Some(name) = path.get(home.len()) else { break };
            let Some(import) = self.files.get(&home).and_then(|file| file.imports.get(name)) else { break };
            path = [import.as_slice(), &path[home.len() + 1..]].concat();
        }
        path
    }

    fn circle_below(&self, parent: &[String]) -> Option<String> {
        let mut uses: BTreeMap<String, Uses> = BTreeMap::new();
        for (module, file) in &self.files {
            let Some(child) = module.strip_prefix(parent).and_then(|below| below.first()) else { continue };
            let of_child = uses.entry(child.clone()).or_default();
            for (line, path) in &file.paths {
                let used = self.node(parent, path).filter(|used| used != child);
                of_child.extend(used.map(|used| (used, format!("{}:{line}", file.name))));
            }
        }
        if let Some(file) = self.files.get(parent) {
            let functions = file.functions.iter();
            uses.extend(
                functions.map(|(name, body)| (call(name), self.uses_of_function(parent, name, body))),
            );
        }
        let plain = uses.iter().map(|(name, used)| (name.clone(), used.keys().cloned().collect())).collect();
        let circle = super::circle(plain);
        let edges = circle.iter().flat_map(|name| uses[name].iter().map(move |used| (name, used)));
        let edges = edges.filter(|(_, (used, _))| circle.contains(used));
        let edges: Vec<String> =
            edges.map(|(name, (used, place))| format!("  {name} uses {used} ({place})")).collect();
        (!edges.is_empty()).then(|| format!("{}:\n{}", parent.join("::"), edges.join("\n")))
    }

    /// What a path means below this parent: a child, or a free function of the parent.
    fn node(&self, parent: &[String], path: &[String]) -> Option<String> {
        let path = self.declared(path);
        let home = self.home(&path);
        if home == parent {
            let name = path.get(parent.len())?;
            return self.files[parent].functions.contains_key(name).then(|| call(name));
        }
        home.strip_prefix(parent)?.first().cloned()
    }

    fn uses_of_function(&self, parent: &[String], function: &str, body: &str) -> Uses {
        let file = &self.files[parent];
        let used = words(body).into_iter().filter(|word| *word != function).filter_map(|word| {
            let path = match file.imports.get(word) {
                Some(import) => import.clone(),
                None => [parent, &[word.to_owned()]].concat(),
            };
            self.node(parent, &path)
        });
        used.map(|used| (used, format!("{}, {function}()", file.name))).collect()
    }
}

impl SourceFile {
    fn parse(name: &str, text: &str, children: &[&str]) -> Self {
        let (module, code) = (module_of(name), code(text));
        let mut paths = paths_in(name, text);
        for start in children.iter().map(|child| format!("{child}::")).chain(["self::".to_owned()]) {
            for (at, _) in code.match_indices(&start) {
                if code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:$".contains(c)) {
                    continue;
                }
                let mut leaves = Vec::new();
                read_tree(code[at..].trim_start_matches("self::"), &module, &mut leaves);
                let line = code[..at].lines().count().max(1);
                paths.extend(leaves.into_iter().map(|path| (line, path)));
            }
        }
        let is_import = |line: usize| code.lines().nth(line - 1).is_some_and(is_use);
        let imports = paths.iter().filter(|(line, _)| is_import(*line));
        let imports = imports.filter_map(|(_, path)| Some((path.last()?.clone(), path.clone())));
        // `{self}` and `*` import a module, which a path through it names anyway.
        let imports = imports.filter(|(name, _)| name != "self" && !name.is_empty()).collect();
        Self { name: name.to_owned(), functions: functions(&code), paths, imports }
    }
}

/// Whether a line begins an import.
fn is_use(line: &str) -> bool {
    let line = line.trim_start();
    let public = line.strip_prefix("pub").map(|rest| rest.trim_start_matches(|c| c != ' '));
    public.unwrap_or(line).trim_start().starts_with("use ")
}

/// The free functions of a formatted file, each with its text.
fn functions(code: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut current = None;
    for line in code.lines() {
        if line.starts_with(|c: char| !c.is_whitespace() && !")}".contains(c)) && line != "where" {
            current = line.find("fn ").filter(|_| is_function(line)).map(|at| {
                let name = &line[at + 3..];
                name[..name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len())].to_owned()
            });
        }
        if let Some(name) = &current {
            found.entry(name.clone()).or_default().extend([line, "\n"]);
        }
    }
    found
}

fn is_function(line: &str) -> bool {
    let mut words = line.split(' ').take_while(|word| *word != "fn");
    words.all(|word| word.starts_with("pub") || matches!(word, "async" | "const")) && line.contains("fn ")
}

/// The name of a function among the modules beside it.
fn call(function: &str) -> String {
    format!("{function}()")
}

/// The names in a text that are neither members nor later parts of a path, nor in a string.
fn words(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let end = |is_part: fn(char) -> bool| {
            text[at..].find(|c: char| !is_part(c)).map_or(text.len(), |length| at + length)
        };
        let next = match c {
            '"' => at + 1 + length_of_string(&text[at + 1..]),
            _ if c.is_alphanumeric() || c == '_' => end(|c| c.is_alphanumeric() || c == '_'),
            _ => at + c.len_utf8(),
        };
        let is_name = (c.is_alphabetic() || c == '_') && !text[..at].ends_with(['.', ':', '\'']);
        let is_field = text[next..].starts_with(':') && !text[next..].starts_with("::");
        if is_name && !is_field {
            found.push(&text[at..next]);
        }
        at = next;
    }
    found
}

/// The length of a string up to its end, without its first quote.
fn length_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 1)
}

/// The circles between made-up files.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
    circles(&files.collect::<Vec<_>>())
}

/// Requirement: files of one room that use one another in a circle are found, however the use is written.
#[test]
fn files_side_by_side_that_use_one_another_are_a_circle() {
    let parent =
        ("room.rs", "mod one;\nmod two;\nmod three;\npub use self::two::Two;\nuse two::Third as _;\n");
    assert_eq!(
        found(&[
            parent,
            ("room/one.rs", "use super::two::Two;\n"),
            ("room/two.rs", "\nfn two() { super::one::one() }\n"),
            ("room/three.rs", "use super::one::One;\n"),
        ]),
        ["room:\n  one uses two (room/one.rs:1)\n  two uses one (room/two.rs:2)"]
    );
    for uses in [
        "use super::Two;",
        "use crate::room::Two;",
        "use crate::room::{other, two::{self, Two}};",
        "fn one() -> super::Two { super::Two }",
        "mod deep;\nuse self::deep::Deep;",
    ] {
        let files = [
            parent,
            ("room/one.rs", uses),
            ("room/one/deep.rs", "use crate::room::two::Two;\n"),
            ("room/two.rs", "use super::three::Three;\n"),
            ("room/three.rs", "use crate::room::one::One;\n"),
        ];
        assert_eq!(found(&files).len(), 1, "{uses}");
    }
    let below = [
        ("room.rs", "mod one;\n"),
        ("room/one.rs", "mod a;\nmod b;\n"),
        ("room/one/a.rs", "use super::b::B;\n"),
        ("room/one/b.rs", "use super::a::A;\n"),
    ];
    assert!(found(&below)[0].starts_with("room::one:\n"), "{:?}", found(&below));
}

/// Requirement: a circle by way of a free function of the parent is found.
#[test]
fn a_function_of_the_parent_is_placed_with_what_it_uses() {
    let parent = "mod one;\nmod two;\nuse self::two::second;\n\nfn shared(a: u8) -> u8 {\n    inner(a)\n}\n\nfn inner(a: u8) -> u8 {\n    second(a)\n}\n";
    let circle = [
        ("room.rs", parent),
        ("room/one.rs", "use super::shared;\n"),
        ("room/two.rs", "use super::one::first;\n"),
    ];
    let text = found(&circle).join("\n");
    for edge in ["one uses shared() (", "shared() uses inner() (", "inner() uses two (", "two uses one ("] {
        assert!(text.contains(edge), "{edge}: {text}");
    }
    let recursion = [("room.rs", parent), ("room/two.rs", "fn second() { super::shared(1) }\n")];
    assert_eq!(found(&recursion).len(), 1, "{:?}", found(&recursion));
}

/// Requirement: what Rust programmers write every day is no circle: a parent that declares the types of its children and
/// calls these, a helper of the parent, a name that only looks like a use, and tests.
#[test]
fn a_parent_and_its_children_are_no_circle() {
    let parent = "mod one;\nmod two;\nuse self::one::first;\nuse self::two::Two;\n\npub struct Shared(u8);\n\nimpl Shared {\n    fn run(&self) {\n        first(self);\n        two::second(\"one::first\");\n    }\n}\n\nfn helper(first: u8) -> Two {\n    Two { first: 1 }\n}\n";
    let facade = [
        ("room.rs", parent),
        ("room/one.rs", "use super::{Shared, helper, two::Two};\nuse super::*;\n"),
        (
            "room/two.rs",
            "use super::Shared;\n#[cfg(test)]\nmod tests {\n    use super::super::one::first;\n}\n",
        ),
        ("other.rs", "use crate::room::Shared;\n"),
    ];
    assert_eq!(found(&facade), [""; 0]);
}
