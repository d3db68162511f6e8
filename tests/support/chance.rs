//! Random numbers that a seed repeats.

/// `SplitMix64`: small, and the same everywhere and for ever.
#[derive(Clone)]
pub struct Chance(u64);

impl Chance {
    /// A stream of its own for every seed and number.
    pub fn new(seed: u64, stream: u64) -> Chance {
        let mut chance = Chance(seed);
        for _ in 0..=stream {
            chance.0 = chance.next();
        }
        chance
    }

    /// A number between two, and these.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}
