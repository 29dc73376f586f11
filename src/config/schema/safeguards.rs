//! The settings of `[safeguards]`.

use super::{SettingDeclaration, SettingList};
use crate::config::value_type::KeyType::Value;
use crate::config::value_type::ValueType::{Flag, Text};

pub(in crate::config) const SAFEGUARDS: SettingList = &[
    SettingDeclaration::new(
        "judge",
        Value(Text),
        "Model that judges tool calls for Claude Code's auto mode, as `PROVIDER:MODEL` or an alias, for all providers that do not \
         serve Claude. Without it, the gateway answers that it does not judge.",
    )
    .with_variable("VDM_SAFEGUARDS_JUDGE")
    .with_example("\"openai:gpt-5-mini\"")
    .with_guide("auto-mode.md"),
    SettingDeclaration::new(
        "shadow",
        Value(Flag),
        "Whether the judge's verdicts are only recorded. Clients then get the same answer as without a judge.",
    )
    .with_implied_default("false")
    .with_variable("VDM_SAFEGUARDS_SHADOW")
    .with_guide("auto-mode.md#try-a-judge-in-shadow-mode"),
];
