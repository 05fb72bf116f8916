//! The numbers of a tensor on the host, for what runs there on plain slices.

use burn::backend::flex::FlexTensor;

/// The tensor with its numbers in the order of its shape.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The numbers of a contiguous tensor of f32.
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    let (start, len) = (tensor.layout().start_offset(), tensor.layout().num_elements());
    &tensor.storage::<f32>()[start..start + len]
}

/// The same to write on; copied before where another tensor shares them.
pub(crate) fn values_mut(tensor: &mut FlexTensor) -> &mut [f32] {
    let (start, len) = (tensor.layout().start_offset(), tensor.layout().num_elements());
    &mut tensor.storage_mut::<f32>()[start..start + len]
}
