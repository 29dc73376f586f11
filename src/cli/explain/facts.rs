//! The options of `vdm explain` that describe a request besides its model name.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use vandamme_actors::roles::{BodyFacts, Hints, ReadBody, RoleInput};
use vandamme_actors::routing::{RoleDecision, Routes};
use vandamme_protocol::request::{Sign, head};

#[derive(Args, Debug)]
pub(super) struct RequestFacts {
    /// Header of the request, such as x-claude-code-agent-type:Explore; can be repeated
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = Header::parse)]
    headers: Vec<Header>,
    /// The request contains an image
    #[arg(long)]
    image: bool,
    /// The request has a search tool of the provider
    #[arg(long)]
    web_search: bool,
    /// The request raises the effort of thinking
    #[arg(long)]
    think: bool,
    /// Estimated tokens of the request
    #[arg(long, value_name = "N")]
    tokens: Option<u64>,
    /// Read the rest from the JSON body of a request
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct Header {
    name: String,
    value: String,
}

impl Header {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("write NAME:VALUE")?;
        let name = name.trim().to_ascii_lowercase();
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err("write NAME:VALUE, with the name of a header".to_owned());
        }
        Ok(Self { name, value: value.trim().to_owned() })
    }
}

/// The facts, with the body if there is one.
pub(super) struct Request {
    facts: RequestFacts,
    body: Vec<u8>,
}

impl RequestFacts {
    /// Reads the body of at most `limit` bytes.
    ///
    /// # Errors
    /// When it cannot be read, or is not a request; the text is for users.
    pub(super) fn read(self, limit: usize) -> Result<Request, String> {
        let body = match &self.body {
            Some(path) => read_body(path, limit).map_err(|error| format!("{}: {error}", path.display()))?,
            None => vec![],
        };
        Ok(Request { facts: self, body })
    }
}

fn read_body(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| format!("cannot read this file: {error}"))?;
    let mut body = vec![];
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut body).map_err(|error| format!("cannot read this file: {error}"))?;
    if body.len() > limit {
        return Err(format!("the request body has more than {limit} bytes (limits.request-body)"));
    }
    head(&body).map_err(|error| format!("this is not the body of a request: {error}"))?;
    Ok(body)
}

impl Request {
    /// The rule of `[routing]` for the request under this name.
    pub(super) fn role(&self, routes: &Routes, model: &str) -> Option<RoleDecision> {
        let Self { facts, body } = self;
        let header = |name: &str| {
            let header = facts.headers.iter().find(|header| header.name == name);
            header.map(|header| header.value.as_str())
        };
        let shown = Shown { facts, body: ReadBody::new(body) };
        routes.role(&RoleInput { model, hints: Hints::read(header), body: &shown })
    }
}

/// What the options and the body show.
struct Shown<'r> {
    facts: &'r RequestFacts,
    body: ReadBody<'r>,
}

impl BodyFacts for Shown<'_> {
    fn has(&self, sign: Sign) -> bool {
        let is_stated = match sign {
            Sign::Image => self.facts.image,
            Sign::WebSearch => self.facts.web_search,
            Sign::Think => self.facts.think,
            Sign::Classifier | Sign::Compaction | Sign::Subagent => false,
        };
        is_stated || self.body.has(sign)
    }

    fn tokens(&self) -> u64 {
        self.facts.tokens.unwrap_or_else(|| self.body.tokens())
    }
}
