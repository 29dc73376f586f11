//! The header that names what a translation left out of a request, so that a client can tell why something has no effect.

use actix_web::http::header::{HeaderName, HeaderValue};

use super::attempt::Answered;

/// JSON paths with commas between them, never content.
const DROPPED: HeaderName = HeaderName::from_static("x-vdm-dropped");

impl Answered {
    /// With that header, if something was left out.
    pub(super) fn naming(mut self, dropped: Option<HeaderValue>) -> Self {
        let (Self::Opened { headers, .. } | Self::Whole { headers, .. }) = &mut self;
        if let Some(dropped) = dropped {
            headers.insert(DROPPED, dropped);
        }
        self
    }
}
