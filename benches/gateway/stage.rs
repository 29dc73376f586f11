//! The upstream and the contenders, which run for several rows.

use std::time::Duration;

use crate::Trouble;
use crate::arguments::Build;
use crate::connection::Expected;
use crate::contender::{self, Contender, Limits, Running};
use crate::load::{Habit, Load};
use crate::replies::Shape;
use crate::requests::{Question, request};

pub(crate) struct Stage {
    // The fields are dropped in this order.
    nginx: Running,
    bare: Running,
    ours: Running,
    upstream: Running,
    build: Build,
}

/// The work for a request. nginx always forwards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Passthrough,
    /// Messages over Chat Completions.
    Translation,
    /// Messages over the Responses API; the bare proxy forwards it.
    OverResponses,
    /// Messages over InvokeModel, signed; the bare proxy forwards it.
    OverBedrock,
}

/// The request, and the form of its reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) way: Way,
    pub(crate) question: Question,
    pub(crate) shape: Shape,
}

impl Stage {
    pub(crate) fn set(build: Build) -> Result<Self, Trouble> {
        let upstream = contender::upstream()?;
        let start = |contender: Contender| contender.start(&build, (upstream.address(), Limits::High));
        let (nginx, bare) = (start(Contender::Nginx)?, start(Contender::Bare)?);
        Ok(Self { nginx, bare, ours: start(Contender::Ours)?, upstream, build })
    }

    /// Another process of a contender.
    pub(crate) fn start(&self, contender: Contender, limits: Limits) -> Result<Running, Trouble> {
        contender.start(&self.build, (self.upstream.address(), limits))
    }

    pub(crate) fn upstream(&self) -> &Running {
        &self.upstream
    }

    pub(crate) fn running(&self, contender: Contender) -> &Running {
        match contender {
            Contender::Nginx => &self.nginx,
            Contender::Bare => &self.bare,
            Contender::Ours => &self.ours,
        }
    }
}

impl Task {
    pub(crate) fn short(way: Way, shape: Shape) -> Self {
        Self { way, question: Question::Short, shape }
    }

    /// The clients of this task: 16, which repeat it.
    pub(crate) fn load(self, contender: Contender, running: &Running) -> Load {
        let provider = match (contender, self.way) {
            (Contender::Bare | Contender::Ours, Way::Translation) => "openai",
            (Contender::Ours, Way::OverResponses) => "responses",
            (Contender::Ours, Way::OverBedrock) => "bedrock-bench",
            (Contender::Nginx | Contender::Bare | Contender::Ours, _) => "anthropic",
        };
        self.load_of(provider, running)
    }

    /// Directly, without a contender.
    pub(crate) fn direct(self, upstream: &Running) -> Load {
        self.load_of("anthropic", upstream)
    }

    fn load_of(self, provider: &str, running: &Running) -> Load {
        Load {
            address: running.address(),
            request: request(self.question, provider, self.shape),
            expected: Expected::of(self.shape),
            clients: 16,
            stagger: Duration::ZERO,
            habit: Habit::Repeats,
        }
    }
}
