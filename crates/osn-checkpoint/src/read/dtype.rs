//! The types of elements, and the four that are read as numbers.

use std::fmt;
use std::ops::Neg;

use half::{bf16, f16};

macro_rules! dtypes {
    ($($(#[$doc:meta])* $variant:ident = $bits:literal, $class:ident, $names:expr;)*) => {
        /// The type of a tensor's elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Dtype { $($(#[$doc])* $variant,)* }

        impl Dtype {
            const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its names by the places in [`Names`], empty where there is none.
            fn names(self) -> [&'static str; 4] {
                match self { $(Self::$variant => $names,)* }
            }

            /// The bits of one element.
            pub fn bits(self) -> usize {
                match self { $(Self::$variant => $bits,)* }
            }

            fn class(self) -> Class {
                match self { $(Self::$variant => Class::$class,)* }
            }
        }
    };
}

pub(crate) const NO_FLOAT: &str = "not floating point";

/// Whose names for types: `F32`, `torch.float32`, `FloatStorage`, `f4`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Names {
    Safetensors,
    Torch,
    Storage,
    Numpy,
}

/// What is done with elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// They are read as numbers.
    Read,
    /// They stand for real numbers, but are not read.
    Float,
    /// They are no real numbers, or stand for them only together with others.
    Other,
    /// Nothing is known of them.
    Unknown,
}

dtypes! {
    /// 64-bit floating point.
    F64 = 64, Read, ["F64", "float64", "Double", "f8"];
    /// 32-bit floating point.
    F32 = 32, Read, ["F32", "float32", "Float", "f4"];
    /// 16-bit floating point of IEEE 754.
    F16 = 16, Read, ["F16", "float16", "Half", "f2"];
    /// The upper half of a 32-bit floating point number.
    Bf16 = 16, Read, ["BF16", "bfloat16", "BFloat16", ""];
    /// 8-bit floating point, 4 bits of exponent.
    F8E4M3 = 8, Float, ["F8_E4M3", "float8_e4m3fn", "", ""];
    /// 8-bit floating point, 5 bits of exponent.
    F8E5M2 = 8, Float, ["F8_E5M2", "float8_e5m2", "", ""];
    /// 8-bit floating point, 4 bits of exponent, no negative zero.
    F8E4M3Fnuz = 8, Float, ["F8_E4M3FNUZ", "float8_e4m3fnuz", "", ""];
    /// 8-bit floating point, 5 bits of exponent, no negative zero.
    F8E5M2Fnuz = 8, Float, ["F8_E5M2FNUZ", "float8_e5m2fnuz", "", ""];
    /// 8-bit powers of two.
    F8E8M0 = 8, Float, ["F8_E8M0", "float8_e8m0fnu", "", ""];
    /// 6-bit floating point, 2 bits of exponent.
    F6E2M3 = 6, Float, ["F6_E2M3", "", "", ""];
    /// 6-bit floating point, 3 bits of exponent.
    F6E3M2 = 6, Float, ["F6_E3M2", "", "", ""];
    /// 4-bit floating point.
    F4 = 4, Float, ["F4", "", "", ""];
    /// Truth values, one a byte.
    Bool = 8, Other, ["BOOL", "bool", "Bool", "b1"];
    /// 8-bit unsigned integers.
    U8 = 8, Other, ["U8", "uint8", "Byte", "u1"];
    /// 8-bit signed integers.
    I8 = 8, Other, ["I8", "int8", "Char", "i1"];
    /// 16-bit unsigned integers.
    U16 = 16, Other, ["U16", "uint16", "", "u2"];
    /// 16-bit signed integers.
    I16 = 16, Other, ["I16", "int16", "Short", "i2"];
    /// 32-bit unsigned integers.
    U32 = 32, Other, ["U32", "uint32", "", "u4"];
    /// 32-bit signed integers.
    I32 = 32, Other, ["I32", "int32", "Int", "i4"];
    /// 64-bit unsigned integers.
    U64 = 64, Other, ["U64", "uint64", "", "u8"];
    /// 64-bit signed integers.
    I64 = 64, Other, ["I64", "int64", "Long", "i8"];
    /// Complex numbers of two 16-bit parts.
    C32 = 32, Other, ["C32", "complex32", "", ""];
    /// Complex numbers of two 32-bit parts.
    C64 = 64, Other, ["C64", "complex64", "ComplexFloat", "c8"];
    /// Complex numbers of two 64-bit parts.
    C128 = 128, Other, ["C128", "complex128", "ComplexDouble", "c16"];
    /// 8-bit signed integers that stand for real numbers by a scale kept elsewhere.
    QI8 = 8, Other, ["QI8", "", "QInt8", ""];
    /// 8-bit unsigned integers that stand for real numbers by a scale kept elsewhere.
    QU8 = 8, Other, ["QU8", "", "QUInt8", ""];
    /// 32-bit signed integers that stand for real numbers by a scale kept elsewhere.
    QI32 = 32, Other, ["QI32", "", "QInt32", ""];
    /// A type that this crate does not know.
    Unknown = 0, Unknown, ["unknown", "", "", ""];
}

