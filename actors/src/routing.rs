//! Resolves model names: from the name that a client sends to a provider, the model's name there, and the fallbacks. Pure.

mod aliases;
mod explain;
mod fallbacks;
mod recent_routes;
mod resolver;
mod routes;

pub use self::explain::{AliasSkipped, MatchKind, RoutingStep};
pub use self::fallbacks::SkippedFallback;
pub(crate) use self::recent_routes::RecentRoutes;
pub use self::routes::{DISCOVERED, Lists, Route, Routes, Target, Unroutable};
