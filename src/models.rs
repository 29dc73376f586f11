//! Lists of models: those of the providers, and recommended ones.

mod list;
mod page;
mod top;

pub(crate) use self::list::{
    ListedModels, Remembered, first_lists, last, list, lists_written, reached, remembered,
};
pub(crate) use self::page::model_page;
pub(crate) use self::top::{TopList, TopQuery, TopUnavailable, suggested_aliases, top_models};
