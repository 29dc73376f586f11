//! Every error fixture: status, type and message that a client of the Messages API receives.

use vandamme_protocol::openai::error::{facts, read};

use crate::fixtures::{Fixture, all_agree, of_kind};

/// The status follows the kind in the file's name.
pub(crate) fn status(fixture: &Fixture) -> u16 {
    let name = fixture.name.rsplit('/').next().unwrap_or_default();
    let status = name.split('-').nth(1).and_then(|status| status.parse().ok());
    status.unwrap_or_else(|| panic!("{} names no status", fixture.name))
}

fn snapshot(fixture: &Fixture) -> String {
    let fault = read(status(fixture), &fixture.body);
    let purse =
        if facts(status(fixture), &fixture.body, "").out_of_credit { "empty" } else { "not the matter" };
    format!("{} {}\n{}\nthe key's purse: {purse}\n", fault.status, fault.kind.anthropic(), fault.message)
}

/// Complaint of gateway users: a prompt that is too long is reported as a server error.
#[test]
fn every_error_matches_its_snapshot() {
    all_agree(of_kind("error").iter().map(|fixture| fixture.compare(&snapshot(fixture))));
}
