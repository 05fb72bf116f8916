//! Defines the feature network, and reads and writes its weights.

use std::path::Path;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::store::{
    FloatCastAdapter, ModuleSnapshot, SafetensorsStore, SafetensorsStoreError, bridge,
};
use burn::tensor::activation::leaky_relu;
use burn::tensor::{DType, Device, Tensor};

use crate::convolution::convolve;
use crate::features::input::IMAGE_SIZE;

/// How many features describe one image.
pub const FEATURE_COUNT: usize = 64;

/// How many classes the network has.
pub const CLASS_COUNT: usize = 10;

/// No file of this network's weights is larger, in bytes.
const LARGEST_FILE: usize = 1 << 20;

/// Slope of the activation below zero, so that no feature can die.
const LEAK: f64 = 0.1;

/// The committed weights, in half precision.
static PRETRAINED: &[u8] = include_bytes!("../../assets/features/fashion_mnist.safetensors");

/// Says why the weights of a feature network could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureError {
    /// The file is larger than any file of these weights.
    #[error("the feature weights hold {bytes} bytes, more than the largest allowed, {limit}")]
    TooLarge {
        /// Size found, in bytes.
        bytes: usize,
        /// Largest size read, in bytes.
        limit: usize,
    },
    /// The file is not safetensors, is cut short, or holds other shapes than the network.
    #[error("failed to read the feature weights: {source}")]
    Unreadable {
        /// What the reader found.
        source: SafetensorsStoreError,
    },
    /// The file holds tensors that the network has no place for.
    #[error("the feature weights hold tensors of another network: {}", names.join(", "))]
    Unexpected {
        /// Names of those tensors.
        names: Vec<String>,
    },
    /// A weight is infinite or not a number.
    #[error("the feature weights hold a number that is not finite in {name}")]
    NotFinite {
        /// Name of the first such tensor.
        name: String,
    },
    /// The file could not be written.
    #[error("failed to write the feature weights: {source}")]
    Unwritable {
        /// What the writer found.
        source: SafetensorsStoreError,
    },
}

/// Describes a grey 28×28 image of clothing by 64 numbers.
///
/// Three 3×3 convolutions (32, 64, 64 channels; 28 → 14 → 7 → 4 pixels wide), a linear layer to 64
/// features, and a linear layer to 10 classes: 121,994 parameters. It has no batch normalisation
/// and no dropout, so a feature depends on its own image alone.
///
/// Every layer but the last is followed by a leaky `ReLU` of slope 0.1, and the features are taken
/// after it. After training with a plain `ReLU`, 32 of the 64 features hardly varied and thus said
/// little about any image; a tanh is driven to ±1 by a confident classifier, where different images
/// look alike.
#[derive(Module, Debug)]
pub struct FeatureNet {
    pub(crate) edges: Conv2d,
    pub(crate) parts: Conv2d,
    pub(crate) shapes: Conv2d,
    pub(crate) hidden: Linear,
    pub(crate) head: Linear,
    halve: MaxPool2d,
}

