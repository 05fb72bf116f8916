//! How a held weight is cut into blocks, and which linear maps each block is.

use osn_core::{Geometry, Layout, View};
use serde::{Deserialize, Serialize};

use crate::error::AttachError;
use crate::ops::SigmaGradient;

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
    One([Map; 1]),
    /// The two reshapings of a convolution.
    Mean([Map; 2]),
}

/// One linear map, with one `u` and one `v`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Map {
    Dense(Layout),
    Convolution(Geometry),
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
        let dense = |shape: &[usize]| Maps::one(Map::Dense(Layout::new(shape, axis)));
        let (cut, maps) = match view {
            View::Bidirectional if shape.len() > 2 => (whole, Maps::both(shape, axis)),
            View::Operator(convolution) => {
                let geometry = convolution
                    .geometry(shape)
                    .map_err(|source| AttachError::Convolution { path: path.to_owned(), source })?;
                (whole, Maps::one(Map::Convolution(geometry)))
            }
            View::Blocks { axis, count } => {
                let cut = Cut::new(path, shape, *axis, *count)?;
                (cut, dense(&block_shape(shape, *axis, *count)))
            }
            _ => (whole, dense(shape)),
        };
        Ok(Self { cut, maps, gradient })
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
}

impl Maps {
    fn one(map: Map) -> Self {
        Self::One([map])
    }

    /// Rows along the output axis, then along the input axis, which is the first other one.
    fn both(shape: &[usize], output_axis: usize) -> Self {
        let input_axis = usize::from(output_axis == 0);
        Self::Mean([output_axis, input_axis].map(|axis| Map::Dense(Layout::new(shape, axis))))
    }

    pub(crate) fn as_slice(&self) -> &[Map] {
        match self {
            Self::One(map) => map,
            Self::Mean(maps) => maps,
        }
    }

    /// The map, where there is one and it is a matrix.
    pub(crate) fn layouts(&self) -> Option<Vec<Layout>> {
        let layout = |map: &Map| match map {
            Map::Dense(layout) => Some(*layout),
            Map::Convolution(_) => None,
        };
        self.as_slice().iter().map(layout).collect()
    }

    /// The length of all `u` of a block.
    pub(crate) fn rows(&self) -> usize {
        self.as_slice().iter().map(Map::rows).sum()
    }

    /// The length of all `v` of a block.
    pub(crate) fn cols(&self) -> usize {
        self.as_slice().iter().map(Map::cols).sum()
    }

    /// Each map's share of σ and of its gradient.
    pub(crate) fn share(&self) -> f64 {
        1.0 / self.as_slice().len() as f64
    }
}

impl Map {
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Dense(layout) => layout.rows,
            Self::Convolution(geometry) => geometry.rows(),
        }
    }

    pub(crate) fn cols(&self) -> usize {
        match self {
            Self::Dense(layout) => layout.cols(),
            Self::Convolution(geometry) => geometry.cols(),
        }
    }
}

fn no_such_axis(path: &str, shape: &[usize], axis: usize) -> AttachError {
    AttachError::NoSuchAxis { path: path.to_owned(), shape: shape.to_vec(), axis }
}

fn block_shape(shape: &[usize], axis: usize, count: usize) -> Vec<usize> {
    let mut block = shape.to_vec();
    block[axis] /= count;
    block
}
