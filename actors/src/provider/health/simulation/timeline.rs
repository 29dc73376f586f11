//! Runs tasks in virtual time: polls sleeping tasks in the order in which they wake up.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::clock::Millis;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Virtual time. A task waits for one thing at a time.
pub(super) struct Timeline {
    now: Cell<Millis>,
    /// Numbers the wake-ups, so that those at equal times keep their order.
    count: Cell<u64>,
    wake_ups: RefCell<BinaryHeap<Reverse<(Millis, u64, usize)>>>,
    running: Cell<usize>,
    spawned: RefCell<Vec<Task>>,
}

impl Timeline {
    pub(super) fn new(now: Millis) -> Self {
        Self {
            now: Cell::new(now),
            count: Cell::new(0),
            wake_ups: RefCell::default(),
            running: Cell::new(0),
            spawned: RefCell::default(),
        }
    }

    pub(super) fn now(&self) -> Millis {
        self.now.get()
    }

    pub(super) fn advance(&self, millis: Millis) {
        self.now.set(self.now() + millis);
    }

    pub(super) fn sleep_until(&self, at: Millis) -> impl Future<Output = ()> + '_ {
        let mut is_set = false;
        poll_fn(move |_| {
            if at <= self.now() {
                return Poll::Ready(());
            }
            if !is_set {
                is_set = true;
                self.count.set(self.count.get() + 1);
                let wake_up = (at, self.count.get(), self.running.get());
                self.wake_ups.borrow_mut().push(Reverse(wake_up));
            }
            Poll::Pending
        })
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.spawned.borrow_mut().push(Box::pin(task));
    }

    /// Runs tasks until `end` and drops those that have not finished.
    pub(super) fn run_until(&self, end: Millis) {
        let mut tasks: Vec<Option<Task>> = vec![];
        let mut free = vec![];
        loop {
            let spawned = std::mem::take(&mut *self.spawned.borrow_mut());
            for task in spawned {
                let at = free.pop().unwrap_or_else(|| {
                    tasks.push(None);
                    tasks.len() - 1
                });
                tasks[at] = Some(task);
                self.poll(&mut tasks[at], at, &mut free);
            }
            if !self.spawned.borrow().is_empty() {
                continue;
            }
            let next = self.wake_ups.borrow_mut().pop();
            let Some(Reverse((at, _, task))) = next.filter(|Reverse((at, ..))| *at <= end) else { break };
            self.now.set(at);
            self.poll(&mut tasks[task], task, &mut free);
        }
        self.now.set(self.now().max(end));
        self.wake_ups.borrow_mut().clear();
    }

    fn poll(&self, slot: &mut Option<Task>, at: usize, free: &mut Vec<usize>) {
        let Some(task) = slot else { return };
        self.running.set(at);
        if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            *slot = None;
            free.push(at);
        }
    }
}