impl FeatureNet {
    /// Makes an untrained network, its weights drawn from the device's random numbers.
    ///
    /// Every weight and bias is uniform in ±1/√fan-in.
    pub fn new(device: &Device) -> Self {
        let convolution = |from, to| {
            Conv2dConfig::new([from, to], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        };
        Self {
            edges: convolution(1, 32).init(device),
            parts: convolution(32, 64).init(device),
            shapes: convolution(64, 64).with_stride([2, 2]).init(device),
            hidden: LinearConfig::new(64 * 4 * 4, FEATURE_COUNT).init(device),
            head: LinearConfig::new(FEATURE_COUNT, CLASS_COUNT).init(device),
            halve: MaxPool2dConfig::new([2, 2]).init(),
        }
    }

    /// Loads the committed network, without autodiff whatever the device says.
    ///
    /// # Errors
    ///
    /// As [`FeatureNet::load`]; with the committed weights none is expected.
    pub fn pretrained(device: &Device) -> Result<Self, FeatureError> {
        Self::load(PRETRAINED, &device.clone().without_autodiff())
    }

    /// Reads a network from the bytes of a safetensors file.
    ///
    /// # Errors
    ///
    /// When the bytes are more than 1 MiB, are not safetensors, lack a tensor or hold one too
    /// many, or hold a shape, a kind of number or a value that does not fit.
    pub fn load(bytes: &[u8], device: &Device) -> Result<Self, FeatureError> {
        if bytes.len() > LARGEST_FILE {
            return Err(FeatureError::TooLarge { bytes: bytes.len(), limit: LARGEST_FILE });
        }
        let mut network = Self::new(device);
        let mut store = SafetensorsStore::from_bytes(Some(bytes.to_vec()))
            .with_from_adapter(FloatCastAdapter::to(DType::F32));
        let applied =
            network.load_from(&mut store).map_err(|source| FeatureError::Unreadable { source })?;
        if !applied.unused.is_empty() {
            return Err(FeatureError::Unexpected { names: applied.unused });
        }
        network.require_finite()?;
        Ok(network)
    }

    /// The bytes of a safetensors file with these weights, in half precision.
    ///
    /// # Errors
    ///
    /// When a tensor cannot be read back from its device.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FeatureError> {
        let mut store =
            SafetensorsStore::from_bytes(None).with_to_adapter(FloatCastAdapter::to(DType::F16));
        self.save_into(&mut store)
            .and_then(|()| store.get_bytes())
            .map_err(|source| FeatureError::Unwritable { source })
    }

    /// Writes the weights in half precision, with notes, to a file that appears whole or not at all.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn save(&self, path: &Path, notes: &[(&str, String)]) -> Result<(), FeatureError> {
        let store = SafetensorsStore::from_file(path)
            .overwrite(true)
            .with_to_adapter(FloatCastAdapter::to(DType::F16));
        let mut store = notes.iter().fold(store, |store, (key, note)| store.metadata(*key, note));
        self.save_into(&mut store).map_err(|source| FeatureError::Unwritable { source })
    }

    /// Computes the features: what the last hidden layer says after its activation.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 1, 28, 28]`, in [-1, 1]; see [`to_network_input`](crate::features::input::to_network_input) for other images
    /// - output: `[batch, 64]`
    ///
    /// # Panics
    ///
    /// When the images have another shape.
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let [_, channels, height, width] = images.dims();
        assert_eq!([channels, height, width], [1, IMAGE_SIZE, IMAGE_SIZE], "judged image shape");
        // Pooling first gives the same and leaves a quarter of the values to activate.
        let images = activate(self.halve.forward(convolve(&self.edges, images)));
        let images = activate(self.halve.forward(convolve(&self.parts, images)));
        let images = activate(convolve(&self.shapes, images));
        activate(self.hidden.forward(images.flatten(1, 3)))
    }

    /// Computes the logits.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 1, 28, 28]`, in [-1, 1]
    /// - output: `[batch, 10]`
    ///
    /// # Panics
    ///
    /// When the images have another shape.
    pub fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        self.classify_features(self.features(images))
    }

    /// The logits `[batch, 10]` of features `[batch, 64]`.
    pub(super) fn classify_features(&self, features: Tensor<2>) -> Tensor<2> {
        self.head.forward(features)
    }

    /// The device that holds the weights.
    pub(super) fn device(&self) -> Device {
        self.head.weight.val().device()
    }

    fn require_finite(&self) -> Result<(), FeatureError> {
        for tensor in self.collect(None, None, false) {
            let name = tensor.name.clone();
            let values =
                bridge::into_data(tensor).ok().and_then(|data| data.try_into_vec::<f32>().ok());
            if !values.is_some_and(|values| values.iter().all(|value| value.is_finite())) {
                return Err(FeatureError::NotFinite { name });
            }
        }
        Ok(())
    }
}

fn activate<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    leaky_relu(values, LEAK)
}
