//! Error messages that name the provider, its address and what an operator can do.

use actix_web::http::header::HeaderMap;
use awc::error::ConnectError;
use vandamme_actors::excerpt;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::provider::Lease;
use vandamme_actors::settings::ProviderSettings;
use vandamme_actors::upstream::{CertificateFault, TlsFault};
use vandamme_protocol::fault::Fault;

use super::upstream_body::is_page;
use crate::config::variable_prefix;
use crate::failure::Answer;

/// How the message of an upstream begins that the gateway words itself.
const UNNAMED: &str = "the upstream";
/// How the message for an error body without a message begins and ends.
const NOTHING_SAID: (&str, &str) = ("the upstream answered ", " without a message");
/// The longest title of a web page in a message, characters.
const TITLE: usize = 100;

/// The variable that sets this provider's base URL.
fn base_url_variable(provider: &ProviderSettings) -> String {
    format!("{}_BASE_URL", variable_prefix(&provider.name))
}

/// The host and port of the base URL, as configured.
fn host(provider: &ProviderSettings) -> &str {
    let rest = provider.base_url.split_once("://").map_or(&*provider.base_url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// The provider could not be connected to.
pub(super) fn connect_failure(provider: &ProviderSettings, error: &ConnectError) -> String {
    let (name, host, variable) = (&provider.name, host(provider), base_url_variable(provider));
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other errors say themselves what failed")]
    match error {
        ConnectError::Timeout => format!("provider '{name}' could not be reached in time at {host}"),
        ConnectError::Resolver(_) | ConnectError::NoRecords => {
            format!("the host of provider '{name}' has no address ({host}): check {variable} and DNS")
        }
        error => format!("provider '{name}' could not be reached at {host}: {error}; check {variable}"),
    }
}

/// TLS could not be set up.
pub(super) fn tls_failure(provider: &ProviderSettings, fault: &TlsFault) -> String {
    let (name, host, variable) = (&provider.name, host(provider), base_url_variable(provider));
    match fault {
        TlsFault::NotTls => {
            format!("provider '{name}': {host} does not speak TLS; use http:// in {variable}")
        }
        TlsFault::Certificate(fault) => {
            let what = certificate_fault(fault, &variable);
            format!("provider '{name}': the certificate of {host} {what}")
        }
    }
}

/// The longest list of a certificate's names in a message, characters.
const NAMES: usize = 100;

/// What is wrong with a certificate, and what helps.
fn certificate_fault(fault: &CertificateFault, variable: &str) -> String {
    match fault {
        CertificateFault::UnknownAuthority => {
            "is not trusted, because its authority is unknown; set SSL_CERT_FILE to the certificate of that authority".to_owned()
        }
        CertificateFault::Authority => {
            "is the certificate of an authority (CA:TRUE), which cannot identify a server; give the server a certificate with CA:FALSE, and set SSL_CERT_FILE to the certificate of its authority".to_owned()
        }
        CertificateFault::OtherName(names) if names.is_empty() => {
            format!("is for another name; check the host in {variable}")
        }
        CertificateFault::OtherName(names) => {
            format!("is for {}; check the host in {variable}", excerpt::one_line(&names.join(", "), NAMES))
        }
        CertificateFault::Expired => "has expired; the server needs a new one".to_owned(),
        CertificateFault::NotYetValid => "is not valid yet; check the clocks of both machines".to_owned(),
        CertificateFault::Revoked => "is revoked; the server needs a new one".to_owned(),
        CertificateFault::Unusable => "is not valid for a server; the server needs another one".to_owned(),
    }
}

/// A rejected key of the configuration is named by its id, in words of the gateway's own: the client cannot know it. The key
/// that a client brings is the client's.
pub(super) fn naming_key(lease: &Lease, outcome: Outcome, answer: Answer) -> Answer {
    let is_rejected = matches!(outcome, Outcome::KeyRejected | Outcome::KeyForbidden);
    if !is_rejected || lease.provider.passthrough || answer.relayed.is_some() {
        return answer;
    }
    let Answer { fault: Fault { kind, status, message }, .. } = answer;
    let message = format!("provider '{}' rejected key {}: {message}", lease.provider.name, lease.key.id());
    Answer { fault: Fault { kind, status, message }, ..answer }
}

/// Names the provider in a message of the gateway's own that only says "the upstream".
pub(super) fn named(provider: &ProviderSettings, fault: Fault) -> Fault {
    if !fault.message.starts_with(UNNAMED) {
        return fault;
    }
    let message = format!("provider '{}': {}", provider.name, fault.message);
    Fault { message, ..fault }
}

/// An error reply that is a web page or says nothing is described; the page's text speaks of another matter.
pub(super) fn described(lease: &Lease, status: u16, headers: &HeaderMap, fault: Fault) -> Fault {
    let provider = &lease.provider;
    let says_nothing = fault.message.starts_with(NOTHING_SAID.0) && fault.message.ends_with(NOTHING_SAID.1);
    let is_page = is_page(headers);
    if !says_nothing && !is_page {
        return fault;
    }
    let what = match (is_page, says_nothing) {
        (false, _) => "without a message".to_owned(),
        (true, true) => "with a web page".to_owned(),
        (true, false) => format!("with a web page ({:?})", excerpt::one_line(&fault.message, TITLE)),
    };
    let hint = if matches!(status, 404 | 405 | 410) {
        format!("; check its base URL {} ({})", provider.base_url, base_url_variable(provider))
    } else {
        String::new()
    };
    let message = format!("provider '{}' answered {status} {what}{hint}", provider.name);
    Fault { message, ..fault }
}

/// A name of Claude's that a provider without Claude got unchanged: its answer does not say that an alias is missing.
pub(super) fn with_missing_alias(lease: &Lease, fault: Fault) -> Fault {
    let provider = &lease.provider;
    let Some(family) = provider.missing_alias(&lease.model).filter(|_| fault.status == 404) else {
        return fault;
    };
    let message = format!(
        "{}; provider '{}' has no alias '{family}': set {}_ALIAS_{}=MODEL",
        fault.message,
        provider.name,
        variable_prefix(&provider.name),
        family.to_ascii_uppercase()
    );
    Fault { message, ..fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(base_url: &str) -> ProviderSettings {
        ProviderSettings { name: "my-llm".into(), ..crate::demo::provider(base_url) }
    }

    #[test]
    fn a_connect_failure_names_host_and_variable() {
        let told = connect_failure(&provider("https://llm.example:8443/v1"), &ConnectError::NoRecords);
        for word in ["'my-llm'", "llm.example:8443", "MY_LLM_BASE_URL", "DNS"] {
            assert!(told.contains(word), "{told}");
        }
        assert_eq!(
            tls_failure(&provider("https://127.0.0.1:9101/v1"), &TlsFault::NotTls),
            "provider 'my-llm': 127.0.0.1:9101 does not speak TLS; use http:// in MY_LLM_BASE_URL"
        );
    }
}
