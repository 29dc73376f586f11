//! Error messages that name the provider, its address and what an operator can do.

use actix_web::http::header::HeaderMap;
use awc::error::ConnectError;
use vandamme_actors::excerpt;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::provider::Lease;
use vandamme_actors::settings::{ProviderSettings, ResponsesSupport};
use vandamme_actors::upstream::{CertificateFault, ProxyFault, ProxyProblem, TlsFault};
use vandamme_protocol::compat::OpenAiApi;
use vandamme_protocol::fault::Fault;

use super::content_type::is_page;
use crate::config::variable_prefix;
use crate::failure::UpstreamError;

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

/// What to do if another server than the provider's API may have answered.
pub(super) fn check_base_url(provider: &ProviderSettings) -> String {
    format!("check its base URL {} ({})", provider.base_url, base_url_variable(provider))
}

/// What to do if a server may have expected TLS on a connection without it; empty if the connection had TLS.
pub(super) fn try_tls(provider: &ProviderSettings) -> String {
    if !provider.base_url.starts_with("http://") {
        return String::new();
    }
    format!("; if {} requires TLS, use https:// in {}", host(provider), base_url_variable(provider))
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

/// The proxy provides no connection to the provider.
pub(super) fn proxy_failure(
    provider: &ProviderSettings,
    ProxyFault { proxy, problem }: &ProxyFault,
) -> String {
    let (name, host, variable) = (&provider.name, host(provider), &proxy.variable);
    let (what, remedy) = match problem {
        ProxyProblem::Unreachable(cause) => {
            (format!("cannot be reached: {cause}"), format!("check {variable}"))
        }
        ProxyProblem::Silent => ("did not answer in time".to_owned(), format!("check {variable}")),
        ProxyProblem::Refused(407) => (
            format!("refused the connection to {host} with status 407"),
            format!("check user and password in {variable}"),
        ),
        ProxyProblem::Refused(status) => (
            format!("refused the connection to {host} with status {status}"),
            "allow this host there".to_owned(),
        ),
        ProxyProblem::NotHttp => {
            ("did not answer CONNECT as an HTTP proxy".to_owned(), format!("check {variable}"))
        }
    };
    format!(
        "the proxy {proxy:?} for provider '{name}' {what}; {remedy}, or add {} to NO_PROXY",
        host_name(host)
    )
}

/// A host without its port.
fn host_name(host: &str) -> &str {
    host.rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(name, _)| name)
}

