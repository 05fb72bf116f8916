//! The geometry of a convolution: all that its linear map depends on besides the kernel.

use serde::{Deserialize, Serialize};

/// A convolution over one to three dimensions, without its kernel.
///
/// With it, a kernel of shape `[out, in/groups, k…]` is the linear map from images
/// `[in, input_size…]` to images `[out, output_size…]`
///
/// ```text
/// (A x)[o, p] = Σ_{i, q} K[o, i, q]·x̄[i, stride·p + dilation·q]
/// ```
///
/// where x̄ is x padded with zeros or wrapped around (as everywhere in deep learning, this is the
/// cross-correlation). The layer's Lipschitz constant is σ(A), not that of the reshaped kernel.
///
/// A transposed convolution, whose kernel is `[in, out/groups, k…]`, is the transpose of the
/// convolution with the same kernel from its outputs to its inputs. The singular values are the
/// same, so it is measured as that one.
///
/// # Example
///
/// ```
/// use osn_core::measure::convolution::Convolution;
///
/// let strided = Convolution::new([28, 28]).stride([2, 2]).padding([1, 1]);
/// let geometry = strided.geometry(&[64, 3, 4, 4])?;
/// assert_eq!(geometry.output, [1, 14, 14]);
/// # Ok::<(), osn_core::measure::convolution::GeometryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Convolution {
    /// Positions along each dimension of the layer's input.
    pub input_size: Vec<usize>,
    /// Positions from one output to the next; empty for 1 in every dimension.
    pub stride: Vec<usize>,
    /// Positions from one tap of the kernel to the next; empty for 1 in every dimension.
    pub dilation: Vec<usize>,
    /// Positions added before and after each dimension; `None` adds dilation·(k − 1) in all, the
    /// smaller half before, so that stride 1 keeps the size.
    pub padding: Option<Vec<(usize, usize)>>,
    /// Groups of channels that do not mix.
    pub groups: usize,
    /// What lies in the padding.
    pub boundary: Boundary,
    /// Positions that a transposed convolution adds behind each dimension of its output; `None`
    /// for a convolution, empty for a transposed one that adds none.
    pub output_padding: Option<Vec<usize>>,
}

/// What lies beyond the edge of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// Zeros.
    #[default]
    Zero,
    /// The opposite edge.
    Circular,
}

impl Convolution {
    /// A convolution over images of `input_size` with stride 1, dilation 1, one group, and zero
    /// padding that keeps the size.
    pub fn new(input_size: impl Into<Vec<usize>>) -> Self {
        Self {
            input_size: input_size.into(),
            stride: Vec::new(),
            dilation: Vec::new(),
            padding: None,
            groups: 1,
            boundary: Boundary::Zero,
            output_padding: None,
        }
    }

    /// Sets the stride of each dimension.
    #[must_use]
    pub fn stride(self, stride: impl Into<Vec<usize>>) -> Self {
        Self { stride: stride.into(), ..self }
    }

    /// Sets the dilation of each dimension.
    #[must_use]
    pub fn dilation(self, dilation: impl Into<Vec<usize>>) -> Self {
        Self { dilation: dilation.into(), ..self }
    }

    /// Sets the padding of each dimension, the same before and after.
    #[must_use]
    pub fn padding(self, padding: impl Into<Vec<usize>>) -> Self {
        let both = padding.into().into_iter().map(|padding| (padding, padding)).collect();
        Self { padding: Some(both), ..self }
    }

    /// Sets the number of groups.
    #[must_use]
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Wraps images around instead of padding them with zeros.
    #[must_use]
    pub fn circular(self) -> Self {
        Self { boundary: Boundary::Circular, ..self }
    }

    /// Makes this a transposed convolution, which adds `output_padding` behind each dimension of
    /// its output.
    #[must_use]
    pub fn transposed(self, output_padding: impl Into<Vec<usize>>) -> Self {
        Self { output_padding: Some(output_padding.into()), ..self }
    }

