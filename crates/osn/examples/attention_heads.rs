//! Per-head normalization: each head of a transformer block has a σ, a decision and a scale of its own.
//!
//! A query projection `[d, d]` is one matrix to Burn, but `h` matrices `[d, d/h]` to the attention: head
//! `i` scores two positions by `⟨Q_i x, K_i y⟩/√(d/h)`, at most `σ(Q_i)·σ(K_i)/√(d/h)` times their
//! lengths. σReparam (Zhai et al. 2023) bounds attention by dividing whole weights by σ, times a learned
//! scale; here the steepest head is held, and the others are left what they are.
//!
//! `cargo run -p osn --example attention_heads`

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use burn::module::Module;
use burn::nn::attention::{
    MhaInput, MultiHeadAttention, MultiHeadAttentionConfig, generate_autoregressive_mask,
};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::transformer::{PositionWiseFeedForward, PositionWiseFeedForwardConfig};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use osn::{LayerReport, Osn, Plan, Rule, Signals, View};

/// What is read: this library's page, byte by byte.
const TEXT: &[u8] = include_bytes!("../README.md");
const LENGTH: usize = 48;
const BATCH: usize = 16;
const WIDTH: usize = 32;
const HEADS: usize = 4;
const STEPS: usize = 300;

/// A transformer of one block that says which byte comes next.
#[derive(Module, Debug)]
struct Transformer {
    bytes: Embedding,
    positions: Embedding,
    before_attention: LayerNorm,
    attention: MultiHeadAttention,
    before_feed_forward: LayerNorm,
    feed_forward: PositionWiseFeedForward,
    output: Linear,
}

impl Transformer {
    fn new(device: &Device) -> Self {
        let attention = MultiHeadAttentionConfig::new(WIDTH, HEADS)
            .with_dropout(0.0)
            .with_query_bias(false)
            .with_key_bias(false);
        let feed_forward = PositionWiseFeedForwardConfig::new(WIDTH, 2 * WIDTH).with_dropout(0.0);
        Self {
            bytes: EmbeddingConfig::new(256, WIDTH).init(device),
            positions: EmbeddingConfig::new(LENGTH, WIDTH).init(device),
            before_attention: LayerNormConfig::new(WIDTH).init(device),
            attention: attention.init(device),
            before_feed_forward: LayerNormConfig::new(WIDTH).init(device),
            feed_forward: feed_forward.init(device),
            output: LinearConfig::new(WIDTH, 256).init(device),
        }
    }

    /// From bytes, `[batch, LENGTH]`, to a score for each that may come next, `[batch, LENGTH, 256]`.
    fn forward(&self, bytes: Tensor<2, Int>) -> Tensor<3> {
        let ([batch, length], device) = (bytes.dims(), bytes.device());
        let positions = self.positions.weight.val().unsqueeze(); // all of them, in their order
        let x = self.bytes.forward(bytes) + positions;
        let mask = generate_autoregressive_mask(batch, length, &device);
        let seen = MhaInput::self_attn(self.before_attention.forward(x.clone())).mask_attn(mask);
        let x = x + self.attention.forward(seen).context;
        let x = x.clone() + self.feed_forward.forward(self.before_feed_forward.forward(x));
        self.output.forward(x)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    device.seed(1);
    // Burn's `Linear` stores `[in, out]`: the heads lie side by side along axis 1.
    let plan = Plan::new()
        .select("attention.{query,key,value}.weight")
        .view(View::Blocks { axis: 1, count: HEADS })
        .decide(Rule::parse("cap:of_start=1.2")?);
    let (model, osn) = plan.attach(Transformer::new(&device))?;
    let start = osn.report(&model)?;
    let (model, osn) = fit(model, osn)?;
    show(&start, &osn.report(&model)?);
    Ok(())
}

fn fit(mut model: Transformer, mut osn: Osn) -> Result<(Transformer, Osn), Box<dyn Error>> {
    let device = model.output.weight.device();
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);
    let mut adam = AdamConfig::new().init();
    for step in 0..=STEPS {
        let (seen, next) = batch(step, &device);
        let scores = model.forward(seen).reshape([BATCH * LENGTH, 256]);
        let loss = cross_entropy.forward(scores, next.reshape([BATCH * LENGTH]));
        if step % 100 == 0 {
            let bits = loss.clone().into_scalar::<f32>() / std::f32::consts::LN_2;
            println!("step {step:3}   {bits:.2} bits a byte");
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = adam.step(0.01, model, gradients);
        osn.step(&mut model, &Signals::new())?;
    }
    Ok((model, osn))
}

/// Pieces of the text, and the same pieces one byte on, both `[BATCH, LENGTH]`.
fn batch(step: usize, device: &Device) -> (Tensor<2, Int>, Tensor<2, Int>) {
    let pieces = |offset: usize| {
        // A stride that shares no factor with the text's length would do as well.
        let starts = (0..BATCH).map(|row| (step * BATCH + row) * 1009 % (TEXT.len() - LENGTH - 1));
        let bytes = starts.flat_map(|start| &TEXT[start + offset..][..LENGTH]);
        let values: Vec<i32> = bytes.map(|&byte| i32::from(byte)).collect();
        Tensor::from_data(TensorData::new(values, [BATCH, LENGTH]), device)
    };
    (pieces(0), pieces(1))
}

fn show(start: &[LayerReport], end: &[LayerReport]) {
    println!("\nhead                        σ at the start   stored   in force");
    for (start, end) in start.iter().zip(end) {
        println!(
            "{:25}   {:14.3}   {:6.3}   {:8.3}   {}",
            end.layer.name(),
            start.sigma,
            end.sigma,
            end.effective_sigma(),
            if end.dial.amount > 0.0 { "held" } else { "" },
        );
    }
}
