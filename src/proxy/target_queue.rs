//! The targets of one request, in the order in which they are called.

use std::collections::VecDeque;
use std::sync::Arc;

use vandamme_actors::provider::{Alternatives, Lease};
use vandamme_actors::routing::Route;
use vandamme_actors::settings::{Profile, ProviderSettings};

use super::Targets;

/// A model of a provider that may serve the request.
#[derive(Clone, Copy)]
pub(super) struct RunTarget<'r> {
    pub(super) provider: &'r Arc<ProviderSettings>,
    pub(super) model: &'r Arc<str>,
    /// Whose timeout and retries hold.
    pub(super) profile: Option<&'r Arc<Profile>>,
    /// Whether another target is left.
    pub(super) alternatives: Alternatives,
}

/// The targets that have not been called.
pub(super) struct TargetQueue<'r> {
    route: &'r Route,
    /// The position of the next target: 0 is the route's own, the others are its fallbacks.
    next: usize,
    count: usize,
    /// Targets that are known to fail. They are called when nothing better is left.
    passed_over: VecDeque<RunTarget<'r>>,
}

impl<'r> TargetQueue<'r> {
    pub(super) fn new(route: &'r Route, targets: &Targets) -> Self {
        let count = match targets {
            Targets::WithFallbacks => 1 + route.fallbacks.len(),
            Targets::FirstOnly | Targets::Resolved(_) => 1,
        };
        Self { route, next: 0, count, passed_over: VecDeque::new() }
    }

    /// How many targets are left.
    pub(super) fn left(&self) -> usize {
        self.count - self.next + self.passed_over.len()
    }

    /// Whether another target may serve the request if this one fails, including those that are known to fail.
    pub(super) fn alternatives(&self, lease: &Lease) -> Alternatives {
        if self.passed_over.is_empty() { lease.alternatives } else { Alternatives::Left }
    }

    /// The next target, without taking it.
    pub(super) fn peek(&self) -> Option<RunTarget<'r>> {
        let (provider, model) = match self.next {
            at if at >= self.count => return self.passed_over.front().copied(),
            0 => (&self.route.provider, &self.route.model),
            at => {
                let target = self.route.fallbacks.get(at - 1)?;
                (&target.provider, &target.model)
            }
        };
        let alternatives = if self.left() > 1 { Alternatives::Left } else { Alternatives::None };
        Some(RunTarget { provider, model, profile: self.route.profile.as_ref(), alternatives })
    }

    pub(super) fn take_next(&mut self) -> Option<RunTarget<'r>> {
        let target = self.peek()?;
        if self.next < self.count {
            self.next += 1;
        } else {
            self.passed_over.pop_front();
        }
        Some(target)
    }

    /// The target is known to fail: it comes again after the others, whatever is left then.
    pub(super) fn pass_over(&mut self, target: RunTarget<'r>) {
        self.passed_over.push_back(RunTarget { alternatives: Alternatives::None, ..target });
    }
}

#[cfg(test)]
mod tests {
    use vandamme_actors::routing::Target;

    use super::*;

    fn route(fallbacks: &[&str]) -> Route {
        let provider = Arc::new(crate::demo::provider("http://127.0.0.1:9/v1"));
        let target = |model: &&str| Target { provider: provider.clone(), model: (*model).into() };
        let fallbacks = fallbacks.iter().map(target).collect();
        Route { provider: provider.clone(), model: "first".into(), profile: None, fallbacks }
    }

    fn names(queue: &mut TargetQueue<'_>) -> Vec<(String, Alternatives)> {
        let next = || queue.take_next().map(|target| (target.model.to_string(), target.alternatives));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn targets_come_in_order_and_passed_over_ones_again_at_the_end() {
        use Alternatives::{Left, None};

        let route = route(&["second", "third"]);
        let mut queue = TargetQueue::new(&route, &Targets::WithFallbacks);
        assert_eq!(queue.left(), 3);
        let first = queue.take_next().unwrap();
        queue.pass_over(first);
        assert_eq!(queue.left(), 3);
        let expected = [("second", Left), ("third", Left), ("first", None)];
        assert_eq!(names(&mut queue), expected.map(|(name, left)| (name.to_owned(), left)));
        assert_eq!((queue.left(), queue.peek().is_none()), (0, true));
    }

    #[test]
    fn a_request_for_one_target_has_no_fallbacks() {
        let route = route(&["second"]);
        for targets in [Targets::FirstOnly, Targets::Resolved(Arc::new(route.clone()))] {
            let mut queue = TargetQueue::new(&route, &targets);
            assert_eq!(names(&mut queue), [("first".to_owned(), Alternatives::None)]);
        }
    }
}
