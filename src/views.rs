//! What the dashboard's pages and the `/api/ui` endpoints show: each submodule reads one page's content from the actors.

pub(crate) mod models;
pub(crate) mod providers;
pub(crate) mod routing;
pub(crate) mod system;
