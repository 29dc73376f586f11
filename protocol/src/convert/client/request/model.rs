//! The features of a Messages upstream's model, as far as its name shows them.

/// A model by its generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelGeneration {
    /// Major and minor version of a Claude; one without a version in its name is taken for a new one.
    Claude(u32, u32),
    /// Another vendor's behind Anthropic's API.
    Other,
}

/// How a model's thinking is turned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThinkingMode {
    Never,
    /// `enabled`, with a budget.
    Budgeted,
    /// `adaptive`, with an effort; a budget is deprecated or refused.
    Adaptive,
}

impl ModelGeneration {
    /// Reads ids like `claude-opus-4-5-20251101`, `claude-3-7-sonnet-latest`, `anthropic/claude-sonnet-4.6`.
    pub(crate) fn from_name(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let Some(at) = name.rfind("claude") else { return Self::Other };
        let mut words = name[at..].split(|letter: char| !letter.is_ascii_alphanumeric());
        // Longer numbers are dates.
        let version = |word: &str| word.parse().ok().filter(|_| word.len() <= 2);
        let Some(major) = words.by_ref().find_map(version) else { return Self::Claude(u32::MAX, 0) };
        Self::Claude(major, words.next().and_then(version).unwrap_or(0))
    }

    /// What is asked for if the client leaves it open, which OpenAI's APIs allow and the Messages API does not: what all
    /// models of the generation grant.
    pub(crate) fn max_tokens(self) -> u64 {
        match self {
            Self::Claude(4.., _) | Self::Claude(3, 7..) => 32_000,
            Self::Claude(3, 5..) => 8192,
            Self::Claude(..) | Self::Other => 4096,
        }
    }

    pub(crate) fn thinking(self) -> ThinkingMode {
        match self {
            Self::Claude(5.., _) | Self::Claude(4, 6..) => ThinkingMode::Adaptive,
            Self::Claude(4, _) | Self::Claude(3, 7..) | Self::Other => ThinkingMode::Budgeted,
            Self::Claude(..) => ThinkingMode::Never,
        }
    }

    /// Whether it takes `temperature` and its like; from Opus 4.7 on they are refused.
    /// platform.claude.com/docs/en/about-claude/models/migration-guide
    pub(crate) fn takes_sampling(self) -> bool {
        !matches!(self, Self::Claude(5.., _) | Self::Claude(4, 7..))
    }

    /// Whether it can be told not to think; from Opus 5.5 on that is refused, and no name tells for the rest of the
    /// fifth generation, so that none of it is told.
    pub(crate) fn can_stop_thinking(self) -> bool {
        !matches!(self, Self::Claude(5.., _)) && self.thinking() != ThinkingMode::Never
    }

    /// Whether its thinking is left out of replies unless the request asks for a summary (`display`).
    pub(crate) fn hides_thinking(self) -> bool {
        matches!(self, Self::Claude(5.., _) | Self::Claude(4, 7..))
    }

    /// Whether it is one of Anthropic's.
    pub(crate) fn is_claude(self) -> bool {
        matches!(self, Self::Claude(..))
    }

    /// Whether it knows the effort `xhigh`.
    pub(crate) fn has_xhigh(self) -> bool {
        matches!(self, Self::Claude(5.., _) | Self::Claude(4, 7..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claudes_version_is_read_from_every_kind_of_id() {
        for (name, model) in [
            ("claude-opus-4-5-20251101", ModelGeneration::Claude(4, 5)),
            ("claude-sonnet-4-20250514", ModelGeneration::Claude(4, 0)),
            ("claude-3-7-sonnet-latest", ModelGeneration::Claude(3, 7)),
            ("claude-3-haiku-20240307", ModelGeneration::Claude(3, 0)),
            ("claude-2.1", ModelGeneration::Claude(2, 1)),
            ("claude-opus-5-5", ModelGeneration::Claude(5, 5)),
            ("claude-fable-5", ModelGeneration::Claude(5, 0)),
            ("anthropic/Claude-Sonnet-4.6:beta", ModelGeneration::Claude(4, 6)),
            ("us.anthropic.claude-haiku-4-5-20251001-v1:0", ModelGeneration::Claude(4, 5)),
            ("claude-mythos-preview", ModelGeneration::Claude(u32::MAX, 0)),
            ("kimi-k2", ModelGeneration::Other),
            ("", ModelGeneration::Other),
        ] {
            assert_eq!(ModelGeneration::from_name(name), model, "{name}");
        }
    }
}