    /// Returns the sizes of the map for a kernel of `weight_shape`, in three dimensions.
    ///
    /// # Errors
    ///
    /// [`GeometryError`] if the numbers do not fit the kernel or each other.
    pub fn geometry(&self, weight_shape: &[usize]) -> Result<Geometry, GeometryError> {
        let dimensions = self.input_size.len();
        if !(1..=3).contains(&dimensions) || weight_shape.len() != dimensions + 2 {
            let (shape, input_size) = (weight_shape.to_vec(), self.input_size.clone());
            return Err(GeometryError::Rank { shape, input_size });
        }
        let kernel = in_three(&weight_shape[2..], 1);
        let stride = self.three("stride", &self.stride, 1)?;
        let dilation = self.three("dilation", &self.dilation, 1)?;
        let padding = self.padding_for(kernel, dilation)?;
        let mut geometry = Geometry {
            groups: self.groups,
            out_channels: weight_shape[0],
            in_channels: weight_shape[1].saturating_mul(self.groups),
            kernel,
            input: in_three(&self.input_size, 1),
            output: [0; 3],
            stride,
            dilation,
            padding,
            boundary: self.boundary,
        };
        if let Some(output_padding) = &self.output_padding {
            let added = self.three("output padding", output_padding, 0)?;
            geometry.input = geometry.input_of_transposed(added)?;
        }
        geometry.check()?;
        geometry.output = geometry.output_size();
        geometry.check_lengths_fit()?;
        Ok(geometry)
    }

    /// `values`, one a dimension or none for `default`, with a stride or dilation of 0 refused.
    fn three(
        &self,
        what: &'static str,
        values: &[usize],
        default: usize,
    ) -> Result<[usize; 3], GeometryError> {
        if values.is_empty() {
            return Ok([default; 3]);
        }
        if values.len() != self.input_size.len() || (default == 1 && values.contains(&0)) {
            return Err(GeometryError::Values { what, values: values.to_vec() });
        }
        Ok(in_three(values, default))
    }

    fn padding_for(
        &self,
        kernel: [usize; 3],
        dilation: [usize; 3],
    ) -> Result<[(usize, usize); 3], GeometryError> {
        let Some(padding) = &self.padding else {
            let total = |axis: usize| dilation[axis].saturating_mul(kernel[axis].saturating_sub(1));
            return Ok([0, 1, 2].map(|axis| (total(axis) / 2, total(axis).div_ceil(2))));
        };
        let before: Vec<_> = padding.iter().map(|&(before, _)| before).collect();
        let after: Vec<_> = padding.iter().map(|&(_, after)| after).collect();
        let before = self.three("padding", &before, 0)?;
        let after = self.three("padding", &after, 0)?;
        Ok([0, 1, 2].map(|axis| (before[axis], after[axis])))
    }
}

/// The sizes of a convolution's linear map, in three dimensions: those that the layer does not have
/// come first and have one position, one tap and no padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Geometry {
    /// Groups of channels that do not mix.
    pub groups: usize,
    /// Channels of A x: the first axis of the kernel.
    pub out_channels: usize,
    /// Channels of x: `groups` times the second axis of the kernel.
    pub in_channels: usize,
    /// Taps of the kernel.
    pub kernel: [usize; 3],
    /// Positions of x.
    pub input: [usize; 3],
    /// Positions of A x.
    pub output: [usize; 3],
    /// Positions of x from one output to the next.
    pub stride: [usize; 3],
    /// Positions of x from one tap to the next.
    pub dilation: [usize; 3],
    /// Positions added before and after x.
    pub padding: [(usize, usize); 3],
    /// What lies in the padding.
    pub boundary: Boundary,
}

/// The largest number of positions that a padded image or an extended kernel may have.
const MAX_POSITIONS: usize = 1 << 30;

