//! The time and the grouping that the address of the page asks for.

use serde::Serialize;
use vandamme_actors::clock::Millis;
use vandamme_actors::history::Dimension;

const DAY: Millis = 86_400_000;

/// The time before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Range {
    Day,
    Week,
    Month,
    Quarter,
    All,
}

/// What the rows of the table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Grouping {
    Model,
    Provider,
    Client,
    Key,
    Session,
    Day,
}

impl Range {
    pub(super) const ALL: [Self; 5] = [Self::Day, Self::Week, Self::Month, Self::Quarter, Self::All];

    /// Seven days, unless the address says otherwise.
    pub(super) fn parse(name: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|range| Some(range.name()) == name).unwrap_or(Self::Week)
    }

    /// The name in the address.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Quarter => "90d",
            Self::All => "all",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Day => "24 hours",
            Self::Week => "7 days",
            Self::Month => "30 days",
            Self::Quarter => "90 days",
            Self::All => "All",
        }
    }

    /// The value of `since` for the same time in `/api/ui/usage`.
    pub(super) fn export(self) -> &'static str {
        match self {
            Self::All => "0",
            Self::Day | Self::Week | Self::Month | Self::Quarter => self.name(),
        }
    }

    pub(super) fn since(self, now: Millis) -> Millis {
        let days = match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 90,
            Self::All => return 0,
        };
        now.saturating_sub(days * DAY)
    }
}

impl Grouping {
    pub(super) const ALL: [Self; 6] =
        [Self::Model, Self::Provider, Self::Client, Self::Key, Self::Session, Self::Day];

    pub(super) fn parse(name: Option<&str>) -> Self {
        Self::ALL.into_iter().find(|by| Some(by.name()) == name).unwrap_or(Self::Model)
    }

    pub(super) fn name(self) -> &'static str {
        self.dimension().name()
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Model => "Model",
            Self::Provider => "Provider",
            Self::Client => "Client",
            Self::Key => "Key",
            Self::Session => "Session",
            Self::Day => "Day",
        }
    }

    pub(super) fn dimension(self) -> Dimension {
        match self {
            Self::Model => Dimension::Model,
            Self::Provider => Dimension::Provider,
            Self::Client => Dimension::Client,
            Self::Key => Dimension::Key,
            Self::Session => Dimension::Session,
            Self::Day => Dimension::Day,
        }
    }

    /// What the chart stacks: it has days already.
    pub(super) fn charted(self) -> Dimension {
        match self {
            Self::Day => Dimension::Model,
            Self::Model | Self::Provider | Self::Client | Self::Key | Self::Session => self.dimension(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_back_from_their_names() {
        for range in Range::ALL {
            assert_eq!(Range::parse(Some(range.name())), range);
        }
        for by in Grouping::ALL {
            assert_eq!(Grouping::parse(Some(by.name())), by);
        }
        assert_eq!((Range::parse(Some("x")), Grouping::parse(None)), (Range::Week, Grouping::Model));
        assert_eq!(Range::Day.since(DAY + 5), 5);
    }
}
