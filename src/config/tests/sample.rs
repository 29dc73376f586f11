//! The sample file at the top of the project.

use super::*;

/// The file at the top of the project, with its keys set.
fn example() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file::NAME);
    let text = fs::read_to_string(path).unwrap();
    assert!(
        text.lines().all(|line| line.is_empty() || line.starts_with('#')),
        "it changes nothing as shipped"
    );
    let is_setting = |rest: &&str| !rest.is_empty() && !rest.starts_with([' ', '#']);
    text.lines()
        .map(|line| line.strip_prefix('#').filter(is_setting).unwrap_or("").to_owned() + "\n")
        .collect()
}

#[test]
fn the_sample_file_has_every_key_and_no_other() {
    let text = example();
    // A key is set in one way only, and the example shows both. Certificates must exist.
    const FILES: [&str; 7] = [
        "api-key-file = ",
        "admin-key-file = ",
        "{ file = ",
        "tls-",
        "ca-file",
        "client-cert",
        "client-key =",
    ];
    let is_file = |line: &&str| FILES.iter().any(|file| line.contains(file));
    let loaded: String =
        text.lines().filter(|line| !is_file(line)).map(|line| line.to_owned() + "\n").collect();
    let config = Machine::new().toml(&loaded).load();
    let document: toml_edit::DocumentMut = text.parse().unwrap();
    let stated = |table: &dyn toml_edit::TableLike| {
        let mut names: Vec<_> = table.iter().map(|(name, _)| name.to_owned()).collect();
        names.sort();
        names
    };
    let known = |settings: schema::SettingList| {
        let available = settings.iter().filter(|setting| setting.key_type != value_type::KeyType::AuthMode);
        let mut names: Vec<_> = available.map(|setting| setting.key.to_owned()).collect();
        names.sort();
        names
    };
    let table = |name: &str| document[name].as_table_like().unwrap();
    assert_eq!(stated(table("defaults")), known(schema::DEFAULTS));
    assert_eq!(stated(table("limits")), known(schema::LIMITS));
    assert_eq!(stated(table("mycorp")), known(schema::PROVIDER));
    assert_eq!(stated(table("#work")), known(schema::PROFILE));
    assert_eq!(stated(table("safeguards")), known(schema::SAFEGUARDS));
    assert_eq!(stated(table("web-search")), known(schema::WEB_SEARCH));
    let tables = ["defaults", "limits", "web-search", "mycorp", "#work", "safeguards", client_keys::TABLE];
    let top = stated(document.as_table()).into_iter().filter(|name| !tables.contains(&name.as_str()));
    assert_eq!(top.collect::<Vec<_>>(), known(schema::GATEWAY));

    let stock = Machine::new().load();
    assert_eq!(config.settings.limits, stock.settings.limits, "it shows the built-in values");
    assert_eq!((config.host, config.port, config.log), (stock.host, stock.port, stock.log));
}
