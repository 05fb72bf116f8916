//! Operations on plain slices: which tensors they take, the numbers of those, and the way of their gradients.
//!
//! Only the CPU has such operations; for other tensors each caller composes Burn's own.

use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::Ops;
use burn::backend::flex::FlexTensor;
use burn::backend::{DispatchDevice, Flex};
use burn::tensor::{DType, Shape, Tensor, TensorData};

/// Whether a tensor is one of f32 in plain memory.
pub(crate) fn is_plain<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device().without_autodiff();
    tensor.dtype() == DType::F32 && matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

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

/// The tensor of numbers in the order of its shape.
pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The backward of an operation: gives its parents the gradients that follow from what it saved and from the
/// gradient at its output.
pub(crate) fn backward<S, const N: usize>(
    ops: Ops<S, N>,
    grads: &mut Gradients,
    gradients: impl FnOnce(S, FlexTensor) -> [FlexTensor; N],
) {
    let grad = grads.consume::<Flex>(&ops.node);
    for (node, gradient) in ops.parents.into_iter().zip(gradients(ops.state, grad)) {
        if let Some(node) = node {
            grads.register::<Flex>(node.id, gradient);
        }
    }
}
