//! Forgetting entries of a map.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};

/// Lets go of the entries that are not to stay. A map that only removes them leaves what they were where they lay, until another one happens to
/// take their place; so the others move to a new map, and the old one is freed, which wipes it.
pub(crate) fn forget<K: Eq + Hash, V, S: BuildHasher + Default>(
    map: &mut HashMap<K, V, S>,
    mut stays: impl FnMut(&K, &mut V) -> bool,
) {
    if map.iter_mut().any(|(key, value)| !stays(key, value)) {
        *map = std::mem::take(map)
            .into_iter()
            .filter_map(|(key, mut value)| stays(&key, &mut value).then_some((key, value)))
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_stays_and_the_rest_is_not_where_it_was() {
        let mut map: HashMap<u32, u32> = (0..100).map(|key| (key, key)).collect();
        let before = map.capacity();
        forget(&mut map, |key, _| *key < 100);
        assert_eq!((map.len(), map.capacity()), (100, before), "nothing left, nothing moved");
        forget(&mut map, |key, _| *key < 3);
        assert_eq!(map.len(), 3);
        assert!(map.capacity() < before, "another table");
        forget(&mut map, |_, _| false);
        assert_eq!((map.len(), map.capacity()), (0, 0));
    }
}
