//! The ids of a reply's tool calls as a client of OpenAI's APIs gets them.

use std::{borrow::Cow, collections::HashSet};

use crate::{
    json,
    tool_id::{self, Maker},
};

const NINETY_SIX_BITS: u128 = (1 << 96) - 1;

/// Gives every call of one reply an id that every vendor accepts, and that no other call of the reply has.
pub(super) struct CallIds {
    maker: Maker,
    seed: u128,
    given: HashSet<String>,
    count: u32,
}

impl CallIds {
    /// For one reply. `maker` is the origin of the upstream's ids.
    pub(super) fn new(maker: Maker, seed: u128) -> Self {
        Self { maker, seed, given: HashSet::new(), count: 0 }
    }

    /// The id for the next call, to which the upstream gave this one (inner text).
    pub(super) fn next(&mut self, upstream: &str) -> String {
        let portable = self.portable(upstream);
        let is_usable = !upstream.is_empty() && !self.given.contains(&*portable);
        let id = if is_usable { portable.into_owned() } else { self.minted() };
        self.count = self.count.saturating_add(1);
        self.given.insert(id.clone());
        id
    }

    fn portable<'i>(&self, upstream: &'i str) -> Cow<'i, str> {
        // An id with half a surrogate pair in it is as good as its escapes.
        match json::decode_text(upstream).unwrap_or(Cow::Borrowed(upstream)) {
            Cow::Borrowed(given) => tool_id::portable(given, self.maker),
            Cow::Owned(decoded) => Cow::Owned(tool_id::portable(&decoded, self.maker).into_owned()),
        }
    }

    fn minted(&self) -> String {
        // An odd factor keeps the ids of one reply apart.
        let salt = (u128::from(self.count) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        format!("toolu_{:024x}", (self.seed.rotate_left(48) ^ salt) & NINETY_SIX_BITS)
    }
}
