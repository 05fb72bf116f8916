//! 8-bit floating point, which quantized weights are stored in.

use crate::read::dtype::Dtype;
use crate::read::tensor::{Tensor, TensorError};

/// The entries of a tensor of 8-bit floating point.
pub(crate) fn read(tensor: &Tensor) -> Result<Vec<f64>, TensorError> {
    let number = if tensor.dtype() == Dtype::F8E4M3 { e4m3 } else { e5m2 };
    Ok(tensor.read_all_bytes()?.into_iter().map(number).collect())
}

/// 4 bits of exponent and 3 of mantissa, without infinities.
fn e4m3(byte: u8) -> f64 {
    if byte & 0x7f == 0x7f {
        return f64::NAN;
    }
    minifloat(byte, 3, 7)
}

/// 5 bits of exponent and 2 of mantissa: the upper half of an f16.
fn e5m2(byte: u8) -> f64 {
    half::f16::from_bits(u16::from(byte) << 8).to_f64()
}

fn minifloat(byte: u8, mantissa_bits: i32, bias: i32) -> f64 {
    let mantissa = f64::from(byte & 7) / f64::from(1 << mantissa_bits);
    let exponent = i32::from((byte & 0x7f) >> mantissa_bits);
    let magnitude = match exponent {
        0 => mantissa * 2.0_f64.powi(1 - bias),
        _ => (1.0 + mantissa) * 2.0_f64.powi(exponent - bias),
    };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_eight_bits_are_what_their_format_says() {
        assert_eq!(
            [0x38, 0x39, 0xb8, 0x01, 0x7e, 0x00].map(e4m3),
            [1.0, 1.125, -1.0, 2.0_f64.powi(-9), 448.0, 0.0]
        );
        assert_eq!([0x3c, 0xbc, 0x7b].map(e5m2), [1.0, -1.0, 57344.0]);
        assert!(e4m3(0x7f).is_nan() && e4m3(0xff).is_nan());
    }
}
