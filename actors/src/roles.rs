//! The role of a request: what a client sends it for. `[routing]` sends roles to models of their own.
//!
//! A role is decided by Claude Code's hint headers if they are there, otherwise by the request's body. It reads one request
//! only, and rules on the body read the whole history, which only grows. So a session keeps its route without any memory.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;

use vandamme_protocol::request::{Sign, Signs};
use vandamme_protocol::tokens;

/// What a request is for, in the order in which the rules are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    WebSearch,
    Classifier,
    Compaction,
    SubagentOfType(AgentType),
    Subagent,
    Auxiliary,
    Image,
    LongContext,
    Think,
    Background,
}

/// The type of a subagent, as Claude Code names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentType(&'static str);

/// The types that Claude Code 2.1.332 sends: its built-in agents, then `custom` for every agent that a user has defined,
/// `teammate` and `fork` (code.claude.com/docs/en/llm-gateway-protocol).
pub const AGENT_TYPES: [&str; 8] =
    ["Explore", "Plan", "general-purpose", "claude", "statusline-setup", "custom", "teammate", "fork"];

/// The roles without a type, in order.
const PLAIN: [(Role, &str); 9] = [
    (Role::WebSearch, "web-search"),
    (Role::Classifier, "classifier"),
    (Role::Compaction, "compaction"),
    (Role::Subagent, "subagent"),
    (Role::Auxiliary, "auxiliary"),
    (Role::Image, "image"),
    (Role::LongContext, "long-context"),
    (Role::Think, "think"),
    (Role::Background, "background"),
];

/// The prefix of the roles of one type of subagents.
const OF_TYPE: &str = "subagent.";

/// Why a name is not a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRole {
    Unknown,
    /// `subagent.` and an unknown type.
    UnknownType,
}

impl Role {
    /// The names of the roles without a type.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PLAIN.into_iter().map(|(_, name)| name)
    }

    /// The role of a name in `[routing]`.
    ///
    /// # Errors
    /// When there is none.
    pub fn parse(name: &str) -> Result<Self, NoRole> {
        if let Some((role, _)) = PLAIN.into_iter().find(|(_, known)| *known == name) {
            return Ok(role);
        }
        let agent_type = name.strip_prefix(OF_TYPE).ok_or(NoRole::Unknown)?;
        AgentType::parse(agent_type).map(Self::SubagentOfType).ok_or(NoRole::UnknownType)
    }
}

impl AgentType {
    /// Ignores case.
    fn parse(name: &str) -> Option<Self> {
        AGENT_TYPES.into_iter().find(|known| known.eq_ignore_ascii_case(name)).map(Self)
    }
}

/// As in `[routing]`.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubagentOfType(AgentType(name)) => write!(f, "{OF_TYPE}{name}"),
            Self::WebSearch
            | Self::Classifier
            | Self::Compaction
            | Self::Subagent
            | Self::Auxiliary
            | Self::Image
            | Self::LongContext
            | Self::Think
            | Self::Background => {
                let name = PLAIN.iter().find(|(role, _)| role == self).map_or("", |(_, name)| name);
                f.write_str(name)
            }
        }
    }
}

/// `[routing]`, or that of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleRules {
    /// The targets of each role, the first one and its fallbacks.
    pub targets: BTreeMap<Role, Vec<String>>,
    /// A request of more tokens has the role `long-context`; `None` for the default.
    pub long_context_threshold: Option<u64>,
}

impl RoleRules {
    /// Whether a rule needs Claude Code's hint headers, or is exact only with them.
    pub fn use_hints(&self) -> bool {
        self.targets.keys().any(|role| match role {
            Role::Compaction | Role::SubagentOfType(_) | Role::Subagent | Role::Auxiliary => true,
            Role::WebSearch
            | Role::Classifier
            | Role::Image
            | Role::LongContext
            | Role::Think
            | Role::Background => false,
        })
    }
}

/// The default of [`RoleRules::long_context_threshold`].
pub const LONG_CONTEXT: u64 = 60_000;

/// What Claude Code says about a request in its headers. All but the agent's id are sent only with
/// `CLAUDE_CODE_GATEWAY_HINT_HEADERS=1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints<'a> {
    pub class: Option<&'a str>,
    pub agent_type: Option<&'a str>,
    /// What caused the compaction for which this request is sent.
    pub compaction: Option<&'a str>,
    pub agent_id: Option<&'a str>,
}

/// The headers of [`Hints`].
pub const CLASS_HEADER: &str = "x-claude-code-request-class";
pub const AGENT_TYPE_HEADER: &str = "x-claude-code-agent-type";
pub const COMPACTION_HEADER: &str = "x-claude-code-compaction";
pub const AGENT_ID_HEADER: &str = "x-claude-code-agent-id";

