//! Where a tensor's elements lie in its file, and how any run of them is gathered.

use std::io;

use crate::read::byte_source::ByteSource;

/// Bytes that are read from a source at once.
const WINDOW_BYTES: usize = 64 * 1024;

/// Where a tensor's elements lie: element (i₀, i₁, …) at `start + element_bytes·Σ iₐ·strideₐ`.
///
/// Axes that are one in memory are one here, and those of size 1 are gone, so a tensor that lies
/// in one piece has at most one axis, and none has more than 64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StridedLayout {
    start: u64,
    element_bytes: usize,
    element_count: usize,
    axes: Vec<Axis>,
}

/// One axis: how many elements, how far apart in storage, how far apart in row-major order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    size: usize,
    stride: usize,
    step: usize,
}

/// Why a shape and its strides are no tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayoutError {
    /// The number of elements or of bytes overflows.
    TooLarge,
    /// An element lies outside the storage.
    Outside,
}

/// A part of a storage that elements may lie in, in bytes from the file's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) byte_count: u64,
}

impl StridedLayout {
    /// Elements in row-major order without gaps, from the start of `region` on.
    pub(crate) fn dense(start: u64, element_bytes: usize, element_count: usize) -> Self {
        let axes = match element_count {
            0 | 1 => Vec::new(),
            size => vec![Axis { size, stride: 1, step: 1 }],
        };
        Self { start, element_bytes, element_count, axes }
    }

    /// Elements by `strides`, the first at element `offset` of `region`.
    ///
    /// # Panics
    ///
    /// If there are not as many strides as sizes.
    pub(crate) fn strided(
        region: Region,
        element_bytes: usize,
        offset: usize,
        shape: &[usize],
        strides: &[usize],
    ) -> Result<Self, LayoutError> {
        assert_eq!(shape.len(), strides.len(), "one stride for each size");
        let element_count = element_count(shape).ok_or(LayoutError::TooLarge)?;
        if element_count == 0 {
            return Ok(Self::dense(region.start, element_bytes, 0));
        }
        let axes = axes(shape, strides);
        let start = byte_of(offset, element_bytes).ok_or(LayoutError::TooLarge)?;
        let end = end_byte(offset, &axes, element_bytes).ok_or(LayoutError::TooLarge)?;
        if end > region.byte_count {
            return Err(LayoutError::Outside);
        }
        let start = region.start.checked_add(start).ok_or(LayoutError::TooLarge)?;
        Ok(Self { start, element_bytes, element_count, axes })
    }

    pub(crate) fn element_bytes(&self) -> usize {
        self.element_bytes
    }

    /// The bytes of all elements without gaps; `None` where that overflows.
    pub(crate) fn byte_count(&self) -> Option<usize> {
        self.element_count.checked_mul(self.element_bytes)
    }

    /// Whether there are more elements than places that they span, as in an expanded tensor.
    pub(crate) fn repeats(&self) -> bool {
        let last: usize = self.axes.iter().map(|axis| (axis.size - 1) * axis.stride).sum();
        self.element_count > last + 1
    }

    /// Hands the elements `start .. start + count` of the row-major order to `emit`, in the order
    /// in which they are stored.
    ///
    /// `emit` gets the place of the first element counted from `start`, the distance from one
    /// element's place to the next, and the bytes of one or more elements.
    ///
    /// # Panics
    ///
    /// If the tensor has fewer elements.
    pub(crate) fn gather(
        &self,
        source: &dyn ByteSource,
        start: usize,
        count: usize,
        mut emit: impl FnMut(usize, usize, &[u8]),
    ) -> io::Result<()> {
        let end = start.checked_add(count).expect("an element's number fits into a usize");
        assert!(end <= self.element_count, "{end} of {} elements", self.element_count);
        let mut window = Window::new(source, self);
        let mut boxes = Vec::new();
        split(&self.axes, Part { first: start, count, stored: 0, place: 0 }, &mut boxes);
        boxes.into_iter().try_for_each(|part| part.walk(&mut window, &mut emit))
    }
}

/// The number of elements of a shape; `None` where it overflows and no size is 0.
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
}

/// Drops axes of size 1 and joins those that are one in memory. The element count is known to fit.
fn axes(shape: &[usize], strides: &[usize]) -> Vec<Axis> {
    let mut axes: Vec<Axis> = Vec::new();
    let mut step = 1;
    for (&size, &stride) in shape.iter().zip(strides).rev().filter(|(size, _)| **size > 1) {
        match axes.last_mut() {
            Some(inner) if inner.size.checked_mul(inner.stride) == Some(stride) => {
                inner.size *= size;
            }
            _ => axes.push(Axis { size, stride, step }),
        }
        step *= size;
    }
    axes.reverse();
    axes
}

/// The first byte of the storage after the last element's.
fn end_byte(offset: usize, axes: &[Axis], element_bytes: usize) -> Option<u64> {
    let last = axes.iter().try_fold(offset, |last, axis| {
        last.checked_add((axis.size - 1).checked_mul(axis.stride)?)
    })?;
    byte_of(last.checked_add(1)?, element_bytes)
}