/// The most numbers that an image or a kernel may hold: what memory can address in `f64`.
const MAX_LENGTH: usize = isize::MAX as usize / size_of::<f64>();

impl Geometry {
    /// Returns m, the length of A x.
    pub fn rows(&self) -> usize {
        self.out_channels * self.output.iter().product::<usize>()
    }

    /// Returns n, the length of x.
    pub fn cols(&self) -> usize {
        self.in_channels * self.input.iter().product::<usize>()
    }

    /// Returns the number of taps of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Returns how many numbers the kernel holds: out·in/groups·taps.
    pub fn kernel_len(&self) -> usize {
        self.out_channels * self.depth()
    }

    /// Returns the channels of A x in each group.
    pub fn out_per_group(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Returns the channels of x in each group.
    pub fn in_per_group(&self) -> usize {
        self.in_channels / self.groups
    }

    /// Returns a factor `f` for which σ of the convolution is at most `f·σ(R)`, with R its kernel reshaped to
    /// `[out, in/groups·taps]`.
    ///
    /// Each output is R times a patch of x, and no entry of x lies in more than `f²` patches. Along an axis of
    /// `k` taps, stride `s` and dilation `d` these are
    ///
    /// ```text
    /// ⌈k·g/s⌉,  g = gcd(s, d)         ⌈k/s⌉ without dilation
    /// ```
    ///
    /// or `k` where the convolution goes around an image whose size is no multiple of `s`. So it holds at every
    /// size, stride, padding and boundary, and for any groups. In the other direction `σ(R) ≤ σ` holds only for a
    /// single group, and where some output sees the whole kernel, each tap on an entry of its own: an image smaller
    /// than the kernel, or one of nothing but edges, may have a smaller σ. A 3×3 kernel of ones on an image of one
    /// pixel has σ 1, and σ(R) is 3.
    pub fn reshaping_factor(&self) -> f64 {
        let patches = |axis: usize| {
            let (kernel, stride) = (self.kernel[axis], self.stride[axis].max(1));
            let goes_around = self.boundary == Boundary::Circular;
            if goes_around && !self.input[axis].is_multiple_of(stride) {
                return kernel as f64;
            }
            kernel.div_ceil(stride / greatest_divisor(stride, self.dilation[axis])) as f64
        };
        [0, 1, 2].map(patches).iter().product::<f64>().sqrt()
    }

    /// Whether [`Convolution::geometry`] could have returned this: check it where it comes from a file.
    pub fn is_consistent(&self) -> bool {
        let steps = self.stride.iter().chain(&self.dilation);
        let has_steps = steps.clone().all(|&step| step > 0);
        has_steps
            && self.check().is_ok()
            && self.in_channels.is_multiple_of(self.groups)
            && self.output == self.output_size()
            && self.check_lengths_fit().is_ok()
    }

    /// Returns the length of a row of the kernel, in/groups·taps.
    pub(crate) fn depth(&self) -> usize {
        self.in_per_group() * self.taps()
    }

    /// Returns the positions of x with its padding.
    pub fn padded(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.input[axis] + self.padding[axis].0 + self.padding[axis].1)
    }

