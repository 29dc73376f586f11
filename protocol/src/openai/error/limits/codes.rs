//! Reads `type`, `code` and `status`, which upstreams choose and clients cannot influence.

use serde_json::Value;

/// The longest code, in bytes.
const LONGEST: usize = 128;
/// The most codes of one reply.
const MOST: usize = 32;

/// Codes for an account without credit. The numbers are Z.ai's (docs.z.ai/api-reference/api-code).
const OUT_OF_CREDIT: [&str; 33] = [
    "1113",
    "1308",
    "1309",
    "1310",
    "account_overdue",
    "account_overdue_error",
    "arrearage",
    "billing_disabled",
    "billing_error",
    "billing_hard_limit_reached",
    "billing_not_active",
    "credit_balance_too_low",
    "credit_limit",
    "credit_limit_exceeded",
    "credits_exhausted",
    "exceeded_current_quota",
    "exceeded_current_quota_error",
    "insufficient_account_balance",
    "insufficient_balance",
    "insufficient_credit",
    "insufficient_credits",
    "insufficient_funds",
    "insufficient_quota",
    "insufficient_user_quota",
    "monthly_quota_exceeded",
    "out_of_credits",
    "payment_required",
    "pre_consume_token_quota_failed",
    "quota_exhausted",
    "some_resource_has_been_exhausted",
    "spending_limit_reached",
    "usage_limit_reached",
    "usage_not_included",
];

/// Codes for a key that is not accepted.
const KEY: [&str; 24] = [
    "1000",
    "1001",
    "1002",
    "1003",
    "1004",
    "account_deactivated",
    "authentication_error",
    "authentication_fails",
    "authentication_failed",
    "bad_credentials",
    "expired_token",
    "expired_token_exception",
    "incomplete_signature_exception",
    "invalid_authentication",
    "invalid_authentication_error",
    "invalid_signature_exception",
    "invalid_token",
    "organization_disabled",
    "token_expired",
    "unauthenticated",
    "unauthenticated_bad_credentials",
    "unauthorized",
    "unauthorized_error",
    "unrecognized_client_exception",
];

/// Codes for a key without the required permission.
const PERMISSION: [&str; 4] = [
    "access_denied_exception",
    "missing_scope",
    "missing_scopes",
    "the_caller_does_not_have_permission_to_execute_the_specified_operation",
];

const BAD: [&str; 11] = [
    "blocked",
    "deactivated",
    "disabled",
    "expired",
    "incorrect",
    "invalid",
    "missing",
    "rejected",
    "revoked",
    "unknown",
    "wrong",
];
const KEYS: [&str; 5] = ["apikey", "credential", "credentials", "key", "keys"];
const BESIDE_KEY: [&str; 10] =
    ["access", "api", "auth", "error", "exception", "is", "provided", "service", "the", "user"];
const NOT_ALLOWED: [&str; 7] = ["denied", "error", "forbidden", "insufficient", "missing", "not", "required"];
const ACCOUNTS: [&str; 9] = [
    "account",
    "org",
    "organisation",
    "organization",
    "project",
    "subscription",
    "team",
    "tenant",
    "workspace",
];
const LIMITED: [&str; 9] =
    ["exceeded", "exhausted", "limit", "limited", "quota", "rate", "requests", "restricted", "throttled"];
const CONTENT_OR_COUNTRY: [&str; 10] = [
    "content",
    "country",
    "filter",
    "flagged",
    "location",
    "moderation",
    "policy",
    "region",
    "safety",
    "territory",
];

/// The codes of a reply, each in `snake_case`.
#[derive(Default)]
pub(super) struct Codes(Vec<String>);

impl Codes {
    /// Adds the codes of an error object, or of its containing object if it has none.
    pub(super) fn read(&mut self, outer: &Value, inner: &Value) {
        for field in ["code", "type", "status", "reason", "__type", "error_code"] {
            let found = inner.get(field).filter(|found| !found.is_null());
            self.add(found.or_else(|| outer.get(field)));
        }
        let Some(details) = inner.get("details") else { return };
        self.add(details.get("error_code"));
        // google.rpc.ErrorInfo and google.rpc.QuotaFailure.
        for detail in details.as_array().into_iter().flatten().take(MOST) {
            self.add(detail.get("reason"));
            for violation in
                detail.get("violations").and_then(Value::as_array).into_iter().flatten().take(MOST)
            {
                self.add(violation.get("quotaId"));
            }
        }
    }