impl<'a> Hints<'a> {
    /// `header` returns the value of a header.
    pub fn read(header: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        let word = |name| header(name).map(str::trim).filter(|value| !value.is_empty());
        Self {
            class: word(CLASS_HEADER),
            agent_type: word(AGENT_TYPE_HEADER),
            compaction: word(COMPACTION_HEADER),
            agent_id: word(AGENT_ID_HEADER),
        }
    }
}

/// What the body of a request shows. It is read only if a rule depends on it.
pub trait BodyFacts {
    fn has(&self, sign: Sign) -> bool;

    /// The estimated number of its tokens.
    fn tokens(&self) -> u64;
}

/// The body of a request, read when a rule depends on it.
pub struct ReadBody<'b> {
    body: &'b [u8],
    signs: OnceCell<Signs>,
}

impl<'b> ReadBody<'b> {
    pub fn new(body: &'b [u8]) -> Self {
        Self { body, signs: OnceCell::new() }
    }
}

impl BodyFacts for ReadBody<'_> {
    fn has(&self, sign: Sign) -> bool {
        self.signs.get_or_init(|| Signs::of_body(self.body)).has(sign)
    }

    /// 0 for a body that is not a request.
    fn tokens(&self) -> u64 {
        tokens::messages(self.body).unwrap_or_default()
    }
}

/// Why a request has its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleReason {
    /// A header has this value.
    Header(&'static str),
    Tool,
    Prompt,
    Image,
    Tokens {
        estimated: u64,
        threshold: u64,
    },
    Think,
    /// The model's name.
    Haiku,
}

impl fmt::Display for RoleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "by its header {name}"),
            Self::Tool => f.write_str("it has a search tool of the provider"),
            Self::Prompt => f.write_str("by its prompt"),
            Self::Image => f.write_str("its messages contain an image"),
            Self::Tokens { estimated, threshold } => {
                write!(f, "it has about {estimated} tokens, more than {threshold}")
            }
            Self::Think => f.write_str("it requests thinking with a budget or a raised effort"),
            Self::Haiku => f.write_str("the model's name contains 'haiku'"),
        }
    }
}

/// A request whose role is to be decided.
#[derive(Clone, Copy)]
pub struct RoleInput<'a> {
    /// As the client sent it.
    pub model: &'a str,
    pub hints: Hints<'a>,
    pub body: &'a dyn BodyFacts,
}

/// The first role that the request has and for which there is a rule. Two kinds of requests must not get a cheap model by accident,
/// although Claude Code gives both the class `auxiliary`: without a rule of its own, a permission classifier keeps its model, and a
/// web search is neither auxiliary nor background work.
pub fn decide(rules: &RoleRules, input: &RoleInput<'_>) -> Option<(Role, RoleReason)> {
    if rules.targets.is_empty() {
        return None;
    }
    let has_rule = |role| rules.targets.contains_key(&role);
    let searches = || input.body.has(Sign::WebSearch);
    if has_rule(Role::WebSearch) && searches() {
        return Some((Role::WebSearch, RoleReason::Tool));
    }
    if is_classifier(input) {
        return has_rule(Role::Classifier).then_some((Role::Classifier, RoleReason::Prompt));
    }
    let is_cheap = |role| matches!(role, Role::Auxiliary | Role::Background);
    rules.targets.keys().find_map(|role| {
        let why = reason(*role, rules, input)?;
        (!is_cheap(*role) || !searches()).then_some((*role, why))
    })
}

fn is_classifier(input: &RoleInput<'_>) -> bool {
    let is_of_another_class = input.hints.class.is_some_and(|class| class != "auxiliary");
    !is_of_another_class && input.body.has(Sign::Classifier)
}

/// Why the request has this role; `None` if it does not have it.
fn reason(role: Role, rules: &RoleRules, input: &RoleInput<'_>) -> Option<RoleReason> {
    let RoleInput { model, hints, body } = input;
    match role {
        Role::WebSearch | Role::Classifier => None,
        Role::Compaction => compaction(hints, *body),
        Role::SubagentOfType(AgentType(name)) => {
            let is_type = hints.agent_type.is_some_and(|sent| sent.eq_ignore_ascii_case(name));
            (is_type && subagent(hints, *body).is_some()).then_some(RoleReason::Header(AGENT_TYPE_HEADER))
        }
        Role::Subagent => subagent(hints, *body),
        Role::Auxiliary => (hints.class == Some("auxiliary")).then_some(RoleReason::Header(CLASS_HEADER)),
        Role::Image => body.has(Sign::Image).then_some(RoleReason::Image),
        Role::LongContext => {
            let threshold = rules.long_context_threshold.unwrap_or(LONG_CONTEXT);
            let estimated = body.tokens();
            (estimated > threshold).then_some(RoleReason::Tokens { estimated, threshold })
        }
        Role::Think => body.has(Sign::Think).then_some(RoleReason::Think),
        Role::Background => model.to_ascii_lowercase().contains("haiku").then_some(RoleReason::Haiku),
    }
}

