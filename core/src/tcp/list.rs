//! Lists of connections that have something to do, linked through an array: no memory per entry
//! beyond two words, and joining, leaving and taking cost the same for one entry as for a million.

use alloc::boxed::Box;
use alloc::vec;

/// "No neighbour" in links.
const NONE: u32 = u32::MAX;
/// "Not in the list", in `prev`.
const OUT: u32 = u32::MAX - 1;

#[derive(Clone, Copy, Debug)]
struct Link {
    prev: u32,
    next: u32,
}

/// A first-in first-out list of numbers below a fixed bound, each at most once.
#[derive(Debug)]
pub(super) struct IndexList {
    links: Box<[Link]>,
    first: u32,
    last: u32,
}

impl IndexList {
    /// A list for the numbers 0 to `bound - 1`.
    pub(super) fn new(bound: usize) -> Self {
        Self {
            links: vec![
                Link {
                    prev: OUT,
                    next: NONE
                };
                bound
            ]
            .into_boxed_slice(),
            first: NONE,
            last: NONE,
        }
    }

    /// The number that has waited longest.
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    pub(super) fn contains(&self, index: u32) -> bool {
        self.links[index as usize].prev != OUT
    }

    /// Appends a number unless it is in the list.
    pub(super) fn push_back(&mut self, index: u32) {
        if self.contains(index) {
            return;
        }
        self.links[index as usize] = Link {
            prev: self.last,
            next: NONE,
        };
        match self.last {
            NONE => self.first = index,
            last => self.links[last as usize].next = index,
        }
        self.last = index;
    }

    /// Removes a number, wherever it is.
    pub(super) fn remove(&mut self, index: u32) {
        if !self.contains(index) {
            return;
        }
        let Link { prev, next } = self.links[index as usize];
        match prev {
            NONE => self.first = next,
            prev => self.links[prev as usize].next = next,
        }
        match next {
            NONE => self.last = prev,
            next => self.links[next as usize].prev = prev,
        }
        self.links[index as usize] = Link {
            prev: OUT,
            next: NONE,
        };
    }

    /// Takes the number that has waited longest.
    pub(super) fn pop_front(&mut self) -> Option<u32> {
        let index = self.first()?;
        self.remove(index);
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn drain(list: &mut IndexList) -> Vec<u32> {
        core::iter::from_fn(|| list.pop_front()).collect()
    }

    #[test]
    fn keeps_order_and_takes_each_number_once() {
        let mut list = IndexList::new(5);
        for index in [3, 1, 3, 4, 0, 1] {
            list.push_back(index);
        }
        assert_eq!(list.first(), Some(3));
        assert_eq!(drain(&mut list), [3, 1, 4, 0]);
        assert_eq!((list.first(), list.contains(3)), (None, false));
    }

    #[test]
    fn numbers_leave_from_both_ends_and_the_middle() {
        for leaving in 0..4 {
            let mut list = IndexList::new(4);
            (0..4).for_each(|index| list.push_back(index));
            list.remove(leaving);
            list.remove(leaving);
            assert_eq!(
                drain(&mut list),
                (0..4).filter(|i| *i != leaving).collect::<Vec<_>>()
            );
        }
    }
}
