//! The memory of an effective weight, for the next one.

#[cfg(feature = "flex")]
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "flex")]
use burn::backend::flex::FlexTensor;

/// The last effective weight of one layer, which the next one is written over as soon as nothing else holds it.
///
/// A training step takes memory for every effective weight and gives it back at its end. An allocator returns blocks of
/// this size to the system, which hands them out again page by page, cleared: that takes longer than writing the
/// numbers. It costs the memory of one more copy of the weight between a backward and the next forward. Clones of a
/// layer share it. Only a weight in a graph has one: a forward alone drops each effective weight before the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spare {
    #[cfg(feature = "flex")]
    last: Option<Arc<Mutex<Option<FlexTensor>>>>,
}

impl Spare {
    /// A place for the effective weights of one layer.
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(feature = "flex")]
            last: Some(Arc::default()),
        }
    }
}

#[cfg(feature = "flex")]
impl Spare {
    /// Takes the memory of the last effective weight, of `length` floats, if nobody reads it any more.
    pub(crate) fn take(&self, length: usize) -> Option<FlexTensor> {
        let mut last = self.last.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free =
            |last: &FlexTensor| last.is_unique() && last.layout().num_elements() == length;
        last.take().filter(is_free)
    }

    /// Keeps an effective weight until nobody reads it any more.
    pub(crate) fn keep(&self, effective: &FlexTensor) {
        if let Some(last) = &self.last {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(effective.clone());
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::{Device, Tensor, TensorData};

    use super::*;
    use crate::SpectralNormalizer;

    #[derive(Module, Debug)]
    struct Bare {
        kernel: Param<Tensor<2>>,
    }

    impl Bare {
        fn effective(&self) -> (Tensor<2>, Vec<f32>) {
            let effective = self.kernel.val();
            (effective.clone(), values(&effective))
        }
    }

    fn values(tensor: &Tensor<2>) -> Vec<f32> {
        tensor.clone().into_data().iter().collect()
    }

    struct AddOne;

    impl ModuleMapper for AddOne {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|value| value + 1.0)
        }
    }

    #[test]
    fn memory_is_handed_out_when_nobody_reads_it_and_the_length_is_right() {
        let spare = Spare::new();
        let floats = || FlexTensor::from_data(TensorData::new(vec![1.0f32; 6], [2, 3]));
        let read = floats();
        spare.keep(&read);
        assert!(spare.take(6).is_none(), "somebody reads it");
        spare.keep(&floats());
        assert!(spare.clone().take(5).is_none(), "another length");
        spare.keep(&floats());
        assert!(spare.clone().take(6).is_some());
        assert!(spare.take(6).is_none(), "taken");
        Spare::default().keep(&read);
        assert!(Spare::default().take(6).is_none());
    }

    #[test]
    fn an_effective_weight_that_somebody_holds_is_not_written_over() {
        let kernel = Tensor::from_data([[3.0, 1.0], [-2.0, 4.0]], &Device::flex().autodiff());
        let normalizer = SpectralNormalizer::new();
        let model = Bare { kernel: Param::from_tensor(kernel) };
        let model = model.apply_reparameterization(normalizer.clone());
        let (first, of_first) = model.effective();
        let (second, of_second) = model.effective();
        assert_eq!(of_first, of_second);
        let mut model = model.map(&mut AddOne);
        normalizer.refresh(&mut model);
        let (third, of_third) = model.effective();
        assert_ne!(of_first, of_third);
        assert_eq!([values(&first), values(&second)], [of_first, of_second]);
        drop((first, second, third));
        assert_eq!(model.effective().1, of_third, "over the memory of the third");
    }
}