impl Dtype {
    /// Its name in safetensors, or a name of that style where safetensors lacks the type.
    pub fn name(self) -> &'static str {
        self.names()[Names::Safetensors as usize]
    }

    /// Finds a dtype by the name that safetensors has for it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::find(Names::Safetensors, name)
    }

    pub(crate) fn find(of: Names, name: &str) -> Option<Self> {
        let known = |&dtype: &Self| dtype != Self::Unknown && !name.is_empty();
        let mut known = Self::ALL.iter().copied().filter(known);
        known.find(|dtype| dtype.names()[of as usize] == name)
    }

    /// Whether elements are read as numbers.
    pub fn is_read(self) -> bool {
        self.class() == Class::Read
    }

    /// Why elements are not read as numbers; `None` where they are.
    pub fn skip_reason(self) -> Option<&'static str> {
        match self.class() {
            Class::Read => None,
            Class::Float => Some("floating point of less than 16 bits is not read"),
            Class::Other => Some(NO_FLOAT),
            Class::Unknown => Some("its type is not known"),
        }
    }

    /// The bytes of one element; `None` where an element is no whole number of bytes.
    pub(crate) fn element_bytes(self) -> Option<usize> {
        let is_whole = self.bits() > 0 && self.bits().is_multiple_of(8);
        is_whole.then_some(self.bits() / 8)
    }

    pub(crate) fn is_complex(self) -> bool {
        matches!(self, Self::C32 | Self::C64 | Self::C128)
    }

    pub(crate) fn is_integer(self) -> bool {
        matches!(self.name().as_bytes(), [b'I' | b'U', b'1'..=b'9', ..])
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The order of the bytes of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteOrder {
    Little,
    Big,
}

/// A type that elements are read into: `f32` or `f64`.
pub trait Real:
    Copy + Default + From<f32> + Into<f64> + Neg<Output = Self> + Send + Sync + private::Sealed
{
    /// The nearest value.
    fn from_f64(value: f64) -> Self;
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Real for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }
}

impl Real for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounds to the nearest")]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}

/// Decodes whole elements of a dtype that is read into every `step`-th place of `into`.
///
/// # Panics
///
/// If `dtype` is not read.
pub(crate) fn decode<T: Real>(
    dtype: Dtype,
    order: ByteOrder,
    bytes: &[u8],
    into: &mut [T],
    step: usize,
) {
    match dtype {
        Dtype::F64 => each(bytes, order, into, step, |b| T::from_f64(f64::from_le_bytes(b))),
        Dtype::F32 => each(bytes, order, into, step, |b| T::from(f32::from_le_bytes(b))),
        Dtype::F16 => {
            each(bytes, order, into, step, |b| T::from(f16::from_le_bytes(b).to_f32()));
        }
        Dtype::Bf16 => {
            each(bytes, order, into, step, |b| T::from(bf16::from_le_bytes(b).to_f32()));
        }
        _ => panic!("elements of {dtype} are not read as numbers"),
    }
}

fn each<T, const N: usize>(
    bytes: &[u8],
    order: ByteOrder,
    into: &mut [T],
    step: usize,
    number: impl Fn([u8; N]) -> T,
) {
    let (elements, _) = bytes.as_chunks::<N>();
    let places = into.iter_mut().step_by(step);
    match order {
        ByteOrder::Little => elements.iter().zip(places).for_each(|(&e, place)| *place = number(e)),
        ByteOrder::Big => elements.iter().zip(places).for_each(|(&(mut e), place)| {
            e.reverse();
            *place = number(e);
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_dtype() {
        for &dtype in Dtype::ALL.iter().filter(|&&dtype| dtype != Dtype::Unknown) {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!(Dtype::from_name("F128"), None);
        assert_eq!(Dtype::from_name("unknown"), None);
    }

    #[test]
    fn big_endian_elements_are_turned_around() {
        let mut into = [0.0_f64; 3];
        let bytes = [1.5_f32.to_be_bytes(), (-2.0_f32).to_be_bytes()].concat();
        decode(Dtype::F32, ByteOrder::Big, &bytes, &mut into, 2);
        assert_eq!(into, [1.5, 0.0, -2.0]);
    }

    #[test]
    fn half_precision_has_the_values_that_its_bits_say() {
        let mut into = [0.0_f32; 2];
        decode(Dtype::F16, ByteOrder::Little, &[0x00, 0x3c, 0x01, 0x00], &mut into, 1);
        assert_eq!(into, [1.0, 5.960_464_5e-8]);
        decode(Dtype::Bf16, ByteOrder::Little, &[0x80, 0x3f, 0x80, 0xff], &mut into, 1);
        assert_eq!(into, [1.0, f32::NEG_INFINITY]);
    }
}
