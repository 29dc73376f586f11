//! Lists of models: what providers offer, and which models are worth looking at.

mod list;
mod top;

pub(crate) use self::list::{ListedModels, Remembered, list, lists_written, reached, remembered};
pub(crate) use self::top::{TopList, TopQuery, TopUnavailable, suggested_aliases, top_models};
