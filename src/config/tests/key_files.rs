//! Keys that stand in files of their own.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

impl Machine {
    /// A file of the working directory that only its owner reads.
    fn secret(self, name: &str, text: &str) -> Self {
        let machine = self.file(&format!("work/{name}"), text);
        machine.mode(name, 0o600)
    }

    fn mode(self, name: &str, mode: u32) -> Self {
        fs::set_permissions(self.root.join("work").join(name), fs::Permissions::from_mode(mode)).unwrap();
        self
    }
}

fn keys(machine: &Machine, name: &str) -> Vec<String> {
    provider(&machine.load(), name).keys.iter().map(|key| key.expose().to_owned()).collect()
}

#[test]
fn keys_are_read_from_the_file_that_a_variable_or_a_file_names() {
    for (text, expected) in [
        ("k1\n", vec!["k1"]),
        ("# my key\nk1\n  # another\n", vec!["k1"]),
        ("k#1", vec!["k#1"]),
        ("k1 k2\r\n\nk3\n", vec!["k1", "k2", "k3"]),
        ("\u{feff}k1", vec!["k1"]),
    ] {
        let machine = Machine::with(&[("OPENAI_API_KEY_FILE", "keys")]).secret("keys", text);
        assert_eq!(keys(&machine, "openai"), expected);
        assert!(machine.warnings().is_empty(), "{:?}", machine.warnings());
    }
    let machine = Machine::new().toml("[poe]\napi-key-file = 'sub'").secret("sub", "k\n");
    assert_eq!(keys(&machine, "poe"), ["k"]);
    let machine = Machine::new();
    let path = machine.root.join("home/key");
    let machine = machine.file("home/key", "k").variable("POE_API_KEY_FILE", path.to_str().unwrap());
    assert_eq!(keys(&machine, "poe"), ["k"]);
}

#[test]
fn the_gateway_key_can_be_in_a_file_too() {
    let machine = Machine::with(&[("PROXY_API_KEY_FILE", "own")]).secret("own", "front-door\n");
    let key = machine.load().proxy_api_key.map(|key| key.expose().to_owned());
    assert_eq!(key.as_deref(), Some("front-door"));
    let machine = machine.secret("own", "canary one\n");
    assert_eq!(
        machine.mistakes(),
        ["environment variable PROXY_API_KEY_FILE: own holds several words, but proxy-api-key is one key"]
    );
    let machine = machine.variable("PROXY_API_KEY", "k");
    assert!(machine.mistakes()[0].contains("set twice"), "{:?}", machine.mistakes());
}

#[test]
fn the_error_for_a_file_without_a_key_has_its_place_and_none_of_its_content() {
    let machine =
        Machine::with(&[("OPENAI_API_KEY_FILE", "keys"), ("POE_API_KEY_FILE", ".")]).secret("keys", "\n \n");
    assert_eq!(
        machine.mistakes(),
        [
            "environment variable OPENAI_API_KEY_FILE: the key file keys contains no key; write a key into it, or several",
            "environment variable POE_API_KEY_FILE: the key file . is no regular file",
        ]
    );
    let machine = Machine::new().toml("[openai]\napi-key-file = 'absent'");
    assert_eq!(
        machine.mistakes(),
        [
            "work/vandamme-config.toml:2:16: [openai] api-key-file: cannot read the key file absent: No such file or directory (os error 2)"
        ]
    );
    let machine = Machine::with(&[("OPENAI_API_KEY_FILE", "keys")]).secret("keys", &"canary ".repeat(10_000));
    assert!(machine.mistakes()[0].contains("has more than 65536 bytes"), "{:?}", machine.mistakes());
    let machine = machine.secret("keys", "canary\u{7}");
    assert!(
        machine.mistakes()[0].starts_with("keys: the key contains characters"),
        "{:?}",
        machine.mistakes()
    );
    assert!(!machine.mistakes().concat().contains("canary"));
}

#[test]
fn a_key_is_set_in_one_way_only() {
    let machine =
        Machine::with(&[("OPENAI_API_KEY_FILE", "keys"), ("OPENAI_API_KEY", "canary")]).secret("keys", "k");
    assert_eq!(
        machine.mistakes(),
        [
            "environment variable OPENAI_API_KEY_FILE: the key is set twice: here as a file and by environment variable OPENAI_API_KEY; take one away"
        ]
    );
}

#[test]
fn a_variable_of_another_program_is_no_error() {
    let machine = Machine::with(&[("STRANGE_API_KEY_FILE", "/absent/canary")]);
    let warnings = machine.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("set STRANGE_BASE_URL too"), "{warnings:?}");
}

#[test]
fn a_file_that_all_users_can_read_causes_a_warning() {
    let machine =
        Machine::with(&[("OPENAI_API_KEY_FILE", "keys")]).secret("keys", "canary").mode("keys", 0o644);
    assert_eq!(machine.warnings(), ["everybody on this machine can read keys; chmod 600 keys"]);
}

#[test]
fn messages_have_the_file_and_the_keys_id() {
    let machine = Machine::with(&[("OPENAI_API_KEY_FILE", "keys")]).secret("keys", "canary");
    let (values, mistakes) = provenance(&machine.overrides);
    assert!(mistakes.is_empty());
    let of = |key: &str| {
        values
            .iter()
            .find(|setting| setting.key == key)
            .map(|setting| (setting.value.clone(), setting.place.clone()))
    };
    let (file, place) = of("openai.api-key-file").unwrap();
    assert_eq!((file.as_str(), place.as_str()), ("\"keys\"", "environment variable OPENAI_API_KEY_FILE"));
    let (key, place) = of("openai.api-key").unwrap();
    assert_eq!((key, place), (format!("<{}>", ApiKey::new("canary").id()), "keys".to_owned()));
}
