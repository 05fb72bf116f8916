//! One tensor of a checkpoint: what it is, and how its elements are read.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use rayon::prelude::*;

use crate::read::byte_source::ByteSource;
use crate::read::dtype::{ByteOrder, Dtype, Real, decode};
use crate::read::names::quoted;
use crate::read::strided_layout::{StridedLayout, element_count};

/// Why a tensor's elements cannot be read: the file, what is wrong and what to do, in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// They are none that are read, or not whole.
    #[error("{file}: its tensor {tensor} is not read: {reason}")]
    NotRead {
        /// The path of the file.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// Why.
        reason: String,
    },
    /// The file cannot be read any more.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The path of the file.
        file: String,
        /// Why.
        source: io::Error,
    },
}

/// Elements that one core reads at a time.
const READ_ELEMENTS: usize = 1 << 18;

/// A file that a checkpoint's tensors lie in.
#[derive(Debug)]
pub(crate) struct StoredFile {
    pub(crate) path: String,
    pub(crate) source: Arc<dyn ByteSource>,
}

/// Bytes that tell the format of a file.
pub(crate) const FIRST_BYTES: usize = 1024;

impl StoredFile {
    /// The first bytes, as many as there are and as fit.
    pub(crate) fn first_bytes<'a>(&self, into: &'a mut [u8]) -> io::Result<&'a [u8]> {
        let count = usize::try_from(self.source.byte_count()).unwrap_or(into.len());
        let count = count.min(into.len());
        let into = &mut into[..count];
        self.source.read_exact_at(0, into)?;
        Ok(into)
    }
}

/// Why a tensor that repeats its storage is not read.
const REPEATS: &str = "repeats elements of a smaller storage";
const SET_ASIDE: &str = "is an attribute, neither parameter nor buffer of a module";
/// A tensor that repeats its storage is copied where it has no more bytes than this, or than its file.
const MOST_REPEATED_BYTES: u64 = 1 << 20;

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
    pub(crate) content: Content,
}

/// Where a tensor's elements are.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// In its file.
    Stored {
        layout: StridedLayout,
        order: ByteOrder,
        lazy: Lazy,
        /// Whether it is no part of a model, though it lies beside one.
        set_aside: bool,
    },
    /// Nowhere that this crate can read, and why.
    Missing(Cow<'static, str>),
}

impl Content {
    pub(crate) fn stored(layout: StridedLayout, order: ByteOrder, lazy: Lazy) -> Self {
        Self::Stored { layout, order, lazy, set_aside: false }
    }
}

impl Tensor {
    /// The name, its parts joined by full stops.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size of each axis, outermost first; empty where the file does not have it.
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

    /// The number of elements, the product of the shape; 0 where that overflows, in a tensor that is
    /// neither read nor copied.
    pub fn element_count(&self) -> usize {
        element_count(&self.shape).unwrap_or(0)
    }

