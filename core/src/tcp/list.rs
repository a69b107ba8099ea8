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

/// The links of any number of lists over the numbers below a fixed bound; each number is in at
/// most one of them.
#[derive(Debug)]
pub(super) struct Links(Box<[Link]>);

/// The two ends of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    first: u32,
    last: u32,
}

impl Ends {
    /// Of an empty list.
    pub(super) const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
    };

    /// The number that has waited longest.
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }
}

impl Links {
    /// Links for the numbers 0 to `bound - 1`.
    pub(super) fn new(bound: usize) -> Self {
        let link = Link {
            prev: OUT,
            next: NONE,
        };
        Self(vec![link; bound].into_boxed_slice())
    }

    fn contains(&self, index: u32) -> bool {
        self.0[index as usize].prev != OUT
    }

    /// Appends a number to a list unless it is in one.
    pub(super) fn push_back(&mut self, list: &mut Ends, index: u32) {
        if self.contains(index) {
            return;
        }
        self.0[index as usize] = Link {
            prev: list.last,
            next: NONE,
        };
        match list.last {
            NONE => list.first = index,
            last => self.0[last as usize].next = index,
        }
        list.last = index;
    }

    /// Removes a number from the list that it is in, if it is in one.
    pub(super) fn remove(&mut self, list: &mut Ends, index: u32) {
        if !self.contains(index) {
            return;
        }
        let Link { prev, next } = self.0[index as usize];
        match prev {
            NONE => list.first = next,
            prev => self.0[prev as usize].next = next,
        }
        match next {
            NONE => list.last = prev,
            next => self.0[next as usize].prev = prev,
        }
        self.0[index as usize] = Link {
            prev: OUT,
            next: NONE,
        };
    }
}

/// A first-in first-out list of numbers below a fixed bound, each at most once.
#[derive(Debug)]
pub(super) struct IndexList {
    links: Links,
    ends: Ends,
}

impl IndexList {
    /// Bytes for each number.
    pub(super) const LINK_BYTES: usize = size_of::<Link>();

    /// A list for the numbers 0 to `bound - 1`.
    pub(super) fn new(bound: usize) -> Self {
        Self {
            links: Links::new(bound),
            ends: Ends::EMPTY,
        }
    }

    /// The number that has waited longest.
    pub(super) fn first(&self) -> Option<u32> {
        self.ends.first()
    }

    /// Appends a number unless it is in the list.
    pub(super) fn push_back(&mut self, index: u32) {
        self.links.push_back(&mut self.ends, index);
    }

    /// Removes a number, wherever it is.
    pub(super) fn remove(&mut self, index: u32) {
        self.links.remove(&mut self.ends, index);
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
        assert_eq!((list.first(), list.links.contains(3)), (None, false));
    }

    #[test]
    fn lists_over_the_same_links_do_not_mix() {
        let mut links = Links::new(6);
        let (mut even, mut odd) = (Ends::EMPTY, Ends::EMPTY);
        for index in 0..6 {
            let list = if index % 2 == 0 { &mut even } else { &mut odd };
            links.push_back(list, index);
        }
        links.push_back(&mut odd, 4);
        links.remove(&mut even, 2);
        links.remove(&mut odd, 1);
        let mut drain = |list: &mut Ends| {
            core::iter::from_fn(|| {
                let first = list.first()?;
                links.remove(list, first);
                Some(first)
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(
            (drain(&mut even), drain(&mut odd)),
            ([0, 4].into(), [3, 5].into())
        );
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
