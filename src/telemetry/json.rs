//! One record as one line of JSON, for log collectors.

use std::io::{self, Write};
use std::time::SystemTime;

use log::kv::{Key, Value, VisitSource};
use log::{Level, Record};
use serde_json::Value as Json;

use super::field::{Field, cut};
use super::line;
use super::writer::LogDestination;

/// Members of every line, which key-values cannot set.
const OWN: [&str; 4] = ["time", "level", "target", "message"];
/// The most bytes of a line before further members are left out.
const FULL: usize = 64 << 10;

/// Writes the line: time, level, target, message, and the record's key-values in snake case.
pub(super) fn write(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let mut line = beginning(record.level(), record.target(), &record.args().to_string());
    record.key_values().visit(&mut Members(&mut line)).map_err(io::Error::other)?;
    line.push_str("}\n");
    out.write_all(line.as_bytes())
}

fn beginning(level: Level, target: &str, message: &str) -> String {
    let mut line = String::with_capacity(512);
    line.push('{');
    let level = level.as_str().to_ascii_lowercase();
    let time = line::precise_timestamp(SystemTime::now());
    for (name, value) in
        [("time", time.as_str()), ("level", &level), ("target", target), ("message", message)]
    {
        push(&mut line, name, &Json::from(cut(value)));
    }
    line
}

fn push(line: &mut String, name: &str, value: &Json) {
    if !line.ends_with('{') {
        line.push(',');
    }
    line.push_str(&Json::from(name).to_string());
    line.push(':');
    line.push_str(&value.to_string());
}

struct Members<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Members<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        let name = member_name(key.as_str());
        if OWN.contains(&name.as_str()) || self.0.len() >= FULL {
            return Ok(());
        }
        let value = match Field::new(&value) {
            Field::Absent => return Ok(()),
            Field::Text(text) => Json::from(text),
            Field::Whole(number) => Json::from(number),
            Field::Number(number) => Json::from(number),
            Field::Flag(flag) => Json::from(flag),
        };
        push(self.0, &name, &value);
        Ok(())
    }
}

/// `REQUEST_ID` as `request_id`.
fn member_name(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// A stream of such lines, such as stderr.
pub(super) struct JsonLines<W>(pub(super) W);

impl<W: Write + Send + 'static> LogDestination for JsonLines<W> {
    fn write(&mut self, record: &[u8]) {
        let _ = self.0.write_all(record);
    }

    fn report_dropped(&mut self, count: u64) {
        let message = format!("{count} log lines dropped: stderr was read too slowly");
        let mut line = beginning(Level::Warn, module_path!(), &message);
        line.push_str("}\n");
        let _ = self.0.write_all(line.as_bytes());
    }

    fn flush(&mut self) {
        let _ = self.0.flush();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(args: std::fmt::Arguments<'_>, pairs: &[(&str, Value<'_>)]) -> String {
        let mut out = Vec::new();
        let record =
            Record::builder().level(Level::Warn).target("vandamme::x").args(args).key_values(&pairs).build();
        write(&mut out, &record).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn parsed(line: &str) -> Json {
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn members_are_in_snake_case_and_numbers_stay_numbers() {
        let none: Option<u64> = None;
        let pairs = [
            ("REQUEST_ID", Value::from("req_1")),
            ("STATUS", Value::from(200)),
            ("FIRST_EVENT_MS", Value::from(1.5)),
            ("STREAMED", Value::from(true)),
            ("EMPTY", Value::from("")),
            ("NONE", log::kv::ToValue::to_value(&none)),
            ("message", Value::from("forged")),
        ];
        let mut line = parsed(&written(format_args!("it said \"hi\"\nforged"), &pairs));
        let time = line.as_object_mut().unwrap().remove("time").unwrap();
        assert_eq!(time.as_str().unwrap().len(), "2026-11-24T19:00:00.000Z".len());
        let expected = serde_json::json!({"level": "warn", "target": "vandamme::x",
            "message": "it said \"hi\"\nforged", "request_id": "req_1", "status": 200, "first_event_ms": 1.5,
            "streamed": true});
        assert_eq!(line, expected);
    }

    #[test]
    fn dropped_lines_are_reported_as_json_too() {
        let mut lines = JsonLines(Vec::new());
        lines.report_dropped(7);
        let line = parsed(std::str::from_utf8(&lines.0).unwrap());
        assert_eq!(line["message"], "7 log lines dropped: stderr was read too slowly");
    }

    #[test]
    fn a_line_has_a_bound() {
        let long = "x".repeat(100_000);
        let pairs: Vec<(&str, Value<'_>)> = (0..100).map(|_| ("field", Value::from(long.as_str()))).collect();
        assert!(written(format_args!("{long}"), &pairs).len() < FULL + (32 << 10));
    }

    proptest! {
        #[test]
        fn any_text_is_one_line_of_valid_json(key in ".{0,40}", value in any::<String>(), message in any::<String>()) {
            let line = written(format_args!("{message}"), &[(&key, Value::from(value.as_str()))]);
            prop_assert_eq!(line.matches('\n').count(), 1);
            let line: Json = serde_json::from_str(&line).unwrap();
            prop_assert!(line["message"].is_string());
        }
    }
}