    /// The number of bytes of [`Tensor::read_bytes`]; 0 where [`Tensor::copy_refusal`] gives a reason.
    pub fn byte_count(&self) -> usize {
        match &self.content {
            Content::Stored { layout, .. } if self.copy_refusal().is_none() => {
                layout.byte_count().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Why [`Tensor::read`] refuses this tensor; `None` where it does not.
    ///
    /// A tensor that repeats elements of its storage (`expand` of PyTorch) may have any number of
    /// elements, however small its file, so it is not read.
    pub fn skip_reason(&self) -> Option<&str> {
        match &self.content {
            Content::Missing(reason) => Some(reason),
            Content::Stored { set_aside: true, .. } => Some(SET_ASIDE),
            Content::Stored { layout, .. } if layout.repeats() => Some(REPEATS),
            Content::Stored { .. } => self.dtype.skip_reason(),
        }
    }

    /// Why [`Tensor::read_bytes`] refuses this tensor; `None` where it does not.
    ///
    /// What is no floating point can be copied, and so can a tensor that repeats its storage, up to
    /// the size of its file or 1 MiB.
    pub fn copy_refusal(&self) -> Option<&str> {
        match &self.content {
            Content::Missing(reason) => Some(reason),
            Content::Stored { layout, .. } => {
                let most = self.file.source.byte_count().max(MOST_REPEATED_BYTES);
                let fits = layout.byte_count().is_some_and(|bytes| bytes as u64 <= most);
                (layout.repeats() && !fits).then_some(REPEATS)
            }
        }
    }

    /// Reads the elements from `start` on, in row-major order, into all of `into`.
    ///
    /// Numbers of 16 and 32 bits come as they are; those of 64 bits are rounded where `T` is `f32`.
    /// Takes 64 KiB beside `into`, and passes each byte of the storage once where the read covers
    /// whole rows of the outermost axis.
    ///
    /// # Errors
    ///
    /// [`TensorError::NotRead`] where [`Tensor::skip_reason`] gives a reason, [`TensorError::Read`] where
    /// the file cannot be read, or is shorter than it was when it was opened.
    ///
    /// # Panics
    ///
    /// If the tensor has fewer than `start + into.len()` elements.
    pub fn read<T: Real>(&self, start: usize, into: &mut [T]) -> Result<(), TensorError> {
        let (layout, order, lazy) = self.stored(self.skip_reason())?;
        let count = into.len();
        self.gather(layout, start, count, |place, step, bytes| {
            decode(self.dtype, order, bytes, &mut into[place..], step);
        })?;
        if lazy.negative {
            for element in into {
                *element = -*element;
            }
        }
        Ok(())
    }

    /// All elements, in row-major order, read by all cores: each whole rows of the outermost axis. What
    /// cannot be read is refused before memory is taken.
    ///
    /// # Errors
    ///
    /// As [`Tensor::read`].
    pub fn read_all<T: Real>(&self) -> Result<Vec<T>, TensorError> {
        self.stored(self.skip_reason())?;
        let mut elements = vec![T::default(); self.element_count()];
        let row: usize = self.shape.iter().skip(1).product();
        let part = READ_ELEMENTS.next_multiple_of(row.max(1));
        let parts = elements.par_chunks_mut(part).enumerate();
        parts.try_for_each(|(index, into)| self.read(index * part, into))?;
        Ok(elements)
    }

    /// Reads the bytes from `start` on into all of `into`: the elements in row-major order without
    /// gaps, each in little-endian order, as safetensors has them. Works for every dtype.
    ///
    /// # Errors
    ///
    /// [`TensorError::NotRead`] where [`Tensor::copy_refusal`] gives a reason, [`TensorError::Read`] as for
    /// [`Tensor::read`].
    ///
    /// # Panics
    ///
    /// If `start` or `into.len()` is no whole number of elements, or if there are fewer bytes.
    pub fn read_bytes(&self, start: usize, into: &mut [u8]) -> Result<(), TensorError> {
        let (layout, order, lazy) = self.stored(self.copy_refusal())?;
        let size = layout.element_bytes();
        let whole = start.is_multiple_of(size) && into.len().is_multiple_of(size);
        assert!(whole, "{start} or {} is no multiple of {size} bytes", into.len());
        let count = into.len() / size;
        self.gather(layout, start / size, count, |place, step, bytes| {
            for (i, element) in bytes.chunks_exact(size).enumerate() {
                let start = (place + i * step) * size;
                let copy = &mut into[start..start + size];
                copy.copy_from_slice(element);
                turn(self.dtype, order, copy);
                lazy.resolve(self.dtype, copy);
            }
        })
    }

    /// All bytes of [`Tensor::read_bytes`]. What cannot be copied is refused before memory is taken.
    ///
    /// # Errors
    ///
    /// As [`Tensor::read_bytes`].
    pub fn read_all_bytes(&self) -> Result<Vec<u8>, TensorError> {
        self.stored(self.copy_refusal())?;
        let mut bytes = vec![0; self.byte_count()];
        self.read_bytes(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Where the elements are, unless there is a reason against it.
    fn stored(
        &self,
        refusal: Option<&str>,
    ) -> Result<(&StridedLayout, ByteOrder, Lazy), TensorError> {
        match (&self.content, refusal) {
            (Content::Stored { layout, order, lazy, .. }, None) => Ok((layout, *order, *lazy)),
            (Content::Missing(reason), _) => Err(self.not_read(reason)),
            (_, Some(reason)) => Err(self.not_read(reason)),
        }
    }

    pub(crate) fn not_read(&self, reason: &str) -> TensorError {
        let (file, tensor) = (self.file.path.clone(), quoted(&self.name));
        TensorError::NotRead { file, tensor, reason: reason.to_owned() }
    }

    fn gather(
        &self,
        layout: &StridedLayout,
        start: usize,
        count: usize,
        emit: impl FnMut(usize, usize, &[u8]),
    ) -> Result<(), TensorError> {
        let source = self.file.source.as_ref();
        let gathered = layout.gather(source, start, count, emit);
        gathered.map_err(|source| TensorError::Read { file: self.file.path.clone(), source })
    }
}

/// Turns an element to little-endian order; a complex number is two.
fn turn(dtype: Dtype, order: ByteOrder, element: &mut [u8]) {
    if order == ByteOrder::Big {
        element.chunks_exact_mut(part_bytes(dtype, element)).for_each(<[u8]>::reverse);
    }
}

/// The bytes of one of the numbers that an element is made of.
fn part_bytes(dtype: Dtype, element: &[u8]) -> usize {
    if dtype.is_complex() { element.len() / 2 } else { element.len() }
}

/// What PyTorch notes of a tensor and does to its elements only when they are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lazy {
    pub(crate) negative: bool,
    pub(crate) conjugate: bool,
}

impl Lazy {
    /// Why this cannot be done to elements of a dtype; `None` where it can.
    pub(crate) fn refusal(self, dtype: Dtype) -> Option<&'static str> {
        let can_be_negated = dtype.is_read() || dtype.is_complex() || dtype.is_integer();
        (self.negative && !can_be_negated).then_some("is a lazy negative of a type without one")
    }

    /// Does it to one element in little-endian order.
    fn resolve(self, dtype: Dtype, element: &mut [u8]) {
        let part = part_bytes(dtype, element);
        for (i, number) in element.chunks_exact_mut(part).enumerate() {
            let is_imaginary = i == 1;
            if self.negative != (self.conjugate && is_imaginary) {
                negate(dtype, number);
            }
        }
    }
}

/// A floating point number by its sign, an integer in two's complement.
fn negate(dtype: Dtype, number: &mut [u8]) {
    if !dtype.is_integer() {
        number.iter_mut().next_back().into_iter().for_each(|byte| *byte ^= 0x80);
        return;
    }
    let mut carry = true;
    for byte in number {
        (*byte, carry) = (!*byte).overflowing_add(carry.into());
    }
}