    fn add(&mut self, value: Option<&Value>) {
        let Some(value) = value else { return };
        let word = match value.as_str() {
            // AWS: `com.amazon.coral.service#ThrottlingException`.
            Some(text) => snake(text.rsplit('#').next().unwrap_or_default()),
            None => value.as_u64().map(|number| number.to_string()).unwrap_or_default(),
        };
        if !word.is_empty() && self.0.len() < MOST {
            self.0.push(word);
        }
    }

    pub(super) fn name_lack_of_credit(&self) -> bool {
        self.is_any(&OUT_OF_CREDIT)
    }

    pub(super) fn name_size(&self) -> bool {
        self.is_any(&[
            "payload_too_large",
            "request_entity_too_large",
            "request_too_large",
            "tokens_limit_reached",
        ])
    }

    /// Whether the codes name the account. Limits of one model are not limits of the account, although they apply to
    /// all of its keys.
    pub(super) fn name_account(&self) -> bool {
        let wide = |word: &String| has(word, &ACCOUNTS) && has(word, &LIMITED) && !has(word, &["model"]);
        self.0.iter().any(wide)
    }

    pub(super) fn name_key(&self) -> bool {
        let known = |part: &str| [&BAD[..], &KEYS, &BESIDE_KEY].iter().any(|parts| parts.contains(&part));
        // `missing_required_key` is about a field, not an API key.
        let key = |word: &String| has(word, &KEYS) && has(word, &BAD) && word.split('_').all(known);
        self.is_any(&KEY) || self.0.iter().any(key)
    }

    pub(super) fn name_permission(&self) -> bool {
        let permission = |word: &String| has(word, &["permission", "permissions"]) && has(word, &NOT_ALLOWED);
        self.is_any(&PERMISSION) || self.0.iter().any(permission)
    }

    pub(super) fn name_content_or_country(&self) -> bool {
        self.0.iter().any(|word| has(word, &CONTENT_OR_COUNTRY))
    }

    pub(super) fn name_overload(&self) -> bool {
        self.0.iter().any(|word| has(word, &["overload", "overloaded"]))
    }

    /// Whether this is Google's status for all limits and quotas.
    pub(super) fn are_google_limit(&self) -> bool {
        self.is_any(&["resource_exhausted"])
    }

    fn is_any(&self, known: &[&str]) -> bool {
        self.0.iter().any(|word| known.contains(&&**word))
    }
}

/// Whether the code contains one of these parts.
fn has(word: &str, parts: &[&str]) -> bool {
    word.split('_').any(|part| parts.contains(&part))
}

/// Normalises `AccountOverdueError`, `permission-denied` and `RESOURCE_EXHAUSTED` to one form. Returns an empty string
/// for a long text.
fn snake(text: &str) -> String {
    let mut snake = String::new();
    if text.len() > LONGEST {
        return snake;
    }
    let letters: Vec<char> = text.chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at)).copied().unwrap_or('_');
        let after = letters.get(at + 1).copied().unwrap_or('_');
        let begins = letter.is_ascii_uppercase()
            && (before.is_ascii_lowercase() || (before.is_ascii_uppercase() && after.is_ascii_lowercase()));
        let separates = !letter.is_alphanumeric();
        if (begins || separates) && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        if !separates {
            snake.push(letter.to_ascii_lowercase());
        }
    }
    snake.truncate(snake.trim_end_matches('_').len());
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendors_spelling_becomes_one() {
        for (text, expected) in [
            ("AccountOverdueError", "account_overdue_error"),
            ("APIKeyInvalid", "api_key_invalid"),
            ("permission-denied", "permission_denied"),
            ("RESOURCE_EXHAUSTED", "resource_exhausted"),
            ("unauthenticated:bad-credentials", "unauthenticated_bad_credentials"),
            ("Some resource has been exhausted.", "some_resource_has_been_exhausted"),
            ("Arrearage", "arrearage"),
            ("é", "é"),
            ("-", ""),
        ] {
            assert_eq!(snake(text), expected, "{text}");
        }
        assert_eq!(snake(&"x".repeat(LONGEST + 1)), "");
    }
}