fn compaction(hints: &Hints<'_>, body: &dyn BodyFacts) -> Option<RoleReason> {
    match (hints.class, hints.compaction) {
        (Some("compaction"), _) => Some(RoleReason::Header(CLASS_HEADER)),
        (Some(_), _) => None,
        (None, Some(_)) => Some(RoleReason::Header(COMPACTION_HEADER)),
        (None, None) => body.has(Sign::Compaction).then_some(RoleReason::Prompt),
    }
}

/// A class wins over an agent's id: a subagent's compaction and auxiliary requests carry the id, too.
fn subagent(hints: &Hints<'_>, body: &dyn BodyFacts) -> Option<RoleReason> {
    match hints.class {
        Some("subagent" | "workflow") => Some(RoleReason::Header(CLASS_HEADER)),
        Some(_) => None,
        None if hints.agent_type.is_some() => Some(RoleReason::Header(AGENT_TYPE_HEADER)),
        None if hints.agent_id.is_some() => Some(RoleReason::Header(AGENT_ID_HEADER)),
        None => body.has(Sign::Subagent).then_some(RoleReason::Prompt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Body(Signs, u64);

    impl BodyFacts for Body {
        fn has(&self, sign: Sign) -> bool {
            self.0.has(sign)
        }

        fn tokens(&self) -> u64 {
            self.1
        }
    }

    fn rules(roles: &[&str]) -> RoleRules {
        let targets = roles.iter().map(|role| (Role::parse(role).unwrap(), vec!["p:m".to_owned()]));
        RoleRules { targets: targets.collect(), long_context_threshold: Some(1000) }
    }

    fn every_rule() -> RoleRules {
        let of_types = AGENT_TYPES.iter().map(|name| format!("subagent.{name}"));
        let all: Vec<String> = Role::names().map(str::to_owned).chain(of_types).collect();
        rules(&all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn with(signs: &[Sign]) -> Signs {
        signs.iter().fold(Signs::default(), |all, sign| all.with(*sign))
    }

    fn role(rules: &RoleRules, model: &str, headers: &[(&str, &str)], signs: &[Sign], tokens: u64) -> String {
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let body = Body(with(signs), tokens);
        let input = RoleInput { model, hints: Hints::read(header), body: &body };
        decide(rules, &input).map(|(role, _)| role.to_string()).unwrap_or_default()
    }

    const CLASS: &str = CLASS_HEADER;
    const TYPE: &str = AGENT_TYPE_HEADER;
    const ID: &str = AGENT_ID_HEADER;

    /// Requirement: the order is web-search, classifier, compaction, `subagent.<type>`, subagent, auxiliary, image,
    /// long-context, think, background.
    #[test]
    fn the_first_role_in_order_counts() {
        let all = [Sign::WebSearch, Sign::Compaction, Sign::Subagent, Sign::Image, Sign::Think];
        let rules = every_rule();
        let of = |headers: &[(&str, &str)], signs: &[Sign], tokens| {
            role(&rules, "claude-haiku-4-5", headers, signs, tokens)
        };
        assert_eq!(of(&[], &all, 9000), "web-search");
        assert_eq!(of(&[], &[Sign::Classifier, Sign::Image], 9000), "classifier");
        assert_eq!(of(&[], &all[1..], 9000), "compaction");
        assert_eq!(of(&[(CLASS, "subagent"), (TYPE, "Explore")], &all[2..], 9000), "subagent.Explore");
        assert_eq!(of(&[(CLASS, "subagent")], &all[2..], 9000), "subagent");
        assert_eq!(of(&[], &all[2..], 9000), "subagent");
        assert_eq!(of(&[(CLASS, "auxiliary")], &all[3..], 9000), "auxiliary");
        assert_eq!(of(&[], &all[3..], 9000), "image");
        assert_eq!(of(&[], &[Sign::Think], 1001), "long-context");
        assert_eq!(of(&[], &[Sign::Think], 1000), "think");
        assert_eq!(of(&[], &[], 1000), "background");
        assert_eq!(role(&rules, "sonnet", &[], &[], 0), "");
    }

    /// Requirement: the classifier and WebSearch have class `auxiliary` and must not fall to a cheap model by that, nor by a
    /// model's name. Without a rule, the classifier keeps its model whatever else it is.
    #[test]
    fn a_classifier_and_a_web_search_fall_to_no_cheap_model() {
        let rules = rules(&["auxiliary", "background", "image"]);
        for headers in [&[(CLASS, "auxiliary")][..], &[(CLASS, "auxiliary"), (ID, "a1")], &[]] {
            let of = |signs: &[Sign]| role(&rules, "claude-haiku-4-5", headers, signs, 50_000);
            assert_eq!(of(&[Sign::Classifier, Sign::Image]), "", "{headers:?}");
            assert_eq!(of(&[Sign::WebSearch]), "", "{headers:?}");
            assert_eq!(of(&[Sign::WebSearch, Sign::Image]), "image", "{headers:?}");
        }
        assert_eq!(role(&rules, "sonnet", &[(CLASS, "auxiliary")], &[], 0), "auxiliary");
        assert_eq!(role(&every_rule(), "sonnet", &[(CLASS, "main")], &[Sign::Classifier], 0), "");
    }

    /// Requirement: a class wins over a present agent id.
    #[test]
    fn a_class_wins_over_an_agent_id() {
        let rules = every_rule();
        let of = |headers: &[(&str, &str)]| role(&rules, "sonnet", headers, &[Sign::Subagent], 0);
        assert_eq!(of(&[(CLASS, "main"), (ID, "a1")]), "");
        assert_eq!(of(&[(CLASS, "auxiliary"), (ID, "a1")]), "auxiliary");
        assert_eq!(of(&[(CLASS, "compaction"), (ID, "a1")]), "compaction");
        assert_eq!(of(&[(CLASS, "side_reply"), (ID, "a1"), (TYPE, "Plan")]), "");
        assert_eq!(of(&[(CLASS, "workflow"), (ID, "a1")]), "subagent");
        assert_eq!(of(&[(ID, "a1")]), "subagent");
        assert_eq!(of(&[(ID, "a1"), (TYPE, "plan")]), "subagent.Plan");
        assert_eq!(of(&[(ID, " ")]), "subagent", "by the prompt");
    }

    /// Requirement: a role without a rule leaves the request to the next role that it has.
    #[test]
    fn a_role_without_a_rule_is_passed_over() {
        let headers = [(CLASS, "subagent"), (TYPE, "Explore"), (ID, "a1")];
        let of = |roles: &[&str]| role(&rules(roles), "haiku", &headers, &[Sign::Image, Sign::Think], 2000);
        assert_eq!(of(&["subagent.Plan", "subagent", "image"]), "subagent");
        assert_eq!(of(&["subagent.Plan", "auxiliary", "image"]), "image");
        assert_eq!(of(&["long-context", "background"]), "long-context");
        assert_eq!(of(&["background"]), "background");
        assert_eq!(of(&[]), "");
    }

    /// Requirement: a body is not read for rules that do not depend on it.
    #[test]
    fn a_body_is_read_only_for_rules_that_depend_on_it() {
        struct Unread;

        impl BodyFacts for Unread {
            fn has(&self, sign: Sign) -> bool {
                panic!("no rule needs {sign:?}")
            }

            fn tokens(&self) -> u64 {
                panic!("no rule needs it")
            }
        }

        let rules = rules(&["compaction", "subagent", "subagent.Plan"]);
        let hints = Hints { class: Some("subagent"), agent_type: Some("Plan"), ..Hints::default() };
        let (role, why) = decide(&rules, &RoleInput { model: "haiku", hints, body: &Unread }).unwrap();
        assert_eq!(
            (role.to_string().as_str(), why),
            ("subagent.Plan", RoleReason::Header(AGENT_TYPE_HEADER))
        );
        let main = Hints { class: Some("main"), agent_id: Some("a1"), ..Hints::default() };
        assert_eq!(decide(&rules, &RoleInput { model: "haiku", hints: main, body: &Unread }), None);
    }

    #[test]
    fn a_name_is_parsed_as_it_is_printed() {
        for name in Role::names().map(str::to_owned).chain(AGENT_TYPES.map(|name| format!("subagent.{name}")))
        {
            assert_eq!(Role::parse(&name).map(|role| role.to_string()), Ok(name));
        }
        assert_eq!(
            Role::parse("subagent.explore").map(|role| role.to_string()),
            Ok("subagent.Explore".to_owned())
        );
        assert_eq!(Role::parse("subagent.mine"), Err(NoRole::UnknownType));
        assert_eq!(Role::parse("thinking"), Err(NoRole::Unknown));
    }
}
