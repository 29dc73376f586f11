//! The routes of the names that were asked for lately: clients ask for the same few names again and again.

use std::collections::HashMap;
use std::sync::Arc;

use super::routes::{Lists, Route, Routes, Unroutable};

/// More names than this are not remembered at once.
const MOST: usize = 256;

#[derive(Default)]
pub(super) struct Remembered {
    /// What the routes were found in.
    tables: Option<(Arc<Routes>, Arc<Lists>)>,
    routes: HashMap<Box<str>, Route>,
}

impl Remembered {
    /// The same as [`Routes::resolve`].
    pub(super) fn resolve(&mut self, routes: &Arc<Routes>, model: &str) -> Result<Route, Unroutable> {
        let lists = routes.lists.load();
        let is_current =
            self.tables.as_ref().is_some_and(|(of, by)| Arc::ptr_eq(of, routes) && Arc::ptr_eq(by, &lists));
        if !is_current {
            self.routes.clear();
            self.tables = Some((routes.clone(), lists));
        }
        if let Some(route) = self.routes.get(model) {
            return Ok(route.clone());
        }
        let route = routes.resolve(model)?;
        if self.routes.len() >= MOST {
            self.routes.clear();
        }
        self.routes.insert(model.into(), route.clone());
        Ok(route)
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

    fn model(remembered: &mut Remembered, routes: &Arc<Routes>, name: &str) -> String {
        remembered.resolve(routes, name).unwrap().model.to_string()
    }

    #[test]
    fn a_name_leads_elsewhere_as_soon_as_the_tables_have_changed() {
        let lists = Snapshot::new(Lists::new());
        let mut remembered = Remembered::default();
        let (old, new) = (routes("gpt-old", &lists), routes("gpt-new", &lists));
        for _ in 0..2 {
            assert_eq!(model(&mut remembered, &old, "haiku"), "gpt-old");
        }
        assert_eq!(model(&mut remembered, &new, "haiku"), "gpt-new");

        let name = "openai:haiku-2";
        assert_eq!(model(&mut remembered, &new, name), "gpt-new");
        lists.store(Lists::from([("openai".into(), ["haiku-2".to_owned()].into())]));
        assert_eq!(model(&mut remembered, &new, name), "haiku-2", "the provider lists it by now");
    }

    #[test]
    fn names_that_lead_nowhere_and_names_beyond_the_bound_are_not_kept() {
        let tables = routes("gpt", &Snapshot::new(Lists::new()));
        let mut remembered = Remembered::default();
        assert!(remembered.resolve(&tables, "").is_err());
        assert!(remembered.routes.is_empty());
        for number in 0..3 * MOST {
            assert_eq!(model(&mut remembered, &tables, &format!("m{number}")), format!("m{number}"));
            assert!(remembered.routes.len() <= MOST);
        }
    }
}
