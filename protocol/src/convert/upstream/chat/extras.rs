//! Data that an upstream sends with a call or a text and needs back with it: `extra_content`, which contains Gemini's
//! signatures. Content blocks have no member for it, so the gateway stores it as an entry in the signature of a thinking block
//! (the *load*).

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{Literal, Write};

/// The marker that distinguishes an entry from an upstream's own objects.
const TYPE: &str = "vdm.extra_content";

/// An entry; `id` is the inner text of the call's id, absent for the text.
pub(super) fn entry(id: Option<&str>, extra: &str) -> String {
    let id = id.map_or_else(String::new, |id| format!(",\"id\":\"{id}\""));
    format!("{{\"type\":\"{TYPE}\"{id},\"extra_content\":{extra}}}")
}

/// The entries of one message.
#[derive(Default)]
pub(super) struct Extras {
    entries: Vec<(Option<String>, String)>,
}

#[derive(Deserialize)]
struct ExtraEntry<'a> {
    r#type: String,
    id: Option<String>,
    #[serde(borrow)]
    extra_content: &'a RawValue,
}

impl Extras {
    /// Removes the entries from a load; the rest is the upstream's own objects. The load is untrusted: a client may have changed it.
    pub(super) fn take(&mut self, load: String) -> String {
        if memchr::memmem::find(load.as_bytes(), TYPE.as_bytes()).is_none() {
            return load;
        }
        let list = format!("[{load}]");
        let Ok(objects) = serde_json::from_str::<Vec<&RawValue>>(&list) else { return load };
        let mut rest = vec![];
        for object in objects {
            match serde_json::from_str::<ExtraEntry<'_>>(object.get()) {
                Ok(entry) if entry.r#type == TYPE => {
                    self.entries.push((entry.id, entry.extra_content.get().to_owned()));
                }
                Ok(_) | Err(_) => rest.push(object.get()),
            }
        }
        rest.join(",")
    }

    /// Appends the data that belongs to the call of this id.
    pub(super) fn write_for_call(&self, id: Literal<'_>, out: &mut Vec<u8>) {
        self.write(|known| known.is_some_and(|known| id.is(known)), out);
    }

    /// Appends the data that belongs to the text.
    pub(super) fn write_for_text(&self, out: &mut Vec<u8>) {
        self.write(|known| known.is_none(), out);
    }

    fn write(&self, is_it: impl Fn(Option<&str>) -> bool, out: &mut Vec<u8>) {
        if let Some((_, extra)) = self.entries.iter().find(|(id, _)| is_it(id.as_deref())) {
            out.put(b",\"extra_content\":");
            out.raw(extra);
        }
    }
}
