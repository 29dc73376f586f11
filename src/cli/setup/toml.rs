//! Sets values in the text of a TOML file and keeps comments and order.

use toml_edit::{DocumentMut, Item, Table, value};

/// The text with the value at this path set.
///
/// # Errors
/// If the text is not TOML, or a value is in the place of a table.
pub(super) fn with(text: &str, path: &[String], text_value: &str) -> Result<String, String> {
    let mut document: DocumentMut =
        text.parse().map_err(|error| format!("it is not TOML: {error}").replace('\n', " "))?;
    let Some((key, tables)) = path.split_last() else { return Ok(text.to_owned()) };
    let mut table = document.as_table_mut() as &mut dyn toml_edit::TableLike;
    for name in tables {
        let item = table.entry(name).or_insert_with(|| Item::Table(Table::new()));
        table = item.as_table_like_mut().ok_or_else(|| format!("{name} is there, but no table"))?;
    }
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = text_value.into();
            *old.decor_mut() = decor;
        }
        None => drop(table.insert(key, value(text_value))),
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str, path: &[&str], value: &str) -> Result<String, String> {
        with(text, &path.iter().map(|&part| part.to_owned()).collect::<Vec<_>>(), value)
    }

    #[test]
    fn setting_a_value_keeps_the_rest() {
        let text =
            "# mine\nport = 1 # one\n\n[poe] # here\napi-key = \"old\" # secret\n[poe.aliases]\na = 'b'\n";
        let changed = set(text, &["poe", "api-key"], "new").unwrap();
        assert_eq!(changed, text.replace("\"old\"", "\"new\""));
        let more = set(&changed, &["poe", "aliases", "c"], "d\"").unwrap();
        assert_eq!(more, changed.clone() + "c = 'd\"'\n");
        let new = set(&changed, &["defaults", "default-provider"], "poe").unwrap();
        assert_eq!(new, changed + "\n[defaults]\ndefault-provider = \"poe\"\n");
        assert_eq!(set("", &["proxy-api-key"], "k").unwrap(), "proxy-api-key = \"k\"\n");
    }

    #[test]
    fn text_that_cannot_be_edited_is_an_error() {
        assert!(set("a = ", &["b"], "c").unwrap_err().contains("not TOML"));
        assert_eq!(set("poe = 1", &["poe", "api-key"], "c").unwrap_err(), "poe is there, but no table");
    }
}