/// TLS could not be set up.
pub(super) fn tls_failure(provider: &ProviderSettings, fault: &TlsFault) -> String {
    let (name, host, variable) = (&provider.name, host(provider), base_url_variable(provider));
    match fault {
        TlsFault::NotTls => {
            format!("provider '{name}': {host} does not speak TLS; use http:// in {variable}")
        }
        TlsFault::ClientCertificate => format!(
            "provider '{name}': {host} requires a client certificate that it trusts; check client-cert and client-key in [{name}]"
        ),
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
pub(super) fn naming_key(lease: &Lease, outcome: Outcome, answer: UpstreamError) -> UpstreamError {
    let is_rejected = matches!(outcome, Outcome::KeyRejected | Outcome::KeyForbidden);
    if !is_rejected || lease.provider.passthrough || answer.relayed.is_some() {
        return answer;
    }
    let UpstreamError { fault: Fault { kind, status, message }, .. } = answer;
    let message = without_name(&lease.provider.name, message);
    let name = &lease.provider.name;
    let message = match &lease.provider.identity {
        Some(identity) if outcome == Outcome::KeyForbidden => {
            format!("provider '{name}' denies the {identity} this request: {message}")
        }
        Some(identity) => format!("provider '{name}' refused the {identity}: {message}"),
        None => format!("provider '{name}' rejected key {}: {message}", lease.key.id()),
    };
    UpstreamError { fault: Fault { kind, status, message }, ..answer }
}

/// A message of the gateway's own without the provider's name at its front.
fn without_name(provider: &str, message: String) -> String {
    let rest = message.strip_prefix("provider '").and_then(|rest| rest.strip_prefix(provider));
    let sentence = || Some(format!("it {}", rest?.strip_prefix("' ")?));
    let clause = || Some(rest?.strip_prefix("': ")?.to_owned());
    sentence().or_else(clause).unwrap_or(message)
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
    // A proxy's or a portal's login page comes with 401 or 403, a TLS server's complaint about plain HTTP with 400.
    let is_elsewhere = matches!(status, 404 | 405 | 410) || (is_page && matches!(status, 400 | 401 | 403));
    let hint = if is_elsewhere { format!("; {}", check_base_url(provider)) } else { String::new() };
    let message = format!("provider '{}' answered {status} {what}{hint}", provider.name);
    Fault { message, ..fault }
}

/// Whether an error says that there is no such model, in the words of DeepSeek, OpenRouter and others.
fn says_unknown_model(message: &str) -> bool {
    const UNKNOWN: [&str; 9] = [
        "not exist",
        "not found",
        "not a valid model",
        "not supported",
        "not available",
        "invalid model",
        "no such model",
        "unknown model",
        "unsupported model",
    ];
    let message = message.to_ascii_lowercase();
    message.contains("model") && UNKNOWN.iter().any(|words| message.contains(words))
}

/// A name of Claude's that a provider without Claude got unchanged: its answer does not say that an alias is missing.
pub(super) fn with_missing_alias(lease: &Lease, fault: Fault) -> Fault {
    let provider = &lease.provider;
    let is_unknown = match fault.status {
        404 => true,
        400 | 422 => says_unknown_model(&fault.message),
        _ => false,
    };
    let Some(family) = provider.missing_alias(&lease.model).filter(|_| is_unknown) else {
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

/// A model that is served over another API than the one that `api-format` states.
pub(super) fn with_other_api(lease: &Lease, other: Option<OpenAiApi>, fault: Fault) -> Fault {
    let provider = &lease.provider;
    let Some(other) = other.filter(|_| provider.responses == ResponsesSupport::Excluded && !provider.demo)
    else {
        return fault;
    };
    let Fault { message, .. } = &fault;
    let message = format!(
        "{message}; provider '{}' is called over one API only: set {}_API_FORMAT={}, or remove api-format",
        provider.name,
        variable_prefix(&provider.name),
        other.name()
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
        assert_eq!(
            try_tls(&provider("http://llm.example/v1")),
            "; if llm.example requires TLS, use https:// in MY_LLM_BASE_URL"
        );
        assert_eq!(try_tls(&provider("https://llm.example/v1")), "");
    }

    #[test]
    fn each_fault_of_a_certificate_has_its_remedy() {
        let other = CertificateFault::OtherName(vec!["other.example".to_owned(), "x.example".to_owned()]);
        for (fault, end) in [
            (CertificateFault::UnknownAuthority, "set SSL_CERT_FILE to the certificate of that authority"),
            (CertificateFault::Authority, "set SSL_CERT_FILE to the certificate of its authority"),
            (other, "is for other.example, x.example; check the host in MY_LLM_BASE_URL"),
            (CertificateFault::OtherName(Vec::new()), "for another name; check the host in MY_LLM_BASE_URL"),
            (CertificateFault::Expired, "llm.example has expired; the server needs a new one"),
            (CertificateFault::NotYetValid, "check the clocks of both machines"),
            (CertificateFault::Revoked, "the server needs a new one"),
            (CertificateFault::Unusable, "the server needs another one"),
        ] {
            let told = tls_failure(&provider("https://llm.example"), &TlsFault::Certificate(fault));
            assert!(told.starts_with("provider 'my-llm': the certificate of llm.example "), "{told}");
            assert!(told.ends_with(end), "{told}");
        }
    }

    #[test]
    fn a_provider_is_named_once() {
        for (message, without) in [
            ("provider 'ne' answered 401 with a web page", "it answered 401 with a web page"),
            ("provider 'ne': no", "no"),
            ("provider 'next' answered 401", "provider 'next' answered 401"),
            ("Incorrect API key provided", "Incorrect API key provided"),
        ] {
            assert_eq!(without_name("ne", message.to_owned()), without);
        }
    }

    #[test]
    fn an_error_about_the_model_is_distinguished_from_others() {
        for message in [
            "Model Not Exist",
            "claude-haiku-4-5 is not a valid model ID",
            "unknown model",
            "The model `claude-opus-4` does not exist",
            "The requested model is not supported.",
        ] {
            assert!(says_unknown_model(message), "{message}");
        }
        for message in ["max_tokens is too large for this model", "tool not found", ""] {
            assert!(!says_unknown_model(message), "{message}");
        }
    }
}
