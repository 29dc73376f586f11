//! Defines the outcome of one upstream call and its treatment: one table for retries, keys, health and the client's
//! answer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The outcome of one upstream call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The upstream replied as expected.
    Answered,
    /// A 4xx about the request itself (400, 413, 422).
    RequestRefused,
    /// A limit that only this request exceeds, because of its size.
    RequestTooLarge,
    /// A 404, or a request that this upstream's API cannot express; another target may serve it.
    NotServedHere,
    /// 408 or 409: the same request may succeed at once.
    TryAgain,
    /// 429. `wait` is the wait that the upstream named, if any.
    RateLimited { wait: Option<Duration>, scope: LimitScope },
    /// 402, or any other reply that reports that no credit or quota is left.
    OutOfCredit,
    /// 401, or a reply that names the key as invalid.
    KeyRejected,
    /// A 403 that names the key's permissions.
    KeyForbidden,
    /// 529, or `overloaded_error` under any status.
    Overloaded,
    /// Another 5xx.
    ServerError,
    /// The connection or the reply broke, or the body is not an API reply (HTML, a redirect).
    BrokenReply,
    /// A reply that exceeds the gateway's bounds.
    ReplyTooLarge,
    /// The upstream closed the connection while the request was being sent, without a reply. It most likely refuses the
    /// request's size.
    SendAborted,
    /// No connection: TCP, TLS or DNS.
    Unreachable,
    /// No first byte before the timeout.
    Silent,
    /// This machine lacks descriptors, ports or memory.
    LocalFault,
    /// The gateway ended the call before its result was known, because the client disconnected or the gateway shuts down.
    Cancelled,
    /// A result that shows nothing about limits and health, such as that of a count of tokens.
    NotCounted,
}

/// The scope of a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitScope {
    /// One model with one key.
    Model,
    /// Everything with one key, because the upstream's error type or code says so.
    Account,
}

/// The consequences of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Treatment {
    pub retry: Retry,
    pub key: KeyEffect,
    pub health: HealthEffect,
    /// The client's answer if no other call succeeds.
    pub answer: &'static str,
}

/// The next call that may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// None.
    No,
    /// The same call after a pause.
    SameKey,
    /// The same call with another key.
    NextKey,
    /// The next target of the fallback chain.
    NextTarget,
}

/// The effect of an outcome on the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEffect {
    None,
    /// The key works, also for this model.
    Works,
    /// The key is limited for this model.
    LimitsModel,
    /// The key is limited for every model.
    LimitsKey,
    /// The key has no credit.
    OutOfCredit,
    /// The key is refused.
    Rejects,
    /// The key is refused for this model.
    RejectsModel,
}

/// The effect of an outcome on the provider and the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthEffect {
    None,
    /// The provider's host works.
    HostWorks,
    /// The host and this model work.
    ModelWorks,
    /// This model fails.
    ModelFails,
    /// This model fails; if two or more models fail, the host fails.
    HostFails,
}

impl Outcome {
    /// Every outcome, in the order of the documented table.
    pub const ALL: [Self; 20] = [
        Self::Answered,
        Self::RequestRefused,
        Self::RequestTooLarge,
        Self::NotServedHere,
        Self::TryAgain,
        Self::RateLimited { wait: None, scope: LimitScope::Model },
        Self::RateLimited { wait: None, scope: LimitScope::Account },
        Self::OutOfCredit,
        Self::KeyRejected,
        Self::KeyForbidden,
        Self::Overloaded,
        Self::ServerError,
        Self::BrokenReply,
        Self::ReplyTooLarge,
        Self::SendAborted,
        Self::Unreachable,
        Self::Silent,
        Self::LocalFault,
        Self::Cancelled,
        Self::NotCounted,
    ];

    /// The row of the table for this outcome.
    pub const fn treatment(self) -> Treatment {
        use {HealthEffect as Health, KeyEffect as Key};
        let (retry, key, health, answer) = match self {
            Self::Answered => (Retry::No, Key::Works, Health::ModelWorks, "the reply"),
            Self::RequestRefused => (Retry::No, Key::None, Health::HostWorks, "the upstream's error"),
            Self::RequestTooLarge => (Retry::NextKey, Key::None, Health::HostWorks, "the upstream's error"),
            Self::NotServedHere => (Retry::NextTarget, Key::None, Health::HostWorks, "the upstream's error"),
            Self::TryAgain => (Retry::SameKey, Key::None, Health::HostWorks, "the upstream's error"),
            Self::RateLimited { scope: LimitScope::Model, .. } => {
                (Retry::NextKey, Key::LimitsModel, Health::HostWorks, "429 rate_limit_error, retry-after")
            }
            Self::RateLimited { scope: LimitScope::Account, .. } => {
                (Retry::NextKey, Key::LimitsKey, Health::HostWorks, "429 rate_limit_error, retry-after")
            }
            Self::OutOfCredit => (
                Retry::NextKey,
                Key::OutOfCredit,
                Health::HostWorks,
                "402 billing_error, x-should-retry: false",
            ),
            Self::KeyRejected => {
                (Retry::NextKey, Key::Rejects, Health::HostWorks, "401 authentication_error")
            }
            Self::KeyForbidden => {
                (Retry::NextKey, Key::RejectsModel, Health::HostWorks, "403 permission_error")
            }
            Self::Overloaded => (Retry::SameKey, Key::None, Health::ModelFails, "529 overloaded_error"),
            Self::ServerError => (Retry::SameKey, Key::None, Health::ModelFails, "5xx api_error"),
            Self::BrokenReply => (Retry::SameKey, Key::None, Health::ModelFails, "502 api_error"),
            Self::ReplyTooLarge => (Retry::NextTarget, Key::None, Health::HostWorks, "502 api_error"),
            Self::SendAborted => (Retry::NextTarget, Key::None, Health::None, "502 api_error"),
            Self::Unreachable => (Retry::SameKey, Key::None, Health::HostFails, "502 api_error"),
            Self::Silent => (Retry::NextTarget, Key::None, Health::HostFails, "504 timeout_error"),
            Self::LocalFault => (Retry::SameKey, Key::None, Health::None, "503 api_error, retry-after"),
            Self::Cancelled | Self::NotCounted => (Retry::No, Key::None, Health::None, "–"),
        };
        Treatment { retry, key, health, answer }
    }

