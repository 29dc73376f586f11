//! Lists of models: those of the providers, and recommended ones.

mod list;
mod top;

pub(crate) use self::list::{Listed, Remembered, list, reached, remembered, written};
pub(crate) use self::top::{TopList, TopQuery, TopUnavailable, suggested_aliases, top_models};