fn byte_of(element: usize, element_bytes: usize) -> Option<u64> {
    (element as u64).checked_mul(element_bytes as u64)
}

/// A run of the row-major order: its first element and how many, relative to the axes at hand;
/// where those axes start in storage; and where the run goes.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    count: usize,
    stored: usize,
    place: usize,
}

/// Cuts a run into boxes, each with a range of one axis and all of the axes inside it: the rest of
/// a begun row, the whole rows, the begin of a last row.
fn split(axes: &[Axis], part: Part, boxes: &mut Vec<Block>) {
    let Some((axis, inner)) = axes.split_first() else {
        if part.count > 0 {
            boxes.push(Block { axes: Vec::new(), stored: part.stored, place: part.place });
        }
        return;
    };
    let (mut row, begun) = (part.first / axis.step, part.first % axis.step);
    let head = if begun == 0 { 0 } else { part.count.min(axis.step - begun) };
    if head > 0 {
        let stored = part.stored + row * axis.stride;
        split(inner, Part { first: begun, count: head, stored, ..part }, boxes);
        row += 1;
    }
    let rows = (part.count - head) / axis.step;
    if rows > 0 {
        let stored = part.stored + row * axis.stride;
        boxes.push(Block::new(Axis { size: rows, ..*axis }, inner, stored, part.place + head));
    }
    let tail = (part.count - head) % axis.step;
    if tail > 0 {
        let stored = part.stored + (row + rows) * axis.stride;
        let place = part.place + head + rows * axis.step;
        split(inner, Part { first: 0, count: tail, stored, place }, boxes);
    }
}

/// A box of elements, its axes ordered so that a walk over it goes forward in storage.
struct Block {
    axes: Vec<Axis>,
    stored: usize,
    place: usize,
}

impl Block {
    fn new(outer: Axis, inner: &[Axis], stored: usize, place: usize) -> Self {
        let mut axes = vec![outer];
        axes.extend_from_slice(inner);
        axes.sort_by_key(|axis| std::cmp::Reverse(axis.stride));
        Self { axes, stored, place }
    }

    fn walk(
        mut self,
        window: &mut Window,
        emit: &mut impl FnMut(usize, usize, &[u8]),
    ) -> io::Result<()> {
        let run = self.axes.pop().unwrap_or(Axis { size: 1, stride: 1, step: 1 });
        let mut indices = vec![0; self.axes.len()];
        loop {
            let at = |distance: fn(&Axis) -> usize| {
                self.axes.iter().zip(&indices).map(|(axis, i)| i * distance(axis)).sum::<usize>()
            };
            let stored = self.stored + at(|axis| axis.stride);
            let place = self.place + at(|axis| axis.step);
            read_run(window, run, stored, place, emit)?;
            if !advance(&mut indices, &self.axes) {
                return Ok(());
            }
        }
    }
}

/// Moves to the next index, the last axis fastest; false after the last one.
fn advance(indices: &mut [usize], axes: &[Axis]) -> bool {
    for (index, axis) in indices.iter_mut().zip(axes).rev() {
        *index += 1;
        if *index < axis.size {
            return true;
        }
        *index = 0;
    }
    false
}

fn read_run(
    window: &mut Window,
    run: Axis,
    stored: usize,
    place: usize,
    emit: &mut impl FnMut(usize, usize, &[u8]),
) -> io::Result<()> {
    let mut done = 0;
    while done < run.size {
        let wanted = if run.stride == 1 { run.size - done } else { 1 };
        let bytes = window.elements(stored + done * run.stride, wanted)?;
        emit(place + done * run.step, run.step, bytes);
        done += bytes.len() / window.element_bytes;
    }
    Ok(())
}

