//! Orders in which the options of a question are shown.

use std::collections::HashSet;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest as _, Sha256};

/// Draws for each order that is wanted: few options have few orders, and drawing them all takes a while.
const DRAWS: u32 = 200;

/// Up to `n` different orders of so many options, the published one first. They depend on the seed and the name of the question
/// alone.
pub(super) fn orders(choices: usize, n: u32, seed: u64, id: &str) -> Vec<Vec<usize>> {
    let published: Vec<usize> = (0..choices).collect();
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(id.as_bytes());
    let mut random = ChaCha8Rng::from_seed(hasher.finalize().into());
    let mut seen = HashSet::from([published.clone()]);
    let mut orders = vec![published.clone()];
    if choices < 2 {
        return orders;
    }
    for _ in 0..n.saturating_mul(DRAWS) {
        if orders.len() >= n.max(1) as usize {
            break;
        }
        let mut order = published.clone();
        order.shuffle(&mut random);
        if seen.insert(order.clone()) {
            orders.push(order);
        }
    }
    orders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_differ_and_begin_with_the_published_one() {
        for (choices, n, expected) in [(4, 1, 1), (4, 5, 5), (4, 30, 24), (2, 9, 2), (1, 3, 1), (0, 3, 1), (8, 12, 12)]
        {
            let orders = orders(choices, n, 7, "a");
            assert_eq!(orders.len(), expected, "{n} orders of {choices}");
            assert_eq!(orders[0], (0..choices).collect::<Vec<_>>());
            assert_eq!(orders.iter().collect::<HashSet<_>>().len(), expected);
            for mut order in orders {
                order.sort_unstable();
                assert_eq!(order, (0..choices).collect::<Vec<_>>());
            }
        }
        assert_eq!(orders(5, 4, 7, "a"), orders(5, 4, 7, "a"));
        assert_ne!(orders(5, 4, 7, "a"), orders(5, 4, 8, "a"));
        assert_ne!(orders(5, 4, 7, "a"), orders(5, 4, 7, "b"));
    }
}
