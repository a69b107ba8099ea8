//! Ranges of received data behind holes, in the order of the stream: a skip list for each
//! connection, with all their nodes in one table.
//!
//! A search takes about 25 steps in a thousand ranges. How many levels a range takes part in
//! is drawn by chance, so nobody outside can arrange ranges that make it longer (CVE-2018-5390).
//! A second list goes from the range that grew last to the one that grew longest ago
//! (RFC 2018 §4).

use super::seq::SeqNum;
use crate::pool::FrameQueue;
use alloc::boxed::Box;
use siphasher::sip::SipHasher13;

/// "None" in links.
const NONE: u32 = u32::MAX;
/// The head of a list, in place of a range.
const HEAD: u32 = u32::MAX - 1;
/// One range in four takes part in the next level: five of them for a thousand ranges.
const LEVELS: usize = 5;

/// Data without holes.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) start: SeqNum,
    pub(super) end: SeqNum,
    pub(super) frames: FrameQueue,
    /// The neighbours in the order in which ranges grew.
    newer: u32,
    older: u32,
    /// The next range on each level; a free one is linked on the lowest.
    next: [u32; LEVELS],
}

/// A connection's ranges.
#[derive(Debug)]
pub(super) struct List {
    first: [u32; LEVELS],
    newest: u32,
    oldest: u32,
    len: u32,
}

/// On each level, the last range that starts at or before a number, or [`HEAD`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Path([u32; LEVELS]);

impl Path {
    /// In front of all ranges.
    pub(super) const START: Self = Self([HEAD; LEVELS]);

    /// The last range that starts at or before the number.
    pub(super) fn at(&self) -> Option<u32> {
        Some(self.0[0]).filter(|index| *index != HEAD)
    }
}

/// The ranges of all connections.
#[derive(Debug)]
pub(super) struct Ranges {
    nodes: Box<[Range]>,
    first_free: u32,
    free: u32,
    /// Xorshift: where levels come from.
    chance: u64,
}

impl Ranges {
    pub(super) fn new(count: usize, secret: &[u8; 16]) -> Self {
        let count = u32::try_from(count).unwrap_or(HEAD - 1).min(HEAD - 1);
        let node = |i| {
            let mut next = [NONE; LEVELS];
            next[0] = if i + 1 == count { NONE } else { i + 1 };
            Range {
                start: SeqNum::default(),
                end: SeqNum::default(),
                frames: FrameQueue::default(),
                newer: NONE,
                older: NONE,
                next,
            }
        };
        let chance = SipHasher13::new_with_key(secret).hash(b"levels");
        Self {
            nodes: (0..count).map(node).collect(),
            first_free: if count == 0 { NONE } else { 0 },
            free: count,
            chance: chance | 1,
        }
    }

    /// Ranges that nobody has.
    pub(super) fn free(&self) -> u32 {
        self.free
    }

    pub(super) fn get(&self, index: u32) -> Option<&Range> {
        self.nodes.get(index as usize)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Range> {
        self.nodes.get_mut(index as usize)
    }

    /// The range behind this one.
    pub(super) fn following(&self, index: u32) -> Option<u32> {
        self.next(&[NONE; LEVELS], index, 0)
    }

    fn next(&self, first: &[u32; LEVELS], index: u32, level: usize) -> Option<u32> {
        let next = match index {
            HEAD => first[level],
            index => self.nodes[index as usize].next[level],
        };
        Some(next).filter(|next| *next != NONE)
    }

    fn set_next(&mut self, list: &mut List, index: u32, level: usize, next: u32) {
        match index {
            HEAD => list.first[level] = next,
            index => self.nodes[index as usize].next[level] = next,
        }
    }

    /// The way to the last range that starts at `number` or before.
    pub(super) fn path(&self, list: &List, number: SeqNum) -> Path {
        let mut path = Path::START;
        let mut at = HEAD;
        for level in (0..LEVELS).rev() {
            while let Some(next) = self.next(&list.first, at, level)
                && self.nodes[next as usize].start.before_or_at(number)
            {
                at = next;
            }
            path.0[level] = at;
        }
        path
    }

    /// The range behind the one that a path leads to.
    pub(super) fn behind(&self, list: &List, path: &Path) -> Option<u32> {
        self.next(&list.first, path.0[0], 0)
    }

    /// Adds a range without frames behind the one that the path leads to. It is the newest one.
    pub(super) fn insert(
        &mut self,
        list: &mut List,
        path: &Path,
        (start, end): (SeqNum, SeqNum),
    ) -> Option<u32> {
        let index = self.first_free;
        let levels = self.draw_levels();
        let node = self.nodes.get_mut(index as usize)?;
        self.first_free = node.next[0];
        self.free -= 1;
        (node.start, node.end) = (start, end);
        node.next = [NONE; LEVELS];
        for level in 0..levels {
            let before = path.0[level];
            let next = self.next(&list.first, before, level).unwrap_or(NONE);
            self.nodes[index as usize].next[level] = next;
            self.set_next(list, before, level, index);
        }
        list.len += 1;
        self.becomes_newest(list, index);
        Some(index)
    }

    /// Takes out the range behind the one that the path leads to, and returns its end and frames.
    pub(super) fn remove_behind(
        &mut self,
        list: &mut List,
        path: &Path,
    ) -> Option<(SeqNum, FrameQueue)> {
        let index = self.behind(list, path)?;
        for (level, before) in path.0.into_iter().enumerate() {
            if self.next(&list.first, before, level) == Some(index) {
                let next = self.nodes[index as usize].next[level];
                self.set_next(list, before, level, next);
            }
        }
        self.leave_order(list, index);
        list.len -= 1;
        let node = &mut self.nodes[index as usize];
        node.next[0] = self.first_free;
        self.first_free = index;
        self.free += 1;
        Some((node.end, core::mem::take(&mut node.frames)))
    }

    /// The range has grown.
    pub(super) fn touch(&mut self, list: &mut List, index: u32) {
        if list.newest != index {
            self.leave_order(list, index);
            self.becomes_newest(list, index);
        }
    }

    fn becomes_newest(&mut self, list: &mut List, index: u32) {
        let newest = list.newest;
        let node = &mut self.nodes[index as usize];
        (node.newer, node.older) = (NONE, newest);
        match newest {
            NONE => list.oldest = index,
            newest => self.nodes[newest as usize].newer = index,
        }
        list.newest = index;
    }

    fn leave_order(&mut self, list: &mut List, index: u32) {
        let Range { newer, older, .. } = self.nodes[index as usize];
        match newer {
            NONE => list.newest = older,
            newer => self.nodes[newer as usize].older = older,
        }
        match older {
            NONE => list.oldest = newer,
            older => self.nodes[older as usize].newer = newer,
        }
    }

    /// The ranges from the one that grew last to the one that grew longest ago.
    pub(super) fn latest(&self, list: &List) -> impl Iterator<Item = &Range> {
        let first = self.get(list.newest);
        core::iter::successors(first, |range| self.get(range.older))
    }

    fn draw_levels(&mut self) -> usize {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        // Of the upper half, whose bits depend on all others.
        let zeros = (self.chance >> 32).trailing_zeros() as usize;
        (1 + zeros / 2).min(LEVELS)
    }
}

impl List {
    pub(super) const EMPTY: Self = Self {
        first: [NONE; LEVELS],
        newest: NONE,
        oldest: NONE,
        len: 0,
    };

