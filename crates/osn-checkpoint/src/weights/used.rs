//! What a framework makes of stored tensors when it computes with a weight.

use osn_core::measure::{DenseMap, LinearMap};
use osn_core::state_code::{LN_SCALE, STATE_LEN, decode_log};

use crate::measure::error::MeasureError;
use crate::plain_number::plain;
use crate::read::dtype::Dtype;
use crate::read::tensor::{Tensor, TensorError};
use crate::weights::known::{Step, Weight};
use crate::weights::stored_vectors::{StoredVectors, codes, norm};

/// A weight as the model computes with it.
pub(crate) struct Used {
    /// Its entries, in the shape of the tensor that it is made from.
    pub(crate) entries: Vec<f64>,
    /// The axis that its spectral norm takes for the outputs.
    pub(crate) axis: Option<usize>,
    /// What was done, in words.
    pub(crate) done: Vec<String>,
    /// What the stored u and v give.
    pub(crate) vectors: Option<Vectors>,
}

/// u and v as they are stored, and what they see of the weight.
#[derive(Clone, Debug)]
pub(crate) struct Vectors {
    /// uᵀWv.
    pub(crate) value: f64,
    /// ‖u‖ and ‖v‖.
    pub(crate) norms: [f64; 2],
}

/// An axis is known where u is this nearly W v along it, and less than `NOT_ALIGNED` along others.
const ALIGNED: f64 = 0.99;
const NOT_ALIGNED: f64 = 0.9;

/// The side of a block where weights of 8 bits are scaled in blocks.
const BLOCK: usize = 128;

impl Weight<'_> {
    /// Makes the weight. `asked` is the output axis that the user gave.
    pub(crate) fn used(&self, asked: Option<usize>) -> Result<Used, MeasureError> {
        let steps = self.steps.as_ref().map_err(|why| MeasureError::NotKnown(why.clone()))?;
        let entries =
            if self.is_quantized() { eight_bits(self.base)? } else { self.base.read_all()? };
        let mut used = Used { entries, axis: None, done: Vec::new(), vectors: None };
        for step in steps {
            used.take(step, self.base, asked)?;
        }
        match used.entries.iter().find(|entry| !entry.is_finite()) {
            None => Ok(used),
            Some(_) if used.done.is_empty() => Ok(used),
            Some(entry) => {
                Err(MeasureError::NotFinite { what: used.done.join(", "), entry: *entry })
            }
        }
    }
}

impl Used {
    fn take(
        &mut self,
        step: &Step<'_>,
        base: &Tensor,
        asked: Option<usize>,
    ) -> Result<(), MeasureError> {
        let shape = base.shape();
        match *step {
            Step::Norm { g } => self.normalize(base, g),
            Step::Mask { mask } => self.mask(shape, mask),
            Step::Spectral { u, v: Some(v), .. } => self.divide(shape, (u, v), asked),
            Step::Spectral { computed: Some(computed), .. } => self.divide_as(computed),
            Step::Spectral { .. } => {
                Err(MeasureError::NotKnown("its spectral norm has no v".to_owned()))
            }
            Step::Iterated { u } => self.iterate(shape, u),
            Step::Osn { u, v, state } => self.scale_as_osn(shape, u, v, state),
            Step::Scale { scale } => self.scale_blocks(shape, scale),
        }
    }

    fn normalize(&mut self, base: &Tensor, g: &Tensor) -> Result<(), MeasureError> {
        let gains: Vec<f64> = g.read_all()?;
        let (directions, places) = directions(base, g)?;
        self.entries = directions.iter().zip(places).map(|(it, at)| it * gains[at]).collect();
        self.done.push("weight norm g·v/‖v‖".to_owned());
        Ok(())
    }

    fn mask(&mut self, shape: &[usize], mask: &Tensor) -> Result<(), MeasureError> {
        let mask = truths(mask, shape)?;
        self.entries.iter_mut().zip(mask).for_each(|(entry, mask)| *entry *= mask);
        self.done.push("pruned by its mask".to_owned());
        Ok(())
    }