    /// Returns the positions that the kernel reaches over: dilation·(k − 1) + 1.
    pub fn reach(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.dilation[axis] * (self.kernel[axis] - 1) + 1)
    }

    fn output_size(&self) -> [usize; 3] {
        let (padded, reach) = (self.padded(), self.reach());
        [0, 1, 2].map(|axis| (padded[axis] - reach[axis]) / self.stride[axis] + 1)
    }

    /// Returns what a transposed convolution makes of `self.input`: (n − 1)·stride + reach −
    /// padding + `added`, the input of the convolution whose transpose it is.
    fn input_of_transposed(&self, added: [usize; 3]) -> Result<[usize; 3], GeometryError> {
        if self.kernel.contains(&0) || self.input.contains(&0) {
            return Err(GeometryError::Empty);
        }
        let mut size = [0; 3];
        for axis in 0..3 {
            let (before, after) = self.padding[axis];
            let spread = (self.input[axis] - 1).checked_mul(self.stride[axis]);
            let reach = (self.kernel[axis] - 1).checked_mul(self.dilation[axis]);
            let full = spread.zip(reach).and_then(|(s, r)| s.checked_add(r)?.checked_add(1));
            let full = full.and_then(|full| full.checked_add(added[axis]));
            let full = full.ok_or(GeometryError::TooLarge)?;
            let cropped = before.checked_add(after).and_then(|cut| full.checked_sub(cut));
            size[axis] = cropped.filter(|&n| n > 0).ok_or(GeometryError::Reach { axis })?;
            if added[axis] >= self.stride[axis].max(1) {
                return Err(GeometryError::Values { what: "output padding", values: added.into() });
            }
        }
        Ok(size)
    }

    fn check(&self) -> Result<(), GeometryError> {
        let channels = [self.out_channels, self.in_channels, self.groups];
        let positions = self.input.iter().chain(&self.kernel);
        if channels.iter().chain(positions).any(|&count| count == 0) {
            return Err(GeometryError::Empty);
        }
        if !self.out_channels.is_multiple_of(self.groups) {
            let (groups, channels) = (self.groups, self.out_channels);
            return Err(GeometryError::Groups { groups, channels });
        }
        for axis in 0..3 {
            let (before, after) = self.padding[axis];
            let padded = self.input[axis].checked_add(before).and_then(|n| n.checked_add(after));
            let reach = self.dilation[axis].checked_mul(self.kernel[axis] - 1);
            let farthest = self.stride[axis].max(self.dilation[axis]);
            let Some(reach) = reach else { return Err(GeometryError::Reach { axis }) };
            match padded.filter(|&padded| padded.max(farthest) <= MAX_POSITIONS) {
                None => return Err(GeometryError::TooLarge),
                Some(padded) if padded <= reach => return Err(GeometryError::Reach { axis }),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Refuses images and kernels with more numbers than memory can have.
    fn check_lengths_fit(&self) -> Result<(), GeometryError> {
        let fits = |channels: usize, sizes: [usize; 3]| {
            let length = sizes.iter().try_fold(channels, |length, &size| length.checked_mul(size));
            length.is_some_and(|length| length <= MAX_LENGTH)
        };
        let lengths_fit = fits(self.in_channels, self.input)
            && fits(self.out_channels, self.output)
            && fits(self.out_channels.saturating_mul(self.in_per_group()), self.kernel);
        if lengths_fit { Ok(()) } else { Err(GeometryError::TooLarge) }
    }
}

/// The greatest common divisor of two numbers, the first of which is not 0.
pub(crate) fn greatest_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

/// Why a convolution does not fit its kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// The kernel is not one of a convolution over images of this many dimensions.
    #[error(
        "a weight of shape {shape:?} is no kernel over images of size {input_size:?}: \
         expected [out, in/groups, k…] with one k a dimension"
    )]
    Rank {
        /// The shape of the weight.
        shape: Vec<usize>,
        /// The input size that was given.
        input_size: Vec<usize>,
    },
    /// A list of numbers has the wrong length or holds one that is out of range.
    #[error("{what} {values:?} does not fit: expected one number a dimension, in its range")]
    Values {
        /// What the numbers are.
        what: &'static str,
        /// The numbers.
        values: Vec<usize>,
    },
    /// There is no channel, no position, no tap or no group.
    #[error("a convolution without channels, positions, taps or groups has no singular value")]
    Empty,
    /// The channels cannot be divided among the groups.
    #[error("{channels} output channels cannot be divided into {groups} groups")]
    Groups {
        /// The number of groups.
        groups: usize,
        /// The number of output channels.
        channels: usize,
    },
    /// The kernel does not fit into the padded image.
    #[error("the kernel does not fit into the padded image along dimension {axis} of 3")]
    Reach {
        /// The dimension, counted from the first of three.
        axis: usize,
    },
    /// An image or the kernel has more numbers than can be counted or stored.
    #[error("a convolution over images this large cannot be held in memory")]
    TooLarge,
}

