//! Random numbers that follow from a seed.

use rand::SeedableRng;
use rand::rngs::SmallRng;

/// Random numbers for one purpose and one of its items, such as `("noise", 12)` for frame 12: streams of
/// different purposes or items are unrelated, so no change of one moves another.
pub fn stream(seed: u64, purpose: &str, item: usize) -> SmallRng {
    // FNV-1a, which tells apart what it is fed; the generator's own seeding scatters it.
    let words = [seed, item as u64].map(u64::to_le_bytes);
    let bytes = words.iter().flatten().copied().chain(purpose.bytes());
    let mixed = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    SmallRng::seed_from_u64(mixed)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::RngCore;

    use super::stream;

    #[test]
    fn every_seed_purpose_and_item_has_its_own_numbers() {
        let mut first = HashSet::new();
        for seed in 0..20 {
            for purpose in ["a", "b", "ab"] {
                for item in 0..20 {
                    assert!(first.insert(stream(seed, purpose, item).next_u64()));
                }
            }
        }
        assert!(first.contains(&stream(3, "b", 4).next_u64()));
    }
}
