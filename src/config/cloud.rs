//! Providers in a cloud: when they are registered, their region and project, the form of their requests, and the identity whose
//! credentials they use.
//!
//! General variables of AWS and Google, such as `AWS_PROFILE`, register nothing: most machines have them for other programs.

use std::sync::Arc;

use vandamme_actors::credentials;
use vandamme_actors::settings::{
    AwsIdentity, CloudIdentity, CloudVariables, GoogleIdentity, MessagesForm, PartialProvider,
};

use super::base_url::{self, PLACEHOLDERS};
use super::builder::Builder;
use super::cloud_presets::{AWS_REGIONS, VARIABLES, preset};
use super::environment::prefix;
use super::error::ConfigError;
use super::layer::{LocatedText, Section};
use super::value_type::{AWS, GOOGLE};
use super::variables::{EnvironmentVariable, Variables};

/// The words of `api-format` for a cloud's form of Messages.
pub(super) const BEDROCK_FORM: &str = "bedrock";
pub(super) const VERTEX_FORM: &str = "vertex";

/// The names of sections that a user's file has, in the merged layers.
pub(super) const SECTIONS: &str = "cloud-sections";

/// Vertex AI's host for a region, and those of the regions that have another one (docs.claude.com, Claude on Vertex AI).
const VERTEX_HOST: &str = "https://{region}-aiplatform.googleapis.com";
const VERTEX_GLOBAL: &str = "https://aiplatform.googleapis.com";

/// The values of a variable that turn nothing on, in any case.
const UNTRUE: [&str; 5] = ["", "0", "false", "no", "off"];

/// What a provider in a cloud is configured with.
#[derive(Default)]
pub(super) struct CloudSettings {
    pub(super) form: MessagesForm,
    pub(super) identity: Option<CloudIdentity>,
    /// For `anthropic-workspace-id`, where it is not a part of the base URL.
    pub(super) workspace: Option<String>,
}

fn set<'v>(variables: &'v Variables, name: &str) -> Option<&'v EnvironmentVariable> {
    variables.find(name).filter(|variable| !variable.text.trim().is_empty())
}

fn first_set<'v>(variables: &'v Variables, names: &[&str]) -> Option<&'v EnvironmentVariable> {
    names.iter().find_map(|name| set(variables, name))
}

