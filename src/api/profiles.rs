//! `GET /v1/profiles` and `/profiles`: the profiles and their aliases.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use vandamme_actors::routing::Unroutable;
use vandamme_actors::settings::{Api, Fallbacks, Profile, ProfileSource, Settings};

use super::endpoint;
use crate::gateway::Gateway;
use crate::request_id::RequestId;

/// What "no limit" arrives as in the settings, in seconds.
const A_YEAR: f64 = 365.0 * 86_400.0;

/// All of them by name.
#[derive(Debug, Serialize)]
pub(crate) struct Profiles<'a> {
    object: &'static str,
    pub(crate) data: Vec<ProfileList<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ProfileList<'a> {
    pub(crate) name: &'a str,
    /// Seconds; 0 for ever, `null` as the provider's.
    timeout: Option<f64>,
    max_retries: Option<u32>,
    alias_count: usize,
    pub(crate) aliases: &'a BTreeMap<String, String>,
    /// Where requests go when the target of an alias fails.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fallbacks: &'a Fallbacks,
    source: &'static str,
    pub(crate) default: bool,
    /// Why it cannot be used, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inactive: Option<&'a str>,
    /// The variable that each inactive alias needs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    inactive_aliases: BTreeMap<&'a str, &'a str>,
}

impl<'a> Profiles<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        let default = settings.default_profile.as_ref();
        let told = |profile: &'a Arc<Profile>| ProfileList {
            name: &profile.name,
            timeout: profile.timeout.map(seconds),
            max_retries: profile.max_retries,
            alias_count: profile.aliases.len(),
            aliases: &profile.aliases,
            fallbacks: &profile.fallbacks,
            source: word(profile.source),
            default: default == Some(&profile.name),
            inactive: profile.inactive.as_deref(),
            inactive_aliases: profile
                .inactive_aliases
                .iter()
                .map(|(alias, provider)| (alias.as_str(), provider.missing.as_str()))
                .collect(),
        };
        let mut data: Vec<_> = settings.profiles.iter().map(told).collect();
        data.sort_by_key(|profile| profile.name);
        Self { object: "list", data }
    }
}

fn seconds(timeout: Duration) -> f64 {
    let seconds = timeout.as_secs_f64();
    if seconds < A_YEAR { seconds } else { 0.0 }
}

fn word(source: ProfileSource) -> &'static str {
    match source {
        ProfileSource::Package => "package",
        ProfileSource::User => "user",
        ProfileSource::Local => "local",
        ProfileSource::Given => "given",
    }
}

pub(super) async fn list(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    match endpoint::admitted(&request, &gateway) {
        Ok(_admission) => HttpResponse::Ok().json(Profiles::new(&gateway.live_config().settings)),
        Err(refused) => refused.response(Api::Messages, &id),
    }
}

/// The profile of this name (`#` may stand before it), or without a name the default one; `None` when no profile is meant. A
/// provider is meant where the profile of its name is inactive.
pub(super) fn requested(settings: &Settings, name: Option<&str>) -> Option<Result<Arc<Profile>, Unroutable>> {
    let find = |name: &str| settings.profiles.iter().find(|profile| profile.name.eq_ignore_ascii_case(name));
    let Some(name) = name else {
        let profile = find(settings.default_profile.as_ref()?)?;
        return profile.inactive.is_none().then(|| Ok(profile.clone()));
    };
    let profile = find(name.strip_prefix('#').unwrap_or(name))?;
    let Some(why) = profile.inactive.clone() else { return Some(Ok(profile.clone())) };
    let provider = settings.providers.iter().any(|provider| provider.name.eq_ignore_ascii_case(name));
    (!provider).then(|| Err(Unroutable::InactiveProfile { name: profile.name.to_string(), why }))
}

/// Its active aliases as a list of models.
pub(super) fn models_of(profile: &Profile) -> Vec<u8> {
    #[derive(Serialize)]
    struct ProfileModel<'a> {
        id: &'a str,
        alias: &'a str,
        owned_by: &'a str,
    }
    let usable = profile.aliases.iter().filter(|(alias, _)| !profile.inactive_aliases.contains_key(*alias));
    let models = usable.map(|(alias, target)| {
        let owner = target.trim_start_matches('!').split_once(':').map_or("", |(provider, _)| provider);
        ProfileModel { id: target, alias, owned_by: owner }
    });
    // Strings: nothing in it can fail.
    serde_json::to_vec(&models.collect::<Vec<_>>()).unwrap_or_default()
}
