//! A specification's checklist as a table, and what must be true of every such table.

use std::collections::HashSet;

#[path = "tests.rs"]
mod named;

/// What became of a statement.
pub(crate) enum Statement {
    /// These tests hold it.
    Held(u8, &'static [&'static str]),
    /// It does not hold as it is written: what replaces it, and the tests that hold that.
    Replaced(u8, &'static str, &'static [&'static str]),
}

/// A weakness of the original: the statements that it comes down to, and the tests of what is beyond them.
pub(crate) struct Weakness(pub(crate) u8, pub(crate) &'static [u8], pub(crate) &'static [&'static str]);

impl Statement {
    fn parts(&self) -> (u8, &'static [&'static str]) {
        match self {
            Self::Held(number, tests) | Self::Replaced(number, _, tests) => (*number, tests),
        }
    }
}

/// The statements from the first to the `last`, each in its place.
pub(crate) fn assert_complete(table: &[Statement], last: u8) {
    let numbers: Vec<u8> = table.iter().map(|statement| statement.parts().0).collect();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
}

/// Every statement has tests, and they are there.
pub(crate) fn assert_held(table: &[Statement]) {
    let names = named::tests();
    for statement in table {
        let (number, tests) = statement.parts();
        assert!(!tests.is_empty(), "{number} is held by nothing");
        let distinct: HashSet<_> = tests.iter().collect();
        assert_eq!(distinct.len(), tests.len(), "{number} names a test twice");
        for test in tests {
            assert!(names.contains(*test), "{number}: there is no test {test}");
        }
        if let Statement::Replaced(_, why, _) = statement {
            assert!(!why.is_empty(), "{number}: by what?");
        }
    }
}

/// The weaknesses from the first to the `last`, each answered by statements of a list that long or by tests that are there.
pub(crate) fn assert_answered(weaknesses: &[Weakness], last: u8, statements_to: u8) {
    let names = named::tests();
    let numbers: Vec<u8> = weaknesses.iter().map(|Weakness(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    for Weakness(number, statements, tests) in weaknesses {
        assert!(!statements.is_empty() || !tests.is_empty(), "W{number} is answered by nothing");
        assert!(statements.iter().all(|statement| (1..=statements_to).contains(statement)), "W{number}");
        for test in *tests {
            assert!(names.contains(*test), "W{number}: there is no test {test}");
        }
    }
}
