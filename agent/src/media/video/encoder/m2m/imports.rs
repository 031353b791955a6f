//! Which buffer of an encoder stands for which buffer of a camera. A driver keeps what it imported last under an index:
//! the same memory under the same index is imported once, under another one again and again, which some leak.

use crate::media::video::BufferKey;

/// See the module. As many places as the encoder's queue has buffers.
#[derive(Debug)]
pub struct Imports {
    /// What lies under each index, and when it was used last.
    places: Vec<Option<(BufferKey, u64)>>,
    clock: u64,
}

impl Imports {
    /// Nothing imported yet.
    pub fn new(places: u32) -> Self {
        Self { places: vec![None; places as usize], clock: 0 }
    }

    /// The index for this memory: its own, else one that is unused, else the one that was used least lately. Only
    /// indices that `is_free` are given; `None` if there is none.
    pub fn place(&mut self, key: BufferKey, is_free: impl Fn(usize) -> bool) -> Option<usize> {
        self.clock += 1;
        let own = |place: &usize| self.places[*place].is_some_and(|(held, _)| held == key);
        // Its own index, if it has one, must be waited for: a second import of the same memory is what is avoided.
        let place = match (0..self.places.len()).find(own) {
            Some(place) if is_free(place) => place,
            Some(_) => return None,
            None => {
                let age = |place: &usize| self.places[*place].map_or(0, |(_, used)| used);
                (0..self.places.len()).filter(|place| is_free(*place)).min_by_key(age)?
            }
        };
        self.places[place] = Some((key, self.clock));
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(stream: u64, index: u32) -> BufferKey {
        BufferKey { stream, index }
    }

    #[test]
    fn the_same_memory_has_the_same_index_in_whatever_order_it_comes() {
        let mut imports = Imports::new(6);
        let first: Vec<_> = (0..4).map(|index| imports.place(key(1, index), |_| true)).collect();
        assert_eq!(first, [Some(0), Some(1), Some(2), Some(3)]);
        for index in [3, 1, 0, 2, 2, 1] {
            assert_eq!(imports.place(key(1, index), |_| true), Some(index as usize));
        }
    }

    #[test]
    fn a_new_stream_takes_the_unused_and_then_the_oldest_places() {
        let mut imports = Imports::new(4);
        (0..3).for_each(|index| assert_eq!(imports.place(key(1, index), |_| true), Some(index as usize)));
        assert_eq!(imports.place(key(1, 0), |_| true), Some(0));
        let places: Vec<_> = (0..3).map(|index| imports.place(key(2, index), |_| true)).collect();
        assert_eq!(places, [Some(3), Some(1), Some(2)]);
    }

    #[test]
    fn a_place_that_the_driver_has_is_not_given() {
        let mut imports = Imports::new(2);
        assert_eq!(imports.place(key(1, 0), |place| place != 0), Some(1));
        assert_eq!(imports.place(key(1, 1), |_| false), None);
        assert_eq!(imports.place(key(1, 0), |place| place != 1), None, "its own is not free");
    }
}
