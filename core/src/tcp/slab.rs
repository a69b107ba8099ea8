//! A fixed number of places for values of one kind, with a generation each, so that a handle to a
//! value that has gone is recognised.

use alloc::boxed::Box;

/// "No place" in the free list.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Place<T> {
    value: Option<T>,
    generation: u32,
    next_free: u32,
}

/// The places. All memory is allocated by [`Slab::new`].
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Box<[Place<T>]>,
    first_free: u32,
    used: usize,
}

impl<T> Slab<T> {
    /// Bytes for each place.
    pub(super) const PLACE_BYTES: usize = size_of::<Place<T>>();

    pub(super) fn new(places: usize) -> Self {
        let count = u32::try_from(places).unwrap_or(NONE - 2).min(NONE - 2);
        Self {
            places: (0..count)
                .map(|i| Place {
                    value: None,
                    generation: 0,
                    next_free: if i + 1 == count { NONE } else { i + 1 },
                })
                .collect(),
            first_free: if count == 0 { NONE } else { 0 },
            used: 0,
        }
    }

    /// How many places there are.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn is_full(&self) -> bool {
        self.first_free == NONE
    }

    /// Whether more than 7/8 of the places are taken.
    pub(super) fn is_nearly_full(&self) -> bool {
        self.used > self.places.len() - self.places.len() / 8
    }

    /// Puts a value into a free place; `None`, and the value is gone, when there is none.
    pub(super) fn insert(&mut self, value: T) -> Option<u32> {
        let index = self.first_free;
        let place = self.places.get_mut(index as usize)?;
        self.first_free = place.next_free;
        place.value = Some(value);
        self.used += 1;
        Some(index)
    }

    /// Frees a place. Handles to it become stale.
    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let place = self.places.get_mut(index as usize)?;
        let value = place.value.take()?;
        place.generation = place.generation.wrapping_add(1);
        place.next_free = self.first_free;
        self.first_free = index;
        self.used -= 1;
        Some(value)
    }

    /// Makes handles to a place stale while its value stays.
    pub(super) fn retire_handles(&mut self, index: u32) {
        if let Some(place) = self.places.get_mut(index as usize) {
            place.generation = place.generation.wrapping_add(1);
        }
    }

    pub(super) fn generation(&self, index: u32) -> u32 {
        self.places
            .get(index as usize)
            .map_or(0, |place| place.generation)
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.places.get(index as usize)?.value.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.places.get_mut(index as usize)?.value.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again_with_another_generation() {
        let mut slab = Slab::new(2);
        let (a, b) = (slab.insert('a').unwrap(), slab.insert('b').unwrap());
        assert_eq!(
            (slab.insert('c'), slab.is_full(), slab.used()),
            (None, true, 2)
        );
        let generation = slab.generation(a);
        assert_eq!((slab.remove(a), slab.remove(a)), (Some('a'), None));
        assert_eq!(
            (slab.insert('d'), slab.get(a), slab.get(b)),
            (Some(a), Some(&'d'), Some(&'b'))
        );
        assert_ne!(slab.generation(a), generation);
        slab.retire_handles(b);
        assert_eq!((slab.generation(b), slab.get_mut(b)), (1, Some(&mut 'b')));
        assert_eq!(slab.get(99), None);
    }
}
