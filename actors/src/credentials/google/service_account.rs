//! Tokens of a service account, by a signed assertion (developers.google.com/identity/protocols/oauth2/service-account).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use serde_json::json;

use super::token_endpoint::{FormValue, post_form, token_of};
use super::{SCOPE, TOKEN_URL, parse};
use crate::clock;
use crate::credentials::http::CredentialHttp;
use crate::credentials::{AccessToken, CredentialError};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const LIFE_SECONDS: u64 = 3600;

#[derive(Deserialize)]
struct ServiceAccount {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: Option<String>,
}

pub(super) async fn fetch(
    text: &str,
    place: &str,
    http: &CredentialHttp,
) -> Result<AccessToken, CredentialError> {
    let account: ServiceAccount = parse(text, place)?;
    let assertion = assertion(&account, place, clock::wall() / 1000)?;
    let form = [("grant_type", FormValue::Plain(GRANT)), ("assertion", FormValue::Secret(&assertion))];
    let from = format!("the service account {} of {place}", account.client_email);
    let url = account.token_uri.as_deref().unwrap_or(TOKEN_URL);
    token_of(&post_form(http, url, &form).await?, &from)
}

/// A JSON Web Token with which the account asks for an access token.
fn assertion(account: &ServiceAccount, place: &str, now: u64) -> Result<String, CredentialError> {
    let unusable = || {
        CredentialError::refused(format!(
            "the private_key in {place} is no RSA key in PKCS #8; download the key file again"
        ))
    };
    let key =
        RsaKeyPair::from_pkcs8(&pkcs8(&account.private_key).ok_or_else(unusable)?).map_err(|_| unusable())?;
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": account.private_key_id});
    let claims = json!({
        "iss": account.client_email,
        "scope": SCOPE,
        "aud": account.token_uri.as_deref().unwrap_or(TOKEN_URL),
        "iat": now,
        "exp": now + LIFE_SECONDS,
    });
    let encoded = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut token = format!("{}.{}", encoded(header), encoded(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
        .map_err(|_| unusable())?;
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Ok(token)
}

/// The bytes of a key in PEM.
fn pkcs8(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (text, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let text: String = text.split_whitespace().collect();
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        for private_key in ["secret", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"] {
            let account = ServiceAccount {
                client_email: "a@b".to_owned(),
                private_key: private_key.to_owned(),
                private_key_id: None,
                token_uri: None,
            };
            let error = assertion(&account, "f", 0).unwrap_err().to_string();
            assert!(
                error.contains("PKCS #8") && !error.contains("c2Vj") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
