//! The settings of a profile: `["#NAME"]`.

use super::{SettingDeclaration, SettingList};
use crate::config::value_type::KeyType::{Fallbacks, Routing, Targets, Value};
use crate::config::value_type::ValueType::{Count, Seconds};

pub(in crate::config) const PROFILE: SettingList = &[
    SettingDeclaration::new("timeout", Value(Seconds), "As in `[defaults]`, for requests through the profile.").with_example("100"),
    SettingDeclaration::new("max-retries", Value(Count(0)), "As in `[defaults]`, for requests through the profile.").with_example("4"),
    SettingDeclaration::new(
        "fallbacks",
        Fallbacks,
        "The next targets if the target of one of the profile's names cannot serve a request, in the same forms as the fallbacks of \
         a provider.",
    )
    .with_example("[\"openrouter:openai/gpt-6.1-sol\"]")
    .with_guide("#fail-over-to-another-provider"),
    SettingDeclaration::new(
        "routing",
        Routing,
        "Targets by the role of a request through the profile (`NAME:model`), as in `[routing]`, which does not apply to such \
         requests.",
    )
    .with_example("{ background = \"haiku\" }")
    .with_guide("routing.md"),
    SettingDeclaration::new("aliases", Targets, "Names for targets of any provider.")
        .with_example("haiku = \"openai:gpt-6-luna\"\nopus = \"anthropic:opus\"")
        .with_guide("#group-models-in-a-profile"),
];
