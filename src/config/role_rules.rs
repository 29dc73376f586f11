//! `[routing]` and the `routing` of profiles: targets by role.

use config::ValueKind;
use vandamme_actors::roles::{AGENT_TYPES, NoRole, Role, RoleRules};
use vandamme_actors::settings::EVERY_NAME;

use super::layer::{LocatedText, Section};
use super::raw::Raw;
use super::schema::suggestion;
use super::value_type::ValueType;

pub(super) const TABLE: &str = "routing";
/// The role whose value can be a table of types.
pub(super) const SUBAGENT: &str = "subagent";
const THRESHOLD: &str = "long-context-threshold";

/// The most targets of one role.
const MOST: usize = 16;

/// The role of a type of subagents, or of all types.
pub(super) fn subagent(agent_type: &str) -> String {
    if agent_type == EVERY_NAME { SUBAGENT.to_owned() } else { format!("{SUBAGENT}.{agent_type}") }
}

/// Checks an entry of the table. Returns its name as roles are printed; the layers carry a list with line ends between.
pub(super) fn entry(name: &str, raw: Raw<'_>) -> Result<(String, ValueKind), String> {
    if name == THRESHOLD {
        return ValueType::Count(1).check(raw).map(|count| (name.to_owned(), count));
    }
    let role = Role::parse(name).map_err(|why| unknown(name, why))?;
    let targets = match raw {
        Raw::Text(text) => Some(vec![text.trim()]),
        Raw::Array(_) => raw.words(),
        Raw::Integer(_) | Raw::Float(_) | Raw::Boolean(_) | Raw::Other(_) => None,
    };
    let is_valid = |targets: &Vec<&str>| {
        (1..=MOST).contains(&targets.len()) && targets.iter().all(|target| is_name(target))
    };
    let targets = targets.filter(is_valid).ok_or_else(|| {
        format!("expected a target, \"provider:model\" or an alias, or a list of up to {MOST} targets")
    })?;
    Ok((role.to_string(), targets.join("\n").into()))
}

/// The name of a model is one line without blanks around it.
fn is_name(text: &str) -> bool {
    !text.trim_start_matches('!').is_empty() && !text.ends_with(':') && !text.chars().any(char::is_control)
}

fn unknown(name: &str, why: NoRole) -> String {
    let names = || Role::names().chain([THRESHOLD]);
    match why {
        NoRole::UnknownType => match near_type(name) {
            Some(near) => format!("there is no such type of subagents; did you mean \"{near}\"?"),
            None => format!(
                "there is no such type of subagents; Claude Code sends {}. It sends \"custom\" for every agent that you have \
                 defined yourself, whatever its name; set \"model\" in that agent's file instead",
                AGENT_TYPES.join(", ")
            ),
        },
        NoRole::Unknown => match suggestion(name, names()) {
            Some(near) => format!("there is no such role; did you mean \"{near}\"?"),
            None => format!(
                "there is no such role; known here: {}, subagent.TYPE",
                names().collect::<Vec<_>>().join(", ")
            ),
        },
    }
}

/// The type that is nearest to that of `subagent.TYPE`, if one is near.
fn near_type(name: &str) -> Option<&'static str> {
    let (_, written) = name.split_once('.')?;
    let written = written.to_ascii_lowercase();
    AGENT_TYPES.into_iter().find(|known| strsim::osa_distance(&written, &known.to_ascii_lowercase()) <= 2)
}

/// The rules of a table that has `routing`.
pub(super) fn read(section: Section<'_>) -> RoleRules {
    let table = section.section(TABLE);
    let targets = table.texts().into_iter().filter_map(|(name, targets)| {
        Some((Role::parse(name).ok()?, each(targets).map(str::to_owned).collect()))
    });
    RoleRules {
        targets: targets.collect(),
        long_context_threshold: table.count(THRESHOLD).and_then(|count| count.try_into().ok()),
    }
}

/// The targets of one role.
pub(super) fn each(targets: LocatedText<'_>) -> impl Iterator<Item = &str> {
    targets.text.lines()
}
