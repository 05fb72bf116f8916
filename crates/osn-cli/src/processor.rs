//! Whether this processor knows the instructions that the program was built with, before the first of them ends it.
//!
//! Nothing here may be compiled to one of them: it is `cpuid`, masks that are constants, and texts that are.

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::__cpuid_count;
    use std::io::{self, Write};
    use std::process;

    /// Bits of leaf 1, ECX: FMA, MOVBE, OSXSAVE, AVX and F16C.
    const OF_LEAF_1: u32 = 1 << 12 | 1 << 22 | 1 << 27 | 1 << 28 | 1 << 29;
    /// Bits of leaf 7, EBX: BMI1, AVX2 and BMI2.
    const OF_LEAF_7: u32 = 1 << 3 | 1 << 5 | 1 << 8;
    /// Further bits of leaf 7, EBX: AVX-512 F, DQ, CD, BW and VL.
    const OF_AVX_512: u32 = 1 << 16 | 1 << 17 | 1 << 28 | 1 << 30 | 1 << 31;

    const NO_V3: &[u8] = b"error: this processor lacks AVX2 or another part of x86-64-v3, and this osn was built with \
        it; build osn with RUSTFLAGS=-Ctarget-cpu=x86-64-v2\n";
    const NO_V4: &[u8] =
        b"error: this processor lacks AVX-512, and this osn was built with it; build osn with \
        RUSTFLAGS=-Ctarget-cpu=x86-64-v3\n";

    /// Ends the program with exit code 2 on a processor that lacks what it was built with.
    #[inline(never)]
    pub(crate) fn check() {
        if __cpuid_count(0, 0).eax < 7 {
            refuse(NO_V3);
        }
        let (one, seven) = (__cpuid_count(1, 0).ecx, __cpuid_count(7, 0).ebx);
        if one & OF_LEAF_1 != OF_LEAF_1 || seven & OF_LEAF_7 != OF_LEAF_7 {
            refuse(NO_V3);
        }
        if cfg!(target_feature = "avx512f") && seven & OF_AVX_512 != OF_AVX_512 {
            refuse(NO_V4);
        }
    }

    #[cold]
    #[inline(never)]
    fn refuse(words: &[u8]) -> ! {
        // Nobody may listen.
        let _ = io::stderr().write_all(words);
        process::exit(2)
    }
}

/// Ends the program with exit code 2 on a processor that lacks what it was built with.
pub(crate) fn check() {
    #[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
    x86_64::check();
}
