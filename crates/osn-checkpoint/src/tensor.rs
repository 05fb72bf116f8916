//! One tensor of a checkpoint: what it is, and how its elements are read.

use std::sync::Arc;

use crate::dtype::{ByteOrder, Dtype, Real, decode};
use crate::error::{CheckpointError, Problem};
use crate::placement::{Placement, element_count};
use crate::source::Source;

/// A file that a checkpoint's tensors lie in.
#[derive(Debug)]
pub(crate) struct StoredFile {
    pub(crate) path: String,
    pub(crate) source: Arc<dyn Source>,
}

impl StoredFile {
    pub(crate) fn blame(&self, problem: impl Into<Problem>) -> CheckpointError {
        CheckpointError { file: self.path.clone(), problem: problem.into() }
    }
}

/// One tensor of a checkpoint.
///
/// It keeps its file open and holds no element: each read goes to the file. Several threads may
/// read at once.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: Dtype,
    pub(crate) file: Arc<StoredFile>,
    pub(crate) placement: Placement,
    pub(crate) order: ByteOrder,
}

impl Tensor {
    /// The name, its parts joined by full stops.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size of each axis, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What the elements are.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The path of the file that the elements are in, which for a sharded checkpoint is the shard's.
    pub fn file(&self) -> &str {
        &self.file.path
    }

    /// The number of elements, the product of the shape.
    pub fn element_count(&self) -> usize {
        element_count(&self.shape).unwrap_or(0)
    }

    /// The number of bytes of [`Tensor::read_bytes`].
    pub fn byte_count(&self) -> usize {
        self.placement.element_count() * self.placement.element_bytes()
    }

    /// Why [`Tensor::read`] refuses this tensor; `None` where it does not.
    ///
    /// A tensor that repeats elements of its storage (`expand` of PyTorch) may have any number of
    /// elements, however small its file, so it is not read.
    pub fn skip_reason(&self) -> Option<&'static str> {
        if self.placement.repeats() {
            return Some("repeats elements of a smaller storage");
        }
        self.dtype.skip_reason()
    }

    /// Reads the elements from `start` on, in row-major order, into all of `into`.
    ///
    /// Numbers of 16 and 32 bits come as they are; those of 64 bits are rounded where `T` is `f32`.
    /// Takes 64 KiB beside `into`, and passes each byte of the storage once where the read covers
    /// whole rows of the outermost axis.
    ///
    /// # Errors
    ///
    /// [`Problem::NotRead`] where [`Tensor::skip_reason`] gives a reason, [`Problem::Read`] where
    /// the file cannot be read, or is shorter than it was when it was opened.
    ///
    /// # Panics
    ///
    /// If the tensor has fewer than `start + into.len()` elements.
    pub fn read<T: Real>(&self, start: usize, into: &mut [T]) -> Result<(), CheckpointError> {
        if let Some(reason) = self.skip_reason() {
            return Err(self.file.blame(Problem::NotRead { tensor: self.name.clone(), reason }));
        }
        let count = into.len();
        let emit = |place, step, bytes: &[u8]| {
            decode(self.dtype, self.order, bytes, &mut into[place..], step);
        };
        self.gather(start, count, emit)
    }

    /// Reads the bytes from `start` on into all of `into`: the elements in row-major order without
    /// gaps, each in little-endian order, as safetensors has them. Works for every dtype.
    ///
    /// # Errors
    ///
    /// [`Problem::NotRead`] where the tensor repeats elements of its storage, [`Problem::Read`] as
    /// for [`Tensor::read`].
    ///
    /// # Panics
    ///
    /// If `start` or `into.len()` is no whole number of elements, or if there are fewer bytes.
    pub fn read_bytes(&self, start: usize, into: &mut [u8]) -> Result<(), CheckpointError> {
        if self.placement.repeats() {
            let reason = "repeats elements of a smaller storage";
            return Err(self.file.blame(Problem::NotRead { tensor: self.name.clone(), reason }));
        }
        let size = self.placement.element_bytes();
        let whole = start.is_multiple_of(size) && into.len().is_multiple_of(size);
        assert!(whole, "{start} or {} is no multiple of {size} bytes", into.len());
        let count = into.len() / size;
        self.gather(start / size, count, |place, step, bytes| {
            for (i, element) in bytes.chunks_exact(size).enumerate() {
                let start = (place + i * step) * size;
                into[start..start + size].copy_from_slice(element);
                if self.order == ByteOrder::Big {
                    self.turn(&mut into[start..start + size]);
                }
            }
        })
    }

    /// Turns a big-endian element around; a complex number is two.
    fn turn(&self, element: &mut [u8]) {
        let parts = if matches!(self.dtype, Dtype::C32 | Dtype::C64 | Dtype::C128) { 2 } else { 1 };
        element.chunks_exact_mut(element.len() / parts).for_each(<[u8]>::reverse);
    }

    fn gather(
        &self,
        start: usize,
        count: usize,
        emit: impl FnMut(usize, usize, &[u8]),
    ) -> Result<(), CheckpointError> {
        let source = self.file.source.as_ref();
        self.placement.gather(source, start, count, emit).map_err(|error| self.file.blame(error))
    }
}