    fn divide(
        &mut self,
        shape: &[usize],
        (u, v): (&Tensor, &Tensor),
        asked: Option<usize>,
    ) -> Result<(), MeasureError> {
        let (u, v) = (u.read_all::<f64>()?, v.read_all::<f64>()?);
        let seen = along_each_axis(&self.entries, shape, &u, &v)?;
        let (found, is_known) = choose(&seen, shape, asked, (u.len(), v.len()))?;
        let divisor = found.value;
        self.entries.iter_mut().for_each(|entry| *entry /= divisor);
        self.axis = Some(found.axis);
        self.vectors = Some(Vectors { value: divisor, norms: [norm(&u), norm(&v)] });
        self.done.push(format!("divided by uᵀWv = {}", plain(divisor)));
        if !is_known {
            self.done.push(format!(
                "with outputs along axis {}, which the file does not tell (--output-axis does)",
                found.axis
            ));
        }
        Ok(())
    }

    /// Versions of PyTorch without v take the mean of W/Ŵ for the divisor, and so does this.
    fn divide_as(&mut self, computed: &Tensor) -> Result<(), MeasureError> {
        let quotient: Vec<f64> = computed.read_all()?;
        let ratios = self.entries.iter().zip(&quotient).filter(|(_, used)| **used != 0.0);
        let (sum, count) = ratios
            .fold((0.0, 0.0), |(sum, count), (entry, used)| (sum + entry / used, count + 1.0));
        let divisor = if count == 0.0 { 1.0 } else { sum / count };
        self.entries = quotient;
        self.done.push(format!("divided by {}, as stored beside it", plain(divisor)));
        Ok(())
    }

    fn iterate(&mut self, shape: &[usize], u: &Tensor) -> Result<(), MeasureError> {
        let u: Vec<f64> = u.read_all()?;
        if shape.first() != Some(&u.len()) {
            return Err(MeasureError::NotKnown("its u0 is of another length".to_owned()));
        }
        let map = DenseMap::from_tensor(&self.entries, shape, 0)?;
        let (mut v, mut image) = (vec![0.0; map.cols()], vec![0.0; map.rows()]);
        map.apply_transpose(&u, &mut v);
        let length = norm(&v);
        for entry in &mut v {
            *entry /= length;
        }
        map.apply(&v, &mut image);
        let divisor = norm(&image);
        self.entries.iter_mut().for_each(|entry| *entry /= divisor);
        self.axis = Some(0);
        self.done.push(format!("divided by ‖Wv‖ = {}, one iteration from u0", plain(divisor)));
        Ok(())
    }

    fn scale_as_osn(
        &mut self,
        shape: &[usize],
        u: &Tensor,
        v: Option<&Tensor>,
        state: &Tensor,
    ) -> Result<(), MeasureError> {
        let vectors = StoredVectors::of_osn(u, v)?;
        let lengths = (vectors.u.len(), vectors.v.as_ref().map(Vec::len));
        let scales: Vec<_> =
            codes(state)?.chunks_exact(STATE_LEN).map(|it| decode_log(it[LN_SCALE])).collect();
        let Some(&first) = scales.first() else {
            return Err(MeasureError::NotKnown("its state of osn is empty".to_owned()));
        };
        self.axis = vectors.place_in(&self.entries, shape).ok().map(|(axis, _)| axis);
        let is_one = scales.iter().all(|scale| *scale == first);
        let run = if is_one {
            Some(self.entries.len())
        } else {
            run_of_block(shape, scales.len(), lengths)
        };
        let unknown = || MeasureError::NotKnown("its blocks are of an unknown axis".to_owned());
        let run = run.ok_or_else(unknown)?.max(1);
        let of_each = if is_one { vec![first] } else { scales };
        for (part, scale) in self.entries.chunks_mut(run).zip(of_each.iter().cycle()) {
            for entry in part {
                *entry *= scale;
            }
        }
        let all: Vec<_> = of_each.iter().map(|&scale| plain(scale)).collect();
        self.done.push(format!("times osn's s = {}", all.join(", ")));
        Ok(())
    }

