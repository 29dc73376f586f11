//! The replies of vendors that the tests use: whole ones and streams with their peculiarities, and errors.

use std::fs;
use std::path::Path;

use bytes::Bytes;

use crate::Trouble;
use crate::requests::{Api, Form};

/// One recorded reply.
pub(crate) struct Recorded {
    pub(crate) api: Api,
    pub(crate) form: Form,
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// All recorded replies.
pub(crate) fn load() -> Result<Vec<Recorded>, Trouble> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files = Vec::new();
    for vendor in fs::read_dir(&top).map_err(|error| format!("{}: {error}", top.display()))? {
        let vendor = vendor?.path();
        if vendor.is_dir() {
            for file in fs::read_dir(vendor)? {
                files.push(file?.path());
            }
        }
    }
    files.sort();
    let mut found: Vec<Recorded> = files.iter().filter_map(|file| read(file)).collect();
    // Errors come last, those about keys behind the others: after them the gateway calls the provider no more.
    found.sort_by_key(|reply| (reply.status != 200, matches!(reply.status, 401..=403)));
    if found.is_empty() { Err(format!("no replies in {}", top.display()).into()) } else { Ok(found) }
}

/// The reply in a file, if it is one that the gateway may get from a provider of either API.
fn read(file: &Path) -> Option<Recorded> {
    let name = file.file_name()?.to_str()?;
    let vendor = file.parent()?.file_name()?;
    let api = if vendor == "anthropic" { Api::Messages } else { Api::Chat };
    let (form, status) = match (name.split('-').next()?, file.extension()?.to_str()?) {
        ("whole", "json") => (Form::Whole, 200),
        ("stream", "sse") => (Form::Stream, 200),
        ("error", "json") => (Form::Whole, name.split('-').nth(1)?.parse().ok()?),
        _ => return None,
    };
    Some(Recorded { api, form, status, body: fs::read(file).ok()?.into() })
}