/// `values` behind as many `filler`s as make three.
fn in_three(values: &[usize], filler: usize) -> [usize; 3] {
    let mut three = [filler; 3];
    three[3 - values.len()..].copy_from_slice(values);
    three
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_layers_that_people_write() {
        let same = Convolution::new([28, 28]).geometry(&[8, 3, 3, 3]).unwrap();
        assert_eq!((same.output, same.padding), ([1, 28, 28], [(0, 0), (1, 1), (1, 1)]));
        let even = Convolution::new([9]).geometry(&[2, 2, 4]).unwrap();
        assert_eq!((even.output, even.padding[2]), ([1, 1, 9], (1, 2)));
        let dilated = Convolution::new([7, 9]).dilation([1, 2]).padding([0, 0]);
        assert_eq!(dilated.geometry(&[2, 2, 3, 3]).unwrap().output, [1, 5, 5]);
        let grouped = Convolution::new([4]).groups(3).geometry(&[6, 2, 1]).unwrap();
        assert_eq!((grouped.in_channels, grouped.rows(), grouped.cols()), (6, 24, 24));
    }

    #[test]
    fn a_transposed_convolution_is_measured_from_its_output_to_its_input() {
        let layer = Convolution::new([7, 7]).stride([2, 2]).padding([1, 1]).transposed([]);
        let geometry = layer.geometry(&[16, 8, 4, 4]).unwrap();
        assert_eq!((geometry.input, geometry.output), ([1, 14, 14], [1, 7, 7]));
        assert_eq!((geometry.out_channels, geometry.in_channels), (16, 8));
        let odd = Convolution::new([7]).stride([3]).padding([1]).transposed([2]);
        let geometry = odd.geometry(&[2, 2, 3]).unwrap();
        assert_eq!((geometry.input[2], geometry.output[2]), (21, 7));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |layer: Convolution, shape: &[usize]| layer.geometry(shape).unwrap_err();
        let line = || Convolution::new([5]);
        assert!(matches!(refused(line(), &[2, 2]), GeometryError::Rank { .. }));
        assert!(matches!(refused(Convolution::new([]), &[2, 2]), GeometryError::Rank { .. }));
        assert!(matches!(refused(line().stride([0]), &[2, 2, 3]), GeometryError::Values { .. }));
        assert!(matches!(refused(line().stride([1, 1]), &[2, 2, 3]), GeometryError::Values { .. }));
        assert!(matches!(refused(line().groups(3), &[4, 2, 3]), GeometryError::Groups { .. }));
        assert_eq!(refused(line().groups(0), &[4, 2, 3]), GeometryError::Empty);
        assert_eq!(refused(line().padding([0]), &[4, 2, 6]), GeometryError::Reach { axis: 2 });
        let huge = line().dilation([usize::MAX]).padding([usize::MAX]);
        assert_eq!(refused(huge, &[4, 2, 6]), GeometryError::Reach { axis: 2 });
        assert_eq!(refused(line(), &[4, 2, 0]), GeometryError::Empty);
        let endless = Convolution::new([usize::MAX, 2]);
        assert_eq!(refused(endless.clone(), &[1, 1, 3, 3]), GeometryError::TooLarge);
        let endless = endless.stride([usize::MAX, 1]).transposed([]);
        assert_eq!(refused(endless, &[1, 1, 3, 3]), GeometryError::TooLarge);
        let cube = Convolution::new([1 << 29, 1 << 29, 1 << 29]);
        assert_eq!(refused(cube, &[1, 1, 1, 1, 1]), GeometryError::TooLarge);
        assert_eq!(refused(line().groups(1 << 62), &[1 << 62, 8, 1]), GeometryError::TooLarge);
    }
}