    /// Whether the outcome can change which key, model or target the next request uses.
    pub(crate) const fn is_adverse(self) -> bool {
        let Treatment { key, health, .. } = self.treatment();
        let is_key_fine = matches!(key, KeyEffect::None | KeyEffect::Works);
        !is_key_fine || matches!(health, HealthEffect::ModelFails | HealthEffect::HostFails)
    }

    /// The same outcome without its effect on keys. It applies if the client sent its own key, which no other client
    /// uses.
    pub(crate) const fn without_key(self) -> Self {
        match self.treatment().key {
            KeyEffect::None | KeyEffect::Works => self,
            KeyEffect::LimitsModel
            | KeyEffect::LimitsKey
            | KeyEffect::OutOfCredit
            | KeyEffect::Rejects
            | KeyEffect::RejectsModel => Self::RequestRefused,
        }
    }

    /// One to five words for logs and `/health`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::RequestRefused => "request refused",
            Self::RequestTooLarge => "request too large for its limit",
            Self::NotServedHere => "not served here",
            Self::TryAgain => "try again (408, 409)",
            Self::RateLimited { scope: LimitScope::Model, .. } => "rate limited",
            Self::RateLimited { scope: LimitScope::Account, .. } => "account rate limited",
            Self::OutOfCredit => "out of credit",
            Self::KeyRejected => "key rejected",
            Self::KeyForbidden => "key forbidden",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server error",
            Self::BrokenReply => "broken reply",
            Self::ReplyTooLarge => "reply too large",
            Self::SendAborted => "send aborted",
            Self::Unreachable => "unreachable",
            Self::Silent => "silent",
            Self::LocalFault => "local fault",
            Self::Cancelled => "cancelled",
            Self::NotCounted => "not counted",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn table() -> String {
        let mut table = String::from("| outcome | retry | key | health | answer |\n|---|---|---|---|---|\n");
        for outcome in Outcome::ALL {
            let Treatment { retry, key, health, answer } = outcome.treatment();
            let retry = match retry {
                Retry::No => "none",
                Retry::SameKey => "same key after a pause, then next target",
                Retry::NextKey => "next key, then next target",
                Retry::NextTarget => "next target",
            };
            let key = match key {
                KeyEffect::None => "–",
                KeyEffect::Works => "works again, for this model too",
                KeyEffect::LimitsModel => "cooldown of key and model",
                KeyEffect::LimitsKey => "cooldown of the key",
                KeyEffect::OutOfCredit => "cooldown of the key, 5 minutes",
                KeyEffect::Rejects => "cooldown of the key",
                KeyEffect::RejectsModel => "cooldown of key and model",
            };
            let health = match health {
                HealthEffect::None => "–",
                HealthEffect::HostWorks => "provider works",
                HealthEffect::ModelWorks => "provider and model work",
                HealthEffect::ModelFails => "counts against the model",
                HealthEffect::HostFails => "counts against the model; on two models, against the provider",
            };
            let label = outcome.label();
            writeln!(table, "| {label} | {retry} | {key} | {health} | {answer} |").unwrap();
        }
        table
    }

    #[test]
    fn the_documented_table_is_the_table_in_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/health.md");
        let page = std::fs::read_to_string(path).unwrap();
        println!("{}", table());
        assert!(page.contains(&table()), "copy the table that this test prints into docs/health.md");
    }

    #[test]
    fn failures_of_the_request_or_this_machine_are_not_adverse() {
        for outcome in [
            Outcome::RequestRefused,
            Outcome::RequestTooLarge,
            Outcome::NotServedHere,
            Outcome::TryAgain,
            Outcome::ReplyTooLarge,
            Outcome::SendAborted,
            Outcome::LocalFault,
            Outcome::Cancelled,
            Outcome::NotCounted,
        ] {
            assert!(!outcome.is_adverse(), "{outcome:?}");
        }
        for outcome in Outcome::ALL {
            let key = outcome.without_key().treatment().key;
            assert!(matches!(key, KeyEffect::None | KeyEffect::Works), "{outcome:?}");
        }
    }
}