    /// A scale for all, for each row, or for each block.
    fn scale_blocks(&mut self, shape: &[usize], scale: &Tensor) -> Result<(), MeasureError> {
        if let Some(reason) = scale.skip_reason() {
            return Err(MeasureError::NotKnown(format!("its scales are not read: {reason}")));
        }
        let scales: Vec<f64> = scale.read_all()?;
        let sides = match (scale.shape(), shape) {
            ([] | [1], &[rows, cols]) => Some([rows, cols]),
            (&[count], &[rows, cols]) if count == rows => Some([1, cols]),
            (&[down, across], &[rows, cols]) => {
                side(rows, down).zip(side(cols, across)).map(Into::into)
            }
            _ => None,
        };
        let Some([height, width]) = sides.filter(|sides| !sides.contains(&0)) else {
            return Err(MeasureError::NotKnown("its scales go with no blocks of it".to_owned()));
        };
        let across = shape[1].div_ceil(width);
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let (row, col) = (index / shape[1], index % shape[1]);
            *entry *= scales[row / height * across + col / width];
        }
        self.done.push("times the scales of its blocks".to_owned());
        Ok(())
    }
}

/// What u and v see of W with its outputs along one axis.
struct Seen {
    axis: usize,
    value: f64,
    /// |cos| of the angle between u and W v: 1 where u was made of v, as every iteration does.
    alignment: f64,
}

fn along_each_axis(
    entries: &[f64],
    shape: &[usize],
    u: &[f64],
    v: &[f64],
) -> Result<Vec<Seen>, MeasureError> {
    let fits = |axis: &usize| shape[*axis] == u.len() && u.len() * v.len() == entries.len();
    let seen = (0..shape.len()).filter(fits).map(|axis| {
        let map = DenseMap::from_tensor(entries, shape, axis)?;
        let mut image = vec![0.0; map.rows()];
        map.apply(v, &mut image);
        let value = u.iter().zip(&image).map(|(u, image)| u * image).sum::<f64>();
        Ok(Seen { axis, value, alignment: value.abs() / (norm(u) * norm(&image)) })
    });
    seen.collect()
}

/// The axis that u and v are for, and whether that is certain.
///
/// A file does not tell it, and lengths alone do not where two axes are equally long. PyTorch takes
/// axis 0 for all but transposed convolutions, which have three axes or more and whose outputs run
/// along axis 1. There u, which its iteration makes of v, tells the two apart as long as the weight
/// has not moved on; where it does not, it is the axis that the user gave, or axis 0.
fn choose<'a>(
    seen: &'a [Seen],
    shape: &[usize],
    asked: Option<usize>,
    (rows, cols): (usize, usize),
) -> Result<(&'a Seen, bool), MeasureError> {
    let Some(first) = seen.first() else {
        return Err(MeasureError::NotKnown(format!(
            "u of {rows} and v of {cols} entries go with no axis of a weight of shape {shape:?}"
        )));
    };
    let agree = seen.iter().all(|it| (it.value - first.value).abs() <= 1e-6 * first.value.abs());
    if seen.len() == 1 || shape.len() == 2 {
        return Ok((first, true));
    }
    let mut by_alignment: Vec<_> = seen.iter().collect();
    by_alignment.sort_by(|a, b| b.alignment.total_cmp(&a.alignment));
    if by_alignment[0].alignment > ALIGNED && by_alignment[1].alignment < NOT_ALIGNED {
        return Ok((by_alignment[0], true));
    }
    let given = seen.iter().find(|it| Some(it.axis) == asked);
    Ok((given.unwrap_or(first), given.is_some() || agree))
}

/// The entries between two cuts, where osn holds a weight in blocks. It stores u and v of all blocks
/// one behind the other; the axis is known where only one goes with their lengths.
fn run_of_block(shape: &[usize], count: usize, (u, v): (usize, Option<usize>)) -> Option<usize> {
    let total: usize = shape.iter().product();
    let fits = |axis: &usize| {
        shape[*axis].is_multiple_of(count) && {
            let block = |other: usize| shape[other] / if other == *axis { count } else { 1 };
            let rows = (0..shape.len()).map(block).filter(|&rows| rows * count == u);
            rows.into_iter().any(|rows| v.is_none_or(|v| v * rows == total))
        }
    };
    let mut axes = (0..shape.len()).filter(fits);
    let (axis, None) = (axes.next()?, axes.next()) else {
        return None;
    };
    Some(shape[axis] / count * shape[axis + 1..].iter().product::<usize>())
}

