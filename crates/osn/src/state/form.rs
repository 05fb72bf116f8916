//! How a held weight is cut into blocks, and which linear maps each block is.

use std::slice;

use osn_core::layer::{InitialSize, Kind, Layer, View};
use osn_core::measure::Layout;
use osn_core::measure::convolution::Geometry;
use serde::{Deserialize, Serialize};

use crate::act::sigma_gradient::SigmaGradient;
use crate::error::AttachError;

/// Everything about a held weight that does not change while it trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Form {
    pub(crate) cut: Cut,
    pub(crate) maps: Maps,
    pub(crate) gradient: SigmaGradient,
}

/// A row-major weight seen as `[outer, count, inner]`: block `b` is all that lies at `[.., b, ..]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cut {
    pub(crate) outer: usize,
    pub(crate) count: usize,
    pub(crate) inner: usize,
}

/// The maps of one block; its σ is their mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Maps {
    Matrix(Layout),
    /// The two reshapings of a convolution.
    Reshapings([Layout; 2]),
    Convolution(Geometry),
}

/// One linear map, with one `u` and one `v`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Map<'a> {
    Matrix(&'a Layout),
    Convolution(&'a Geometry),
}

impl Form {
    /// Sees a weight of `shape`, whose outputs run along `axis`, through `view`.
    pub(crate) fn new(
        path: &str,
        shape: &[usize],
        axis: usize,
        view: &View,
        gradient: SigmaGradient,
    ) -> Result<Self, AttachError> {
        if axis >= shape.len() {
            return Err(no_such_axis(path, shape, axis));
        }
        if *view == View::Matrix && shape.len() != 2 {
            return Err(AttachError::NotAMatrix { path: path.to_owned(), shape: shape.to_vec() });
        }
        let whole = Cut { outer: 1, count: 1, inner: shape.iter().product() };
        let matrix = |shape: &[usize]| Maps::Matrix(Layout::new(shape, axis));
        let (cut, maps) = match view {
            View::Bidirectional if shape.len() > 2 => {
                (whole, Maps::Reshapings(Layout::reshapings(shape, axis)))
            }
            View::Operator(convolution) => {
                let geometry = convolution
                    .geometry(shape)
                    .map_err(|source| AttachError::Convolution { path: path.to_owned(), source })?;
                (whole, Maps::Convolution(geometry))
            }
            View::Blocks { axis, count } => {
                let cut = Cut::new(path, shape, *axis, *count)?;
                (cut, matrix(&block_shape(shape, *axis, *count)))
            }
            _ => (whole, matrix(shape)),
        };
        Ok(Self { cut, maps, gradient })
    }

    /// The σ that a block of this `shape` starts at as a rule: the mean over its maps.
    pub(crate) fn usual_start(&self, shape: &[usize]) -> f64 {
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
    pub(crate) fn operator_factor(&self, layer: &Layer) -> Option<f64> {
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
    pub(crate) fn fits(&self, n_blocks: usize) -> bool {
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
    pub(crate) fn block_shape(view: &View, shape: &[usize]) -> Vec<usize> {
        match view {
            View::Blocks { axis, count } => block_shape(shape, *axis, *count),
            _ => shape.to_vec(),
        }
    }
}

impl Cut {
    fn new(path: &str, shape: &[usize], axis: usize, count: usize) -> Result<Self, AttachError> {
        let Some(&length) = shape.get(axis) else { return Err(no_such_axis(path, shape, axis)) };
        if count == 0 || !length.is_multiple_of(count) {
            let (path, shape) = (path.to_owned(), shape.to_vec());
            return Err(AttachError::UnevenBlocks { path, shape, axis, count });
        }
        let outer = shape[..axis].iter().product();
        let inner = length / count * shape[axis + 1..].iter().product::<usize>();
        Ok(Self { outer, count, inner })
    }

    pub(crate) fn shape(self) -> [usize; 3] {
        [self.outer, self.count, self.inner]
    }

    /// Whether a weight of so many elements can be cut so; not one without any, since a reshape reads 0 as "keep".
    pub(crate) fn holds(self, n_elements: usize) -> bool {
        n_elements > 0 && product(&self.shape()) == Some(n_elements)
    }
}

impl Maps {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Map<'_>> {
        let matrices = self.matrices().unwrap_or_default().iter().map(Map::Matrix);
        let convolution = match self {
            Self::Convolution(geometry) => Some(Map::Convolution(geometry)),
            _ => None,
        };
        matrices.chain(convolution)
    }

    /// The maps, where they are matrices.
    pub(crate) fn matrices(&self) -> Option<&[Layout]> {
        match self {
            Self::Matrix(layout) => Some(slice::from_ref(layout)),
            Self::Reshapings(layouts) => Some(layouts),
            Self::Convolution(_) => None,
        }
    }

    /// The length of all `u` of a block.
    pub(crate) fn rows(&self) -> usize {
        self.iter().map(Map::rows).sum()
    }

    /// The length of all `v` of a block.
    pub(crate) fn cols(&self) -> usize {
        self.iter().map(Map::cols).sum()
    }

    /// Each map's share of σ and of its gradient.
    pub(crate) fn share(&self) -> f64 {
        1.0 / self.iter().count() as f64
    }
}

impl Map<'_> {
    pub(crate) fn rows(self) -> usize {
        match self {
            Self::Matrix(layout) => layout.rows,
            Self::Convolution(geometry) => geometry.rows(),
        }
    }

    pub(crate) fn cols(self) -> usize {
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

fn no_such_axis(path: &str, shape: &[usize], axis: usize) -> AttachError {
    AttachError::NoSuchAxis { path: path.to_owned(), shape: shape.to_vec(), axis }
}

fn block_shape(shape: &[usize], axis: usize, count: usize) -> Vec<usize> {
    let mut block = shape.to_vec();
    block[axis] /= count;
    block
}
