//! Tests of the command line.

use std::path::Path;

use crate::arguments::{Arguments, Build, Mode};

fn parse(words: &[&str]) -> Arguments {
    Arguments::parse(words.iter().copied().map(str::to_owned)).expect("valid")
}

/// Requirement: without options, this tree's gateway is measured, and a row is chosen if it has every word.
#[test]
fn rows_are_chosen_by_all_words() {
    let arguments = parse(&["instructions", "1 KB"]);
    assert_eq!((arguments.ours(), &arguments.mode), (Build::of_this_tree(), &Mode::Table));
    assert!(arguments.chooses("instructions: passthrough, 1 KB"));
    assert!(!arguments.chooses("CPU time: passthrough, 1 KB"));
    assert!(!arguments.chooses("instructions: passthrough, 100 KB body"));
    assert!(parse(&[]).chooses("any row"));
}

/// Requirement: several builds can be compared in one run, each with a name, a preloaded library and settings.
#[test]
fn builds_have_names_and_libraries() {
    let arguments = parse(&[
        "--against",
        "old=/bin/sh",
        "--against",
        "/bin/sh,/bin/cat,VDM_HISTORY=false",
        "--binary",
        "new=/bin/ls",
    ]);
    let Mode::Against(builds) = &arguments.mode else { panic!("{:?}", arguments.mode) };
    let names: Vec<&str> = builds.iter().map(|build| build.name.as_str()).collect();
    assert_eq!(names, ["old", "/bin/sh,/bin/cat,VDM_HISTORY=false"]);
    let real = |path: &str| Path::new(path).canonicalize().expect("exists");
    assert_eq!((&builds[0].binary, &builds[0].preload), (&real("/bin/sh"), &None));
    assert_eq!((&builds[1].binary, &builds[1].preload), (&real("/bin/sh"), &Some(real("/bin/cat"))));
    assert_eq!(builds[1].environment, [("VDM_HISTORY".to_owned(), "false".to_owned())]);
    assert_eq!((arguments.ours().name, arguments.ours().environment), ("new".to_owned(), Vec::new()));
}

/// Requirement: a mistake ends the benchmark before it measures.
#[test]
fn mistakes_are_errors() {
    let fails = |words: &[&str], reason: &str| {
        let error =
            Arguments::parse(words.iter().copied().map(str::to_owned)).expect_err("a mistake").to_string();
        assert!(error.contains(reason), "{words:?}: {error}");
    };
    fails(&["--against"], "requires a path");
    fails(&["--against", "/no/such/vdm"], "/no/such/vdm: ");
    fails(&["--against", "/bin/sh,/no/such/library"], "/no/such/library: ");
    fails(&["--agianst", "/bin/sh"], "--agianst");
    fails(&["--against", "/bin/sh", "--instructions", "/bin/sh"], "--instructions");
    fails(&["--instructions", "/bin/sh", "--against", "/bin/sh"], "exclude each other");
}
