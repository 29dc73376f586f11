//! Reads and writes the file that caches a provider's list of models between runs. The layout is that of the Python
//! original, so that each program can read the other's files.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::Models;

/// The version of the layout; a file of another version is ignored.
const SCHEMA: u32 = 1;

/// Identifies one address of a provider: 12 hex digits of a hash over name, URL and extra headers. The original has the
/// headers' names in upper case, because it reads them from environment variables.
#[must_use]
pub fn fingerprint(provider: &str, base_url: &str, headers: &[(&str, &str)]) -> String {
    let mut pairs: Vec<_> =
        headers.iter().map(|(name, value)| format!("{}:{value}", name.to_uppercase())).collect();
    pairs.sort_unstable();
    let identity = [provider, base_url, &pairs.join(",")].map(ascii).join(", ");
    let digest = Sha256::digest(format!("[{identity}]"));
    digest[..6].iter().fold(String::new(), |mut hex, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Returns a JSON string in Python's notation: all characters beyond ASCII are escaped.
fn ascii(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap_or_default();
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() {
            escaped.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

/// Writes the file for a provider's answer, which is kept byte for byte, and the time of the answer in seconds since
/// 1970. Returns `None` if the answer is not JSON.
#[must_use]
pub fn write(provider: &str, base_url: &str, (second, body): (i64, &[u8])) -> Option<Vec<u8>> {
    /// Fields in alphabetical order.
    #[derive(Serialize)]
    struct File<'f> {
        base_url: &'f str,
        last_updated: String,
        provider: &'f str,
        response: Response<'f>,
        schema_version: u32,
    }
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Response<'f> {
        List(&'f RawValue),
        /// A provider's answer that is a bare list.
        Wrapped {
            data: &'f RawValue,
            object: &'static str,
        },
    }
    let raw: &RawValue = serde_json::from_slice(body).ok()?;
    let response = match raw.get().starts_with('[') {
        true => Response::Wrapped { data: raw, object: "list" },
        false => Response::List(raw),
    };
    let last_updated = Timestamp::from_second(second).ok()?.to_string();
    let file = File { base_url, last_updated, provider, response, schema_version: SCHEMA };
    let mut text = serde_json::to_vec_pretty(&file).ok()?;
    text.push(b'\n');
    Some(text)
}

/// Reads the time of the list, in milliseconds since 1970, and the list. Returns `None` if the file cannot be used for
/// any reason.
#[must_use]
pub fn read(file: &[u8]) -> Option<(u64, Vec<u8>)> {
    #[derive(Deserialize)]
    struct File<'f> {
        schema_version: u32,
        last_updated: String,
        #[serde(borrow, default)]
        response: Option<&'f RawValue>,
        /// The location in files of older versions of the original.
        #[serde(borrow, default)]
        models: Option<&'f RawValue>,
    }
    let file: File<'_> =
        serde_json::from_slice(file).ok().filter(|file: &File<'_>| file.schema_version == SCHEMA)?;
    let body = match (file.response, file.models) {
        (Some(response), _) => response.get().as_bytes().to_vec(),
        (None, Some(models)) => format!("{{\"object\":\"list\",\"data\":{}}}", models.get()).into_bytes(),
        (None, None) => return None,
    };
    Models::read(&body).ok()?;
    let listed = file.last_updated.parse::<Timestamp>().ok()?.as_millisecond();
    Some((u64::try_from(listed).ok()?, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_the_originals() {
        // The first value was observed; the others are from Python's
        // hashlib.sha256(json.dumps([...]).encode()).hexdigest()[:12].
        assert_eq!(fingerprint("openai", "http://127.0.0.1:18090/openai/v1", &[]), "1220a92a7997");
        let headers = [("x-team", "b, c"), ("x-a", "é😀\"")];
        assert_eq!(fingerprint("poe", "https://api.poe.com/v1", &headers), "0aea2cf23975");
    }

    #[test]
    fn what_is_written_is_read_and_looks_like_the_originals() {
        let body = br#"{"object":"list","data":[{"id":"m","x":1e2}]}"#;
        let file = write("p", "http://h/v1", (1_700_000_000, body)).unwrap();
        assert_eq!(
            String::from_utf8(file.clone()).unwrap(),
            "{\n  \"base_url\": \"http://h/v1\",\n  \"last_updated\": \"2023-11-14T22:13:20Z\",\n  \"provider\": \"p\",\n  \
             \"response\": {\"object\":\"list\",\"data\":[{\"id\":\"m\",\"x\":1e2}]},\n  \"schema_version\": 1\n}\n"
        );
        assert_eq!(read(&file), Some((1_700_000_000_000, body.to_vec())));
        let bare = write("p", "u", (0, br#"[{"id":"m"}]"#)).unwrap();
        assert!(Models::read(&read(&bare).unwrap().1).unwrap().find("m").is_some());
    }

    #[test]
    fn files_of_the_original_are_read_older_ones_too() {
        let now = br#"{"schema_version": 1, "last_updated": "2026-11-23T04:48:35.588300Z", "provider": "p", "base_url": "u",
            "response": {"data": [{"id": "m"}], "object": "list"}}"#;
        let (listed, body) = read(now).unwrap();
        assert_eq!(listed, 1_795_409_315_588);
        assert!(Models::read(&body).unwrap().find("m").is_some());
        let legacy =
            br#"{"schema_version": 1, "last_updated": "2025-01-01T00:00:00Z", "models": [{"id": "old"}]}"#;
        assert!(Models::read(&read(legacy).unwrap().1).unwrap().find("old").is_some());
    }

    #[test]
    fn an_unusable_file_is_ignored() {
        for file in [
            "",
            "{",
            "[]",
            r#"{"schema_version": 2, "last_updated": "2025-01-01T00:00:00Z", "response": {"data": []}}"#,
            r#"{"schema_version": 1, "last_updated": "yesterday", "response": {"data": []}}"#,
            r#"{"schema_version": 1, "last_updated": "1925-01-01T00:00:00Z", "response": {"data": []}}"#,
            r#"{"schema_version": 1, "last_updated": "2025-01-01T00:00:00Z", "response": {"error": 1}}"#,
            r#"{"schema_version": 1, "last_updated": "2025-01-01T00:00:00Z"}"#,
        ] {
            assert_eq!(read(file.as_bytes()), None, "{file}");
        }
        assert_eq!(write("p", "u", (0, b"<html>")), None);
    }
}
