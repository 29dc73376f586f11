//! Who makes a request: a client, or the gateway in order to serve a client's request.

use std::sync::Arc;

use vandamme_actors::ledger::{RequestSummary, SubrequestOrigin};

use super::{ProxyRequest, session};
use crate::gateway::LiveConfig;

/// Who makes a request.
pub(crate) enum Origin {
    Client,
    /// The gateway, for a client's request.
    Gateway(Box<GatewayOrigin>),
}

/// What a request of the gateway takes over from the client's request.
pub(crate) struct GatewayOrigin {
    pub(super) parent: Parent,
    pub(super) purpose: Purpose,
}

/// What a subrequest is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A verdict on a tool call of auto mode.
    Judge,
    /// A description of an image for a model that cannot see.
    ImageDescription,
}

impl Purpose {
    /// The word in records.
    fn name(self) -> &'static str {
        match self {
            Self::Judge => "judge",
            Self::ImageDescription => "image-description",
        }
    }
}

/// The client's request that a subrequest serves.
#[derive(Clone, Debug)]
pub(crate) struct Parent {
    id: Arc<str>,
    client: Option<Arc<str>>,
    session: Option<Arc<str>>,
}

impl Parent {
    /// `None` for a request of the gateway itself, which may not lead to another one.
    pub(crate) fn new(request: &ProxyRequest, live: &LiveConfig) -> Option<Self> {
        match request.origin {
            Origin::Client => Some(Self {
                id: request.id.clone(),
                client: request.caller.as_ref().and_then(|caller| caller.name.clone()),
                session: session::session(request, live),
            }),
            Origin::Gateway(_) => None,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

/// The summary of a subrequest for the ledger. Its prompt is not compared with those of the client's session.
pub(super) fn summary(request: &ProxyRequest, origin: &GatewayOrigin) -> RequestSummary {
    let GatewayOrigin { parent, purpose } = origin;
    RequestSummary {
        model: (*request.head.model).into(),
        messages: request.head.messages,
        size: request.body.len(),
        client: parent.client.clone(),
        api: Some(request.api),
        session: parent.session.clone(),
        origin: Some(Arc::new(SubrequestOrigin { parent: parent.id.clone(), purpose: purpose.name() })),
        ..RequestSummary::default()
    }
}
