//! Resolves model names: from the name that a client sends to a provider, the model's name there, and the fallbacks. Pure:
//! a function of the tables and the name.
//!
//! `[profile:]…`, `[provider:]model`, `!` for a name without aliases, else the default. The target of an alias can be
//! another alias, also of another provider, and so on.

mod aliases;
mod explain;
mod fallbacks;
mod recent_routes;
mod resolver;
mod role_routes;
mod routes;
mod unroutable;

pub use self::aliases::MatchKind;
pub use self::explain::{AliasSkipped, RoutingStep};
pub(crate) use self::recent_routes::RecentRoutes;
use self::resolver::{Resolved, Resolver};
pub use self::role_routes::RoleDecision;
pub use self::routes::{DISCOVERED, Lists, RoleRoute, Route, Routes, Target};
pub use self::unroutable::{SkippedFallback, Unroutable};

impl Routes {
    /// The route of a model name as a client sends it.
    ///
    /// # Errors
    /// When it leads nowhere.
    pub fn resolve(&self, model: &str) -> Result<Route, Unroutable> {
        self.explain(model, &mut |_| {})
    }

    /// The same, with a report of every decision.
    ///
    /// # Errors
    /// When it leads nowhere.
    pub fn explain(&self, model: &str, report: &mut dyn FnMut(RoutingStep<'_>)) -> Result<Route, Unroutable> {
        let Resolved { mut route, fallbacks } = Resolver::new(self, model, report).resolve()?;
        self.fall_back(&mut route, fallbacks, report);
        Ok(route)
    }

    /// Names that lead in circles or through too many aliases, each with what is wrong.
    pub fn mistakes(&self) -> Vec<Unroutable> {
        let mut found = Vec::new();
        for name in &self.names {
            let Some(owner) = self.provider_routes(name) else { continue };
            for (alias, _) in owner.aliases.iter() {
                if let Err(error @ (Unroutable::AliasCycle { .. } | Unroutable::LongChain { .. })) =
                    self.resolve(&format!("{name}:{alias}"))
                {
                    found.push(error);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod role_tests;
#[cfg(test)]
mod tests;
