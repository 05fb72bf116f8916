//! `SplitMix64` (Steele, Lea and Flood 2014): pseudo-random numbers that are the same on every machine.

/// What the generator adds to its state at each step: 2⁶⁴ over the golden ratio, made odd.
pub(crate) const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns the number that the generator gives from `state`: all 64 bits of `state + GOLDEN_GAMMA`,
/// mixed. From a state of 0 its n-th number is `split_mix((n − 1)·GOLDEN_GAMMA)`.
pub(crate) fn split_mix(state: u64) -> u64 {
    let mixed = state.wrapping_add(GOLDEN_GAMMA);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixing_is_split_mix() {
        // The first numbers of the reference implementation (Vigna, splitmix64.c).
        assert_eq!(split_mix(1_234_567), 6_457_827_717_110_365_317);
        assert_eq!(split_mix(0), 0xe220_a839_7b1d_cdaf);
    }
}
