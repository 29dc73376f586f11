//! The items of one reply: which event belongs to which item, and whose turn it is. An upstream may interleave items; the client
//! gets one after the other.

use std::collections::{HashMap, VecDeque};

use super::{
    call::PartialCall,
    parts::{Parts, Piece},
};
use crate::openai::responses_item::ResponseItemKind;

/// The number of items before the one whose turn it is that an event can still name.
const RECENT: usize = 64;

/// What an item is for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ItemRole {
    Text,
    Thinking,
    Call,
    CustomCall,
    /// A search of the upstream. Its pages come before or behind a text.
    Search,
    /// The client gets nothing of it.
    Silent,
}

impl ItemRole {
    /// The role of an item of this kind.
    pub(super) fn new(kind: ResponseItemKind) -> Self {
        match kind {
            ResponseItemKind::Message => Self::Text,
            ResponseItemKind::Reasoning => Self::Thinking,
            ResponseItemKind::FunctionCall => Self::Call,
            ResponseItemKind::CustomCall => Self::CustomCall,
            ResponseItemKind::WebSearch | ResponseItemKind::FoundPages => Self::Search,
            ResponseItemKind::ClientCall | ResponseItemKind::Other => Self::Silent,
        }
    }

    /// Whether the item has blocks of its own, which wait for those before it.
    pub(super) fn is_shown(self) -> bool {
        match self {
            Self::Text | Self::Thinking | Self::Call | Self::CustomCall => true,
            Self::Search | Self::Silent => false,
        }
    }
}

/// How an event names its item. The id is inner text, empty if absent.
#[derive(Clone, Copy, Debug)]
pub(super) struct ItemName<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: &'a str,
}

/// One item, as received so far.
#[derive(Debug)]
pub(super) struct Item {
    index: Option<u64>,
    id: String,
    pub(super) role: ItemRole,
    is_done: bool,
    /// What arrived before the item's turn.
    pub(super) held: Vec<Piece<'static>>,
    pub(super) parts: Parts,
    pub(super) call: PartialCall,
    /// What the signature of reasoning carries.
    pub(super) carried: Option<String>,
}

impl Item {
    fn new(name: ItemName<'_>, role: ItemRole) -> Self {
        Self {
            index: name.index,
            id: name.id.to_owned(),
            role,
            is_done: false,
            held: Vec::new(),
            parts: Parts::default(),
            call: if role == ItemRole::CustomCall { PartialCall::custom() } else { PartialCall::default() },
            carried: None,
        }
    }

    /// Nothing of the item follows.
    pub(super) fn end(&mut self) {
        self.is_done = true;
        self.call.end();
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    fn has_id(&self, id: &str) -> bool {
        !id.is_empty() && self.id == id
    }
}

/// All items in their order, and the position of the one whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Items {
    items: Vec<Item>,
    turn: usize,
}

impl Items {
    /// The item at this position, and whether it is its turn.
    pub(super) fn get_mut(&mut self, at: usize) -> Option<(&mut Item, bool)> {
        let is_current = at == self.turn;
        self.items.get_mut(at).map(|item| (item, is_current))
    }

    /// The item whose turn it is.
    pub(super) fn current(&mut self) -> Option<&mut Item> {
        self.items.get_mut(self.turn)
    }

    /// Goes on to the next item.
    pub(super) fn next(&mut self) {
        self.turn += 1;
    }

    /// Nothing follows.
    pub(super) fn end_all(&mut self) {
        self.items.iter_mut().for_each(Item::end);
    }

    /// Adds an item behind those that have its index or a lower one, and behind the one whose turn it is.
    pub(super) fn add(&mut self, name: ItemName<'_>, role: ItemRole) -> usize {
        let first = self.items.len().min(self.turn + 1);
        let is_later = |item: &Item| item.index.zip(name.index).is_some_and(|(known, new)| known > new);
        let later = self.items[first..].iter().position(is_later);
        let at = later.map_or(self.items.len(), |behind| first + behind);
        self.items.insert(at, Item::new(name, role));
        at
    }

    /// The item of a delta; a new one if the upstream has not announced it. `None` if the item is over.
    pub(super) fn of_delta(&mut self, name: ItemName<'_>, role: ItemRole) -> Option<usize> {
        if let Some(open) = self.find(name, |item| item.role == role && !item.is_done) {
            return Some(open);
        }
        match self.find(name, |item| item.role == role) {
            Some(_) => None,
            None => Some(self.add(name, role)),
        }
    }

    /// The item that is complete now; a new one if the upstream has not announced it. `None` if it was complete before.
    pub(super) fn of_done(&mut self, name: ItemName<'_>, role: ItemRole) -> Option<usize> {
        if let Some(open) = self.find(name, |item| item.role == role && !item.is_done) {
            return Some(open);
        }
        let is_known =
            self.items[self.first_recent()..].iter().any(|item| item.role == role && item.has_id(name.id));
        (!is_known).then(|| self.add(name, role))
    }

    /// The last of these items that has the name. Some vendors make a new id for every event, or give all items the same index, or
    /// name no item at all.
    fn find(&self, name: ItemName<'_>, is_meant: impl Fn(&Item) -> bool) -> Option<usize> {
        let first = self.first_recent();
        let last = |is_it: &dyn Fn(&Item) -> bool| {
            let found = self.items[first..].iter().rposition(|item| is_meant(item) && is_it(item));
            found.map(|behind| first + behind)
        };
        let by_index = || name.index.and_then(|index| last(&|item| item.index == Some(index)));
        let open = || last(&|item| !item.is_done && (item.index.is_none() || name.index.is_none()));
        last(&|item| item.has_id(name.id)).or_else(by_index).or_else(open)
    }

    /// The first of the items that an event can name.
    fn first_recent(&self) -> usize {
        self.turn.saturating_sub(RECENT).min(self.items.len())
    }

    /// Finds the items of the final list among those that have arrived: by their id, else at the same position, else the first of
    /// the same role. Each counts once. It takes linear time.
    pub(super) fn list(&self, listed: &[(&str, ItemRole)]) -> Vec<Option<usize>> {
        let known = || self.items.iter().enumerate();
        let by_id: HashMap<_, _> = known().map(|(at, item)| ((item.role, item.id.as_str()), at)).collect();
        let by_index: HashMap<_, _> =
            known().filter_map(|(at, item)| Some(((item.role, item.index?), at))).collect();
        let mut found = vec![None; listed.len()];
        let mut is_free = vec![true; self.items.len()];
        for (found, (id, role)) in found.iter_mut().zip(listed).filter(|(_, (id, _))| !id.is_empty()) {
            let at = by_id.get(&(*role, *id)).copied();
            *found = at.filter(|at| std::mem::take(&mut is_free[*at]));
        }
        for ((found, (_, role)), index) in found.iter_mut().zip(listed).zip(0..) {
            let at = by_index.get(&(*role, index)).copied().filter(|_| found.is_none());
            *found = at.filter(|at| std::mem::take(&mut is_free[*at])).or(*found);
        }
        let mut rest: HashMap<ItemRole, VecDeque<usize>> = HashMap::new();
        for (at, item) in known().filter(|(at, _)| is_free[*at]) {
            rest.entry(item.role).or_default().push_back(at);
        }
        for (found, (_, role)) in found.iter_mut().zip(listed).filter(|(found, _)| found.is_none()) {
            *found = rest.get_mut(role).and_then(VecDeque::pop_front);
        }
        found
    }
}
