//! The trait of the networks, and those that are defined here.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use crate::classify::config::ClassifyConfig;
use crate::classify::norms::{MapNorms, NormError, Stage};
use crate::convolution::convolve;
use crate::features::network::{CLASS_COUNT, FeatureNet};
use crate::init;
use crate::layers::batch_norm;
use crate::normalization::normalize;
use crate::run::error::RunError;

/// The sizes that a network must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// 1 for grey images, 3 for colour.
    pub channels: usize,
    /// Rows, and columns, of an image.
    pub side: usize,
    /// How many classes there are.
    pub n_classes: usize,
}

/// A network that classifies images.
pub trait Classifier: Module {
    /// A network with the initial weights of `seed`.
    ///
    /// # Errors
    ///
    /// [`RunError::Config`] where it cannot take such images.
    fn build(
        config: &ClassifyConfig,
        sizes: Sizes,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError>;

    /// The logits.
    ///
    /// # Shapes
    ///
    /// `[batch, channels, side, side]` → `[batch, n_classes]`.
    fn logits(&self, images: Tensor<4>) -> Tensor<2>;

    /// The norms of what is linear in it, in the order of the forward, for images of `side` rows and
    /// columns. Everything between two stages is 1-Lipschitz.
    ///
    /// # Errors
    ///
    /// [`NormError`] for a weight that is not finite.
    fn stages(&self, side: usize) -> Result<Vec<Stage>, NormError>;
}

/// Pixels to classes: linear layers with ReLU between them. No normalization but what the rules decide.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
}

impl Classifier for Mlp {
    fn build(
        config: &ClassifyConfig,
        sizes: Sizes,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError> {
        let mut widths = vec![sizes.channels * sizes.side * sizes.side];
        widths.extend(&config.hidden_sizes);
        widths.push(sizes.n_classes);
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        let network = Self { layers: widths.windows(2).map(layer).collect() };
        let mut network = init::xavier(network, seed, 0);
        if let Some(number) = config.scaled_layer {
            let layer = &mut network.layers[number - 1];
            layer.weight = init::scaled(layer.weight.clone(), config.scaled_by);
        }
        Ok(network)
    }

    fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = images.flatten(1, 3);
        for (index, layer) in self.layers.iter().enumerate() {
            let input = if index == 0 { x } else { relu(x) };
            x = layer.forward(input);
        }
        x
    }

    fn stages(&self, _: usize) -> Result<Vec<Stage>, NormError> {
        self.layers.iter().map(|layer| Ok(Stage::Plain(MapNorms::of_linear(layer)?))).collect()
    }
}

/// A residual network as of He et al. 2016 on CIFAR-10, at half the resolution: a 3×3 convolution of
/// stride 2; stages of blocks, of which each stage but the first begins by halving the size; the mean
/// over all positions; a linear layer.
///
/// A block is `relu(F(x) + S(x))`, with F two 3×3 convolutions and a ReLU between them, and S the input
/// itself, or a 1×1 convolution where sizes differ (their option B). Batch normalization follows each
/// convolution where the config says so.
#[derive(Module, Debug)]
pub struct ResNet {
    stem: Convolved,
    blocks: Vec<Block>,
    head: Linear,
}

#[derive(Module, Debug)]
struct Block {
    first: Convolved,
    second: Convolved,
    shortcut: Option<Convolved>,
}

/// A convolution, and batch normalization where there is one.
#[derive(Module, Debug)]
struct Convolved {
    conv: Conv2d,
    norm: Option<BatchNorm>,
}

impl Classifier for ResNet {
    fn build(
        config: &ClassifyConfig,
        sizes: Sizes,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError> {
        let mut from = config.stage_channels[0];
        let stem = Convolved::new(config, [sizes.channels, from], 3, 2, device);
        let mut blocks = Vec::new();
        for (stage, &to) in config.stage_channels.iter().enumerate() {
            for index in 0..config.stage_blocks {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                blocks.push(Block::new(config, [from, to], stride, device));
                from = to;
            }
        }
        let head = LinearConfig::new(from, sizes.n_classes).init(device);
        Ok(init::xavier(Self { stem, blocks, head }, seed, 0))
    }

    fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        let x = self.stem.rectified(images);
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let mean = x.flatten::<3>(2, 3).mean_dim(2);
        self.head.forward(mean.flatten(1, 2))
    }