impl<'a> Builder<'a> {
    /// The key or the mode of a cloud's provider that is meant to be used; `None` for every other one.
    pub(super) fn cloud_access(&self, name: &str) -> Option<LocatedText<'a>> {
        let preset = preset(name)?;
        let located = |variable: &'a EnvironmentVariable| LocatedText {
            text: variable.text.trim(),
            place: &variable.place,
        };
        let key = first_set(self.variables, preset.keys).map(located);
        if preset.key_registers && key.is_some() {
            return key;
        }
        let section = self.merged.root().section(SECTIONS).text(name).map(|section| section.place);
        let used = preset.use_variable.and_then(|name| set(self.variables, name));
        let used = used.filter(|used| !UNTRUE.iter().any(|word| used.text.trim().eq_ignore_ascii_case(word)));
        // A client's shell: it is the gateway that the client uses as its cloud.
        let used = used.filter(|_| !preset.base_url.is_some_and(|url| self.is_own_url(url)));
        let place = section.or(used.map(|used| used.place.as_str()))?;
        key.or(Some(LocatedText { text: preset.mode, place }))
    }

    fn is_own_url(&self, variable: &str) -> bool {
        let url = set(self.variables, variable).and_then(|url| base_url::parse(url.text.trim()).ok());
        url.is_some_and(|url| self.listener.is(&url))
    }

    /// The base URL of a cloud's provider by a variable of Claude Code's, which is above the built-in one.
    pub(super) fn cloud_base_url(&self, name: &str) -> Option<LocatedText<'a>> {
        let variable = preset(name)?.base_url.filter(|url| !self.is_own_url(url))?;
        let found = set(self.variables, variable)?;
        Some(LocatedText { text: found.text.trim(), place: &found.place })
    }

    /// The base URL with its placeholders filled in; `None` if a setting is missing, which is reported elsewhere.
    pub(super) fn filled_base_url(&self, name: &str, text: &str) -> Option<String> {
        if !text.contains('{') {
            return Some(text.to_owned());
        }
        let text = match (text.strip_prefix(VERTEX_HOST), self.region(name).as_deref()) {
            (Some(rest), Some("global")) => format!("{VERTEX_GLOBAL}{rest}"),
            (Some(rest), Some(region @ ("us" | "eu"))) => {
                format!("https://aiplatform.{region}.rep.googleapis.com{rest}")
            }
            _ => text.to_owned(),
        };
        PLACEHOLDERS.iter().try_fold(text, |text, placeholder| {
            let marked = format!("{{{placeholder}}}");
            if !text.contains(&marked) {
                return Some(text);
            }
            Some(text.replace(&marked, &self.placeholder(name, placeholder)?))
        })
    }

    fn placeholder(&self, name: &str, placeholder: &str) -> Option<String> {
        match placeholder {
            "region" => self.region(name),
            "project" => self.project(name),
            _ => self.workspace(name),
        }
    }

    fn own(&self, name: &str, key: &str) -> Option<&'a str> {
        let section = self.section(self.merged, name);
        section.text(key).map(|it| it.text.trim()).filter(|text| !text.is_empty())
    }

    fn region(&self, name: &str) -> Option<String> {
        if let Some(region) = self.own(name, "region") {
            return Some(region.to_owned());
        }
        let (names, default) = preset(name).map_or((AWS_REGIONS, None), |it| (it.region, it.default_region));
        let by_variable = first_set(self.variables, names).map(|variable| variable.text.trim().to_owned());
        by_variable.or_else(|| default.map(str::to_owned)).or_else(|| self.region_of_profile(name))
    }

    /// The region of the AWS profile.
    fn region_of_profile(&self, name: &str) -> Option<String> {
        let is_aws =
            preset(name).map_or_else(|| self.own(name, "auth-mode") == Some(AWS), |it| it.mode == AWS);
        if !is_aws {
            return None;
        }
        let variables = self.cloud_variables();
        let profile =
            self.own(name, "aws-profile").or_else(|| variables.get("AWS_PROFILE")).unwrap_or("default");
        credentials::region_of_profile(&variables, profile)
    }

    fn project(&self, name: &str) -> Option<String> {
        if let Some(project) = self.own(name, "project") {
            return Some(project.to_owned());
        }
        let by_variable =
            first_set(self.variables, preset(name).map_or(&["GOOGLE_CLOUD_PROJECT"][..], |it| it.project));
        by_variable
            .map(|variable| variable.text.trim().to_owned())
            .or_else(|| credentials::project_of_file(&self.google_identity(name)))
    }

    fn workspace(&self, name: &str) -> Option<String> {
        let by_variable =
            || set(self.variables, preset(name)?.workspace?).map(|variable| variable.text.trim());
        self.own(name, "workspace").or_else(by_variable).map(str::to_owned)
    }

    fn cloud_variables(&self) -> CloudVariables {
        let found = VARIABLES.iter().filter_map(|name| {
            set(self.variables, name).map(|variable| ((*name).to_owned(), variable.text.trim().to_owned()))
        });
        found.collect()
    }

    fn google_identity(&self, name: &str) -> GoogleIdentity {
        GoogleIdentity {
            credentials_file: self.own(name, "google-credentials").map(Into::into),
            variables: self.cloud_variables(),
        }
    }

    /// What the cloud's provider lacks, with the variable that would complete it. It stays out, with a warning: most of such
    /// settings are another program's.
    pub(super) fn is_incomplete(
        &mut self,
        name: &str,
        access: LocatedText<'_>,
        base_url: Option<&str>,
    ) -> bool {
        let section = self.section(self.merged, name);
        let needs =
            |placeholder: &str| base_url.is_some_and(|url| url.contains(&format!("{{{placeholder}}}")));
        let is_vertex =
            section.text("api-format").is_some_and(|format| format.text.eq_ignore_ascii_case(VERTEX_FORM));
        let is_signed = access.text == AWS || section.text("auth-mode").is_some_and(|mode| mode.text == AWS);
        let mut missing = None;
        if (needs("region") || is_vertex || is_signed) && self.region(name).is_none() {
            missing = Some(("region", preset(name).and_then(|preset| preset.region.first().copied())));
        } else if (needs("project") || is_vertex) && self.project(name).is_none() {
            missing = Some(("project", preset(name).and_then(|preset| preset.project.first().copied())));
        } else if needs("workspace") && self.workspace(name).is_none() {
            missing = Some(("workspace", preset(name).and_then(|preset| preset.workspace)));
        }
        let Some((what, variable)) = missing else { return false };
        let own = format!("{}_{}", prefix(name), what.to_ascii_uppercase());
        let or = variable.map_or_else(String::new, |variable| format!(" or {variable}"));
        self.warnings
            .push(format!("{}: {name} has no {what}, so it cannot be used; set {own}{or}", access.place));
        self.partial.push(PartialProvider { name: name.to_owned(), missing: own });
        true
    }

    /// The form and the identity of a provider that has all it needs.
    pub(super) fn cloud_settings(
        &self,
        name: &str,
        section: Section<'a>,
        access: LocatedText<'_>,
        base_url: &str,
    ) -> Result<CloudSettings, ConfigError> {
        let region: Arc<str> = self.region(name).unwrap_or_default().into();
        let format = section.text("api-format").map_or("", |format| format.text.trim());
        let form = if format.eq_ignore_ascii_case(BEDROCK_FORM) {
            MessagesForm::InvokeModel { profile: self.inference_profile(name, &region) }
        } else if format.eq_ignore_ascii_case(VERTEX_FORM) {
            let project = self.project(name).unwrap_or_default().into();
            MessagesForm::RawPredict { project, location: region.clone() }
        } else {
            MessagesForm::Native
        };
        let stated = section.text("auth-mode").map(|mode| mode.text);
        let mode = stated.unwrap_or(access.text);
        let built_without = |cloud: &str| {
            ConfigError::new(access.place, format!("this vdm was built without the feature '{cloud}'"))
        };
        let identity = match mode {
            AWS if !credentials::HAS_AWS => return Err(built_without(AWS)),
            GOOGLE if !credentials::HAS_GOOGLE => return Err(built_without(GOOGLE)),
            AWS => Some(CloudIdentity::Aws(AwsIdentity {
                service: self.own(name, "aws-service").unwrap_or_else(|| service(base_url)).into(),
                profile: self.own(name, "aws-profile").map(Into::into),
                variables: self.cloud_variables(),
                region,
            })),
            GOOGLE => Some(CloudIdentity::Google(self.google_identity(name))),
            _ => None,
        };
        let workspace = self.workspace(name).filter(|_| !base_url.contains("/workspaces/"));
        Ok(CloudSettings { form, identity, workspace })
    }

    /// The prefix of inference profiles, such as `us`.
    fn inference_profile(&self, name: &str, region: &str) -> Arc<str> {
        let by_variable =
            || set(self.variables, "ANTHROPIC_BEDROCK_REGION_PREFIX").map(|variable| variable.text.trim());
        let stated = self.own(name, "inference-profile").or_else(by_variable);
        stated.map_or_else(|| profile_of_region(region), |stated| stated.trim_end_matches('.')).into()
    }
}

/// The inference profiles that a region takes part in
/// (docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html).
fn profile_of_region(region: &str) -> &'static str {
    match region {
        "ap-northeast-1" | "ap-northeast-3" => "jp",
        "ap-southeast-2" | "ap-southeast-4" => "au",
        _ if region.starts_with("us-gov-") => "us-gov",
        _ if region.starts_with("us-") || region.starts_with("ca-") => "us",
        _ if region.starts_with("eu-") => "eu",
        _ if region.starts_with("ap-") => "apac",
        _ => "global",
    }
}

/// The name of the service in signatures, by the host.
fn service(base_url: &str) -> &'static str {
    let hosts =
        [("bedrock-mantle.", "bedrock-mantle"), ("aws-external-anthropic.", "aws-external-anthropic")];
    hosts.into_iter().find(|(host, _)| base_url.contains(host)).map_or("bedrock", |(_, service)| service)
}
