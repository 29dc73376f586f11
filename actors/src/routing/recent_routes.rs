//! A cache of resolved names: clients send the same few names again and again.

use std::collections::HashMap;
use std::sync::Arc;

use super::routes::{Lists, Route, Routes};
use super::unroutable::Unroutable;

/// The most names in the cache.
const MOST: usize = 256;

#[derive(Default)]
pub(crate) struct RecentRoutes {
    /// The tables that the routes come from.
    tables: Option<(Arc<Routes>, Arc<Lists>)>,
    routes: HashMap<Box<str>, Arc<Route>>,
}

impl RecentRoutes {
    /// The same as [`Routes::resolve`].
    pub(crate) fn resolve(&mut self, routes: &Arc<Routes>, model: &str) -> Result<Arc<Route>, Unroutable> {
        if let Some(route) = self.known(routes, model) {
            return Ok(route);
        }
        let route = Arc::new(routes.resolve(model)?);
        if self.routes.len() >= MOST {
            self.routes.clear();
        }
        self.routes.insert(model.into(), route.clone());
        Ok(route)
    }

    /// The route of a name that has been resolved with these tables; `None` if it must be resolved first.
    pub(crate) fn known(&mut self, routes: &Arc<Routes>, model: &str) -> Option<Arc<Route>> {
        let lists = routes.lists.load();
        let is_current =
            self.tables.as_ref().is_some_and(|(of, by)| Arc::ptr_eq(of, routes) && Arc::ptr_eq(by, &lists));
        if !is_current {
            self.routes.clear();
            self.tables = Some((routes.clone(), lists));
        }
        self.routes.get(model).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;
    use crate::testing::{provider, settings};

    fn routes(model: &str, lists: &Snapshot<Lists>) -> Arc<Routes> {
        let mut settings = settings(vec![provider("openai").aliases(&[("haiku", model)]).build()]);
        settings.default_provider = Some("openai".into());
        Arc::new(Routes::new(&settings, lists.clone()))
    }

    fn model(recent: &mut RecentRoutes, routes: &Arc<Routes>, name: &str) -> String {
        recent.resolve(routes, name).unwrap().model.to_string()
    }

    #[test]
    fn a_name_has_its_new_route_as_soon_as_the_tables_have_changed() {
        let lists = Snapshot::new(Lists::new());
        let mut recent = RecentRoutes::default();
        let (old, new) = (routes("gpt-old", &lists), routes("gpt-new", &lists));
        for _ in 0..2 {
            assert_eq!(model(&mut recent, &old, "haiku"), "gpt-old");
        }
        assert!(recent.known(&new, "haiku").is_none(), "it must be resolved with the new tables first");
        assert_eq!(model(&mut recent, &new, "haiku"), "gpt-new");
        assert_eq!(&*recent.known(&new, "haiku").unwrap().model, "gpt-new");

        let name = "openai:haiku-2";
        assert_eq!(model(&mut recent, &new, name), "gpt-new");
        lists.store(Lists::from([("openai".into(), ["haiku-2".to_owned()].into())]));
        assert_eq!(model(&mut recent, &new, name), "haiku-2", "the provider lists it by now");
    }

    #[test]
    fn names_without_a_route_and_names_above_the_limit_are_not_kept() {
        let tables = routes("gpt", &Snapshot::new(Lists::new()));
        let mut recent = RecentRoutes::default();
        assert!(recent.resolve(&tables, "").is_err());
        assert!(recent.routes.is_empty());
        for number in 0..3 * MOST {
            assert_eq!(model(&mut recent, &tables, &format!("m{number}")), format!("m{number}"));
            assert!(recent.routes.len() <= MOST);
        }
    }
}