    /// Ranges in the list.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The range that grew last.
    pub(super) fn newest(&self) -> Option<u32> {
        Some(self.newest).filter(|index| *index != NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::vec::Vec;

    fn starts(ranges: &Ranges, list: &List) -> Vec<u32> {
        let first = ranges.behind(list, &Path::START);
        core::iter::successors(first, |index| ranges.following(*index))
            .map(|index| ranges.get(index).unwrap().start.get())
            .collect()
    }

    /// Random operations against sorted and unsorted vectors, across the wrap of numbers.
    #[test]
    fn keeps_both_orders_whatever_happens() {
        let base = SeqNum::new(u32::MAX - 500);
        for seed in 0..20u8 {
            let mut rng = Rng::new([seed; 32]);
            let mut ranges = Ranges::new(64, &[seed; 16]);
            let mut list = List::EMPTY;
            // From the oldest to the newest.
            let mut model: Vec<u32> = Vec::new();
            for _ in 0..2_000 {
                let offset = rng.u32() % 1_000;
                let path = ranges.path(&list, base + offset);
                let at = path.at().map(|index| ranges.get(index).unwrap().start);
                let expected = model.iter().filter(|known| **known <= offset).max();
                assert_eq!(at, expected.map(|known| base + *known));
                match rng.u32() % 3 {
                    0 if at != Some(base + offset) => {
                        let place = (base + offset, base + offset + 1);
                        let added = ranges.insert(&mut list, &path, place).is_some();
                        assert_eq!(added, model.len() < 64);
                        if added {
                            model.push(offset);
                        }
                    }
                    1 => {
                        let gone = ranges.remove_behind(&mut list, &path).map(|(end, _)| end);
                        let expected = model.iter().copied().filter(|known| *known > offset).min();
                        assert_eq!(gone, expected.map(|known| base + known + 1));
                        model.retain(|known| Some(*known) != expected);
                    }
                    _ => {
                        if let Some(index) = path.at() {
                            ranges.touch(&mut list, index);
                            let known = ranges.get(index).unwrap().start.since(base);
                            model.retain(|other| *other != known);
                            model.push(known);
                        }
                    }
                }
                let mut sorted = model.clone();
                sorted.sort_unstable();
                let sorted: Vec<u32> = sorted.iter().map(|o| (base + *o).get()).collect();
                assert_eq!(starts(&ranges, &list), sorted);
                let latest = ranges.latest(&list).map(|range| range.start.since(base));
                assert!(latest.eq(model.iter().rev().copied()));
                assert_eq!(
                    (list.len() + ranges.free(), list.len() as usize),
                    (64, model.len())
                );
            }
        }
    }

    /// What a search costs, in ranges that it looks at.
    #[test]
    fn a_search_among_a_thousand_is_short() {
        let mut ranges = Ranges::new(1_024, &[5; 16]);
        let mut list = List::EMPTY;
        for i in 0..1_024 {
            let number = SeqNum::new(2 * i);
            let path = ranges.path(&list, number);
            ranges
                .insert(&mut list, &path, (number, number + 1))
                .unwrap();
        }
        let steps = |number: SeqNum| {
            let (mut at, mut steps) = (HEAD, 0);
            for level in (0..LEVELS).rev() {
                while let Some(next) = ranges.next(&list.first, at, level) {
                    steps += 1;
                    if !ranges.nodes[next as usize].start.before_or_at(number) {
                        break;
                    }
                    at = next;
                }
            }
            steps
        };
        let all: Vec<u32> = (0..1_024).map(|i| steps(SeqNum::new(2 * i))).collect();
        let (sum, most) = (all.iter().sum::<u32>(), all.iter().max().unwrap());
        assert!(sum / 1_024 <= 30 && *most <= 90, "{} {most}", sum / 1_024);
    }
}