    fn stages(&self, side: usize) -> Result<Vec<Stage>, NormError> {
        let (stem, mut side) = self.stem.norms(side)?;
        let mut stages = vec![Stage::Plain(stem)];
        for block in &self.blocks {
            let (stage, after) = block.stage(side)?;
            stages.push(stage);
            side = after;
        }
        // The mean of n positions is a map whose only singular value is 1/√n; here n = side².
        stages.push(Stage::Plain(MapNorms::of_linear(&self.head)?.scaled(1.0 / side as f64)));
        Ok(stages)
    }
}

impl Block {
    fn new(config: &ClassifyConfig, channels: [usize; 2], stride: usize, device: &Device) -> Self {
        let [from, to] = channels;
        let is_changed = from != to || stride > 1;
        Self {
            first: Convolved::new(config, channels, 3, stride, device),
            second: Convolved::new(config, [to, to], 3, 1, device),
            shortcut: is_changed.then(|| Convolved::new(config, channels, 1, stride, device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let through = self.second.forward(self.first.rectified(x.clone()));
        let past = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x),
            None => x,
        };
        relu(through + past)
    }

    /// Its norms, and the side of what comes out.
    fn stage(&self, side: usize) -> Result<(Stage, usize), NormError> {
        let (first, between) = self.first.norms(side)?;
        let (second, after) = self.second.norms(between)?;
        let shortcut = self.shortcut.as_ref().map(|it| it.norms(side)).transpose()?;
        let past = shortcut.map_or(1.0, |(norms, _)| norms.norms.spectral);
        Ok((Stage::Residual { through: vec![first, second], past }, after))
    }
}

impl Convolved {
    fn new(
        config: &ClassifyConfig,
        [from, to]: [usize; 2],
        kernel: usize,
        stride: usize,
        device: &Device,
    ) -> Self {
        let pad = kernel / 2;
        let conv = Conv2dConfig::new([from, to], [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .init(device);
        let numbers = [config.batch_norm_momentum, config.batch_norm_epsilon];
        Self { conv, norm: config.batch_norm.then(|| batch_norm(to, numbers, device)) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = convolve(&self.conv, x);
        match &self.norm {
            Some(norm) => normalize(norm, x, 1.0),
            None => x,
        }
    }

    /// With a ReLU behind it.
    fn rectified(&self, x: Tensor<4>) -> Tensor<4> {
        let x = convolve(&self.conv, x);
        match &self.norm {
            Some(norm) => normalize(norm, x, 0.0),
            None => relu(x),
        }
    }

    fn norms(&self, side: usize) -> Result<(MapNorms, usize), NormError> {
        MapNorms::of_convolution(&self.conv, self.norm.as_ref(), side)
    }
}

impl Classifier for FeatureNet {
    fn build(
        _: &ClassifyConfig,
        sizes: Sizes,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError> {
        if sizes.channels != 1 || sizes.n_classes > CLASS_COUNT {
            let Sizes { channels, n_classes, .. } = sizes;
            let problem = format!(
                "must be resnet or mlp for {n_classes} classes and {channels} channels; features takes \
                 {CLASS_COUNT} and 1"
            );
            return Err(RunError::Config { key: "network".to_owned(), problem });
        }
        Ok(init::uniform(FeatureNet::new(device), seed, 0))
    }

    fn logits(&self, images: Tensor<4>) -> Tensor<2> {
        FeatureNet::logits(self, images)
    }

    /// The largest of a window, of which none overlap, is 1-Lipschitz, as leaky ReLU is.
    fn stages(&self, side: usize) -> Result<Vec<Stage>, NormError> {
        let (edges, side) = MapNorms::of_convolution(&self.edges, None, side)?;
        let (parts, side) = MapNorms::of_convolution(&self.parts, None, side / 2)?;
        let (shapes, _) = MapNorms::of_convolution(&self.shapes, None, side / 2)?;
        let [hidden, head] = [&self.hidden, &self.head].map(MapNorms::of_linear);
        Ok([edges, parts, shapes, hidden?, head?].map(Stage::Plain).to_vec())
    }
}
