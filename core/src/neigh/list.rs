//! Doubly linked lists through the entries of a table, so that joining and leaving a list costs
//! the same however long it is.

/// "Nobody" in a link.
pub(super) const NONE: u32 = u32::MAX;

/// An entry's neighbours in one list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    previous: u32,
    next: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            previous: NONE,
            next: NONE,
        }
    }
}

/// Both ends of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    first: u32,
    last: u32,
    len: u32,
}

impl Default for List {
    fn default() -> Self {
        Self {
            first: NONE,
            last: NONE,
            len: 0,
        }
    }
}

/// Where the links of the entries are.
pub(super) trait Linked {
    fn links(&mut self, index: u32) -> &mut Links;
}

impl List {
    pub(super) fn first(&self) -> Option<u32> {
        Some(self.first).filter(|index| *index != NONE)
    }

    pub(super) fn last(&self) -> Option<u32> {
        Some(self.last).filter(|index| *index != NONE)
    }

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn push_front(&mut self, index: u32, entries: &mut impl Linked) {
        *entries.links(index) = Links {
            previous: NONE,
            next: self.first,
        };
        match self.first {
            NONE => self.last = index,
            first => entries.links(first).previous = index,
        }
        self.first = index;
        self.len += 1;
    }

    pub(super) fn push_back(&mut self, index: u32, entries: &mut impl Linked) {
        *entries.links(index) = Links {
            previous: self.last,
            next: NONE,
        };
        match self.last {
            NONE => self.first = index,
            last => entries.links(last).next = index,
        }
        self.last = index;
        self.len += 1;
    }

    /// Takes out an entry that is in this list.
    pub(super) fn remove(&mut self, index: u32, entries: &mut impl Linked) {
        let Links { previous, next } = core::mem::take(entries.links(index));
        match previous {
            NONE => self.first = next,
            previous => entries.links(previous).next = next,
        }
        match next {
            NONE => self.last = previous,
            next => entries.links(next).previous = previous,
        }
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    struct Table([Links; 5]);

    impl Linked for Table {
        fn links(&mut self, index: u32) -> &mut Links {
            &mut self.0[index as usize]
        }
    }

    fn order(list: &List, table: &mut Table) -> Vec<u32> {
        let mut order = Vec::new();
        let mut at = list.first;
        while at != NONE {
            order.push(at);
            at = table.links(at).next;
        }
        let mut backwards = Vec::new();
        at = list.last;
        while at != NONE {
            backwards.insert(0, at);
            at = table.links(at).previous;
        }
        assert_eq!(order, backwards);
        assert_eq!(order.len(), list.len());
        order
    }

    #[test]
    fn entries_join_at_both_ends_and_leave_from_anywhere() {
        let mut table = Table(Default::default());
        let mut list = List::default();
        for index in [2, 3] {
            list.push_back(index, &mut table);
        }
        for index in [1, 0] {
            list.push_front(index, &mut table);
        }
        list.push_back(4, &mut table);
        assert_eq!(order(&list, &mut table), [0, 1, 2, 3, 4]);
        for (leaves, left) in [
            (2, &[0, 1, 3, 4][..]),
            (0, &[1, 3, 4]),
            (4, &[1, 3]),
            (1, &[3]),
            (3, &[]),
        ] {
            list.remove(leaves, &mut table);
            assert_eq!(order(&list, &mut table), left);
        }
        assert_eq!((list.first(), list.last()), (None, None));
    }
}
