//! How a held weight is cut into blocks, and which linear maps each block is.

use std::slice;

use serde::{Deserialize, Serialize};

use crate::held::sigma_gradient::SigmaGradient;
use crate::layer::facts::Layer;
use crate::layer::initial_size::InitialSize;
use crate::layer::kind::Kind;
use crate::layer::view::View;
use crate::measure::convolution::geometry::{Geometry, GeometryError};
use crate::measure::operator::Layout;

/// Everything about a held weight that does not change while it trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// How the weight is cut into blocks.
    pub cut: Cut,
    /// The maps of each block.
    pub maps: Maps,
    /// How the gradient of the effective weight treats σ.
    pub gradient: SigmaGradient,
}

/// A row-major weight seen as `[outer, count, inner]`: block `b` is all that lies at `[.., b, ..]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The product of the dimensions before the axis that is cut.
    pub outer: usize,
    /// How many blocks there are.
    pub count: usize,
    /// The elements of a block that lie one behind the other.
    pub inner: usize,
}

/// The maps of one block; its σ is their mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Maps {
    /// One matrix.
    Matrix(Layout),
    /// The two reshapings of a convolution.
    Reshapings([Layout; 2]),
    /// A convolution itself.
    Convolution(Geometry),
}

/// One linear map, with one `u` and one `v`.
#[derive(Clone, Copy, Debug)]
pub enum Map<'a> {
    /// A matrix.
    Matrix(&'a Layout),
    /// A convolution.
    Convolution(&'a Geometry),
}

/// Why a weight cannot be seen through a view.
///
/// It is matched in full where the name of the weight is added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The axis of the outputs, or the one that is cut, is not an axis of the weight.
    #[error("shape {shape:?} has no axis {axis}")]
    NoSuchAxis {
        /// The shape of the weight.
        shape: Vec<usize>,
        /// The axis that was asked for.
        axis: usize,
    },
    /// The view is `Matrix` and the weight is not a matrix.
    #[error("shape {shape:?} is no matrix: use the reshaped view")]
    NotAMatrix {
        /// The shape of the weight.
        shape: Vec<usize>,
    },
    /// The weight cannot be cut into so many blocks of one size.
    #[error("axis {axis} of shape {shape:?} cannot be cut into {count} equal blocks")]
    UnevenBlocks {
        /// The shape of the weight.
        shape: Vec<usize>,
        /// The axis that was to be cut.
        axis: usize,
        /// Into how many blocks.
        count: usize,
    },
    /// The convolution of an operator view does not fit the weight.
    #[error("it is no kernel of that convolution: {0}")]
    Convolution(#[from] GeometryError),
}

impl Form {
    /// Sees a weight of `shape`, whose outputs run along `axis`, through `view`.
    ///
    /// # Errors
    ///
    /// [`FormError`] where the shape has not what the view needs.
    pub fn new(
        shape: &[usize],
        axis: usize,
        view: &View,
        gradient: SigmaGradient,
    ) -> Result<Self, FormError> {
        if axis >= shape.len() {
            return Err(no_such_axis(shape, axis));
        }
        if *view == View::Matrix && shape.len() != 2 {
            return Err(FormError::NotAMatrix { shape: shape.to_vec() });
        }
        let whole = Cut { outer: 1, count: 1, inner: shape.iter().product() };
        let matrix = |shape: &[usize]| Maps::Matrix(Layout::new(shape, axis));
        let (cut, maps) = match view {
            View::Bidirectional if shape.len() > 2 => {
                (whole, Maps::Reshapings(Layout::reshapings(shape, axis)))
            }
            View::Operator(convolution) => (whole, Maps::Convolution(convolution.geometry(shape)?)),
            View::Blocks { axis, count } => {
                let cut = Cut::new(shape, *axis, *count)?;
                (cut, matrix(&block_shape(shape, *axis, *count)))
            }
            _ => (whole, matrix(shape)),
        };
        Ok(Self { cut, maps, gradient })
    }

    /// The σ that a block of this `shape` starts at as a rule: the mean over its maps.
    pub fn usual_start(&self, shape: &[usize]) -> f64 {
        // The deviation is the same whichever of the first two axes is that of the outputs.
        let size = InitialSize::new(shape, 0);
        let of_map = |map: Map| match map {
            Map::Matrix(layout) => size.of_matrix(layout.rows, layout.cols()),
            Map::Convolution(geometry) => size.of_convolution(geometry),
        };
        self.maps.share() * self.maps.iter().map(of_map).sum::<f64>()
    }

    /// How many times as large as the σ that is measured that of the layer's own linear map can be; nothing where
    /// that is not known, as of a block of a kernel.
    pub fn operator_factor(&self, layer: &Layer) -> Option<f64> {
        let is_kernel = matches!(layer.kind, Kind::Conv | Kind::ConvTranspose);
        match self.maps {
            Maps::Convolution(_) => Some(1.0),
            _ if layer.shape.len() == 2 && self.cut.count == 1 => Some(1.0),
            _ if is_kernel && layer.shape.len() > 2 && self.cut.count == 1 => {
                Some(layer.shape[2..].iter().map(|&taps| taps as f64).product::<f64>().sqrt())
            }
            _ => None,
        }
    }

    /// Whether it is one of so many blocks and of one size throughout: to be asked of one from a file.
    pub fn fits(&self, n_blocks: usize) -> bool {
        let Some(block) = product(&[self.cut.outer, self.cut.inner]) else { return false };
        let is_whole = product(&[block, self.cut.count]).is_some_and(|count| count > 0);
        let of_map = |map: Map| match map {
            Map::Matrix(layout) => product(&[layout.outer, layout.rows, layout.inner]),
            Map::Convolution(geometry) => geometry.is_consistent().then(|| geometry.kernel_len()),
        };
        let mut maps = self.maps.iter();
        is_whole && self.cut.count == n_blocks && maps.all(|map| of_map(map) == Some(block))
    }

    /// The shape of one block.
    pub fn block_shape(view: &View, shape: &[usize]) -> Vec<usize> {
        match view {
            View::Blocks { axis, count } => block_shape(shape, *axis, *count),
            _ => shape.to_vec(),
        }
    }
}

impl Cut {
    fn new(shape: &[usize], axis: usize, count: usize) -> Result<Self, FormError> {
        let Some(&length) = shape.get(axis) else { return Err(no_such_axis(shape, axis)) };
        if count == 0 || !length.is_multiple_of(count) {
            let shape = shape.to_vec();
            return Err(FormError::UnevenBlocks { shape, axis, count });
        }
        let outer = shape[..axis].iter().product();
        let inner = length / count * shape[axis + 1..].iter().product::<usize>();
        Ok(Self { outer, count, inner })
    }

    /// The shape `[outer, count, inner]`.
    pub fn shape(self) -> [usize; 3] {
        [self.outer, self.count, self.inner]
    }

    /// Whether a weight of so many elements can be cut so; not one without any, since a reshape reads 0 as "keep".
    pub fn holds(self, n_elements: usize) -> bool {
        n_elements > 0 && product(&self.shape()) == Some(n_elements)
    }
}

impl Maps {
    /// One after the other, in the order of their vectors.
    pub fn iter(&self) -> impl Iterator<Item = Map<'_>> {
        let matrices = self.matrices().unwrap_or_default().iter().map(Map::Matrix);
        let convolution = match self {
            Self::Convolution(geometry) => Some(Map::Convolution(geometry)),
            _ => None,
        };
        matrices.chain(convolution)
    }

    /// The maps, where they are matrices.
    pub fn matrices(&self) -> Option<&[Layout]> {
        match self {
            Self::Matrix(layout) => Some(slice::from_ref(layout)),
            Self::Reshapings(layouts) => Some(layouts),
            Self::Convolution(_) => None,
        }
    }

    /// The length of all `u` of a block.
    pub fn rows(&self) -> usize {
        self.iter().map(Map::rows).sum()
    }

    /// The length of all `v` of a block.
    pub fn cols(&self) -> usize {
        self.iter().map(Map::cols).sum()
    }

    /// Each map's share of σ and of its gradient.
    pub fn share(&self) -> f64 {
        1.0 / self.iter().count() as f64
    }
}

impl Map<'_> {
    /// The length of `u`.
    pub fn rows(self) -> usize {
        match self {
            Self::Matrix(layout) => layout.rows,
            Self::Convolution(geometry) => geometry.rows(),
        }
    }

    /// The length of `v`.
    pub fn cols(self) -> usize {
        match self {
            Self::Matrix(layout) => layout.cols(),
            Self::Convolution(geometry) => geometry.cols(),
        }
    }
}

/// The product, if there is such a number.
fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
}

fn no_such_axis(shape: &[usize], axis: usize) -> FormError {
    FormError::NoSuchAxis { shape: shape.to_vec(), axis }
}

fn block_shape(shape: &[usize], axis: usize, count: usize) -> Vec<usize> {
    let mut block = shape.to_vec();
    block[axis] /= count;
    block
}