/// The side of blocks of which `count` cover `length`.
fn side(length: usize, count: usize) -> Option<usize> {
    match count {
        0 => None,
        1 => Some(length),
        _ if length.div_ceil(BLOCK) == count => Some(BLOCK),
        _ if length.is_multiple_of(count) => Some(length / count),
        _ => None,
    }
}

/// v/‖v‖, with the norm over the axes along which g has one entry, and for each of its entries the
/// place of its g.
pub(crate) fn directions(v: &Tensor, g: &Tensor) -> Result<(Vec<f64>, Vec<usize>), MeasureError> {
    let mut entries: Vec<f64> = v.read_all()?;
    let places: Vec<_> =
        (0..entries.len()).map(|index| place_in_norm(index, v.shape(), g.shape())).collect();
    let mut squares = vec![0.0; g.element_count()];
    places.iter().zip(&entries).for_each(|(&at, entry)| squares[at] += entry * entry);
    entries.iter_mut().zip(&places).for_each(|(entry, &at)| *entry /= squares[at].sqrt());
    Ok((entries, places))
}

/// Where in g, in row-major order, the norm of an entry of v stands.
fn place_in_norm(mut index: usize, shape: &[usize], g: &[usize]) -> usize {
    if g.len() != shape.len() {
        return 0;
    }
    let (mut place, mut stride) = (0, 1);
    for (&size, &of_g) in shape.iter().zip(g).rev() {
        place += if of_g == 1 { 0 } else { index % size * stride };
        stride *= of_g;
        index /= size;
    }
    place
}

/// The entries of a tensor of 8-bit floating point.
fn eight_bits(tensor: &Tensor) -> Result<Vec<f64>, TensorError> {
    let number = if tensor.dtype() == Dtype::F8E4M3 { e4m3 } else { e5m2 };
    Ok(tensor.read_all_bytes()?.into_iter().map(number).collect())
}

/// 4 bits of exponent and 3 of mantissa, without infinities.
fn e4m3(byte: u8) -> f64 {
    let mantissa = f64::from(byte & 7) / 8.0;
    let magnitude = match (byte & 0x7f) >> 3 {
        _ if byte & 0x7f == 0x7f => f64::NAN,
        0 => mantissa * 2.0_f64.powi(-6),
        exponent => (1.0 + mantissa) * 2.0_f64.powi(i32::from(exponent) - 7),
    };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

/// 5 bits of exponent and 2 of mantissa: the upper half of an f16.
fn e5m2(byte: u8) -> f64 {
    half::f16::from_bits(u16::from(byte) << 8).to_f64()
}

/// The entries of the mask of a weight; truth values and whole numbers of one byte, too.
pub(crate) fn truths(mask: &Tensor, shape: &[usize]) -> Result<Vec<f64>, MeasureError> {
    if mask.shape() != shape {
        return Err(MeasureError::NotKnown("its pruning mask has another shape".to_owned()));
    }
    if !matches!(mask.dtype(), Dtype::Bool | Dtype::U8 | Dtype::I8) {
        return Ok(mask.read_all()?);
    }
    let bytes = mask.read_all_bytes()?;
    Ok(bytes.into_iter().map(|byte| f64::from(byte.cast_signed())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_of_blocks_is_known_where_one_axis_fits() {
        assert_eq!(run_of_block(&[6, 5], 3, (6, Some(15))), Some(10));
        assert_eq!(run_of_block(&[6, 5], 4, (6, Some(15))), None);
    }

    #[test]
    fn the_place_of_a_norm_is_along_its_axis() {
        let places = |g: &[usize]| [0, 1, 2, 3, 4, 5].map(|i| place_in_norm(i, &[2, 3], g));
        assert_eq!(places(&[2, 1]), [0, 0, 0, 1, 1, 1]);
        assert_eq!(places(&[1, 3]), [0, 1, 2, 0, 1, 2]);
    }

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