/// The part of a storage that was read last.
struct Window<'a> {
    source: &'a dyn ByteSource,
    start: u64,
    element_bytes: usize,
    /// One past the last byte that belongs to the tensor.
    end: u64,
    loaded: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(source: &'a dyn ByteSource, layout: &StridedLayout) -> Self {
        let StridedLayout { start, element_bytes, ref axes, .. } = *layout;
        let end = end_byte(0, axes, element_bytes).and_then(|bytes| start.checked_add(bytes));
        let end = end.expect("a layout was checked when it was made");
        Self { source, start, element_bytes, end, loaded: start, bytes: Vec::new() }
    }

    /// The bytes of at least one and at most `wanted` elements from `element` on.
    fn elements(&mut self, element: usize, wanted: usize) -> io::Result<&[u8]> {
        let first = self.start + (element * self.element_bytes) as u64;
        if self.held(first) < self.element_bytes {
            self.load(first)?;
        }
        let from = self.bytes.len() - self.held(first);
        let most = wanted.saturating_mul(self.element_bytes).min(self.bytes.len() - from);
        Ok(&self.bytes[from..from + most - most % self.element_bytes])
    }

    /// How many bytes from `first` on are held.
    fn held(&self, first: u64) -> usize {
        let skipped = first.checked_sub(self.loaded).and_then(|skip| usize::try_from(skip).ok());
        skipped.and_then(|skip| self.bytes.len().checked_sub(skip)).unwrap_or(0)
    }

    fn load(&mut self, first: u64) -> io::Result<()> {
        let most = WINDOW_BYTES - WINDOW_BYTES % self.element_bytes;
        let count = usize::try_from(self.end - first).unwrap_or(most).min(most);
        self.bytes.resize(count, 0);
        self.loaded = first;
        self.source.read_exact_at(first, &mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use proptest::prelude::*;

    /// A storage whose element `i` is the 4-byte integer `i`.
    fn counting(count: u32) -> Arc<[u8]> {
        (0..count).flat_map(u32::to_le_bytes).collect()
    }

    fn gathered(
        layout: &StridedLayout,
        source: &dyn ByteSource,
        start: usize,
        count: usize,
    ) -> Vec<u32> {
        let mut values = vec![u32::MAX; count];
        let fill = |place: usize, step: usize, bytes: &[u8]| {
            let (elements, _) = bytes.as_chunks::<4>();
            for (i, &element) in elements.iter().enumerate() {
                values[place + i * step] = u32::from_le_bytes(element);
            }
        };
        layout.gather(source, start, count, fill).unwrap();
        values
    }

    /// What the definition says, one element after the other.
    fn defined(offset: usize, shape: &[usize], strides: &[usize]) -> Vec<u32> {
        let mut places = vec![offset];
        for (&size, &stride) in shape.iter().zip(strides) {
            places = places.iter().flat_map(|p| (0..size).map(move |i| p + i * stride)).collect();
        }
        places.into_iter().map(|place| u32::try_from(place).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn any_run_of_any_strides_is_what_the_definition_says(
            axes in prop::collection::vec((1..6_usize, 0..40_usize), 0..5),
            offset in 0..50_usize,
            cut in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        ) {
            let (shape, strides): (Vec<_>, Vec<_>) = axes.into_iter().unzip();
            let storage = counting(1000);
            let region = Region { start: 0, byte_count: 4000 };
            let layout = StridedLayout::strided(region, 4, offset, &shape, &strides).unwrap();
            let all = defined(offset, &shape, &strides);
            let cut = (cut.0.index(all.len() + 1), cut.1.index(all.len() + 1));
            let (start, end) = (cut.0.min(cut.1), cut.0.max(cut.1));
            prop_assert_eq!(&gathered(&layout, &storage, start, end - start), &all[start..end]);
        }
    }

    #[test]
    fn a_transposed_matrix_larger_than_the_window_is_read_whole() {
        let (rows, cols) = (300, 200);
        let storage = counting(60_000);
        let region = Region { start: 0, byte_count: 240_000 };
        let transposed = StridedLayout::strided(region, 4, 0, &[cols, rows], &[1, cols]).unwrap();
        let expected = defined(0, &[cols, rows], &[1, cols]);
        assert_eq!(gathered(&transposed, &storage, 0, 60_000), expected);
        assert_eq!(gathered(&transposed, &storage, 777, 40_000), expected[777..40_777]);
    }

    #[test]
    fn contiguous_axes_become_one() {
        let region = Region { start: 0, byte_count: 96 };
        let dense = StridedLayout::strided(region, 4, 0, &[2, 1, 3, 4], &[12, 99, 4, 1]).unwrap();
        assert_eq!(dense, StridedLayout::dense(0, 4, 24));
    }

    #[test]
    fn what_lies_outside_or_overflows_is_refused() {
        let region = Region { start: 0, byte_count: 16 };
        let place = |offset, shape: &[usize], strides: &[usize]| {
            StridedLayout::strided(region, 4, offset, shape, strides)
        };
        assert!(place(0, &[4], &[1]).is_ok());
        assert_eq!(place(1, &[4], &[1]), Err(LayoutError::Outside));
        assert_eq!(place(0, &[2, 2], &[3, 1]), Err(LayoutError::Outside));
        assert_eq!(place(0, &[usize::MAX, 2], &[0, 0]), Err(LayoutError::TooLarge));
        assert_eq!(place(usize::MAX, &[2], &[1]), Err(LayoutError::TooLarge));
        assert_eq!(place(0, &[3], &[usize::MAX]), Err(LayoutError::TooLarge));
        assert!(place(usize::MAX, &[0], &[1]).is_ok(), "nothing lies nowhere");
    }

    #[test]
    fn only_an_expanded_tensor_repeats() {
        let region = Region { start: 0, byte_count: 16 };
        let place = |shape: &[usize], strides: &[usize]| {
            StridedLayout::strided(region, 4, 0, shape, strides).unwrap().repeats()
        };
        assert!(place(&[2, 3], &[0, 1]));
        assert!(!place(&[2, 2], &[1, 2]));
    }
}
