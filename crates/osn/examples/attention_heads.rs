//! Per-head normalization: each head of a transformer block has a σ, a decision and a scale of its own.
//!
//! A query projection `[d, d]` is one matrix to Burn, but `h` matrices `[d, d/h]` to the attention. Head
//! `i` scores two positions by `⟨Q_i x, K_i y⟩/√(d/h)`: at most its steepness `σ(Q_i)·σ(K_i)/√(d/h)`
//! times the lengths of `x` and `y`. σReparam (Zhai et al. 2023) divides whole weights by their σ, times
//! a learned scale; here each head is held when it itself grows above a cap, and no other with it.
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
use osn::prelude::*;
use osn::report::LayerReport;
use osn::views::View;

/// What is read: this library's page, byte by byte.
const TEXT: &[u8] = include_bytes!("../README.md");
const LENGTH: usize = 48;
const BATCH: usize = 16;
const WIDTH: usize = 32;
const HEADS: usize = 4;
const HEAD_WIDTH: f64 = (WIDTH / HEADS) as f64;
const CAP: f64 = 1.2;
const STEPS: usize = 400;

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
        .select(
            Selection::paths("attention.{query,key,value}.weight")
                .view(View::Blocks { axis: 1, count: HEADS }),
        )
        .decide(Cap { target: CAP, ..Cap::default() });
    let (model, osn) = plan.attach(Transformer::new(&device))?;
    show("at the start", &osn.report(&model)?);
    println!();
    let (model, osn) = fit(model, osn)?;
    let layers = osn.report(&model)?;
    show(&format!("after {STEPS} steps"), &layers);
    for layer in layers {
        // A layer is let grow 5 % above the cap, and then it is taken back step by step.
        assert!(layer.effective_sigma() < CAP * 1.1, "{} is above the cap", layer.layer.name());
    }
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
        model = adam.step(0.003, model, gradients);
        osn.step(&mut model, &Signals::new())?;
    }
    Ok((model, osn))
}

/// Pieces of the text, and the same pieces one byte on, both `[BATCH, LENGTH]`.
fn batch(step: usize, device: &Device) -> (Tensor<2, Int>, Tensor<2, Int>) {
    let pieces = |offset: usize| {
        let starts = (0..BATCH).map(|row| (step * BATCH + row) * 1009 % (TEXT.len() - LENGTH - 1));
        let bytes = starts.flat_map(|start| &TEXT[start + offset..][..LENGTH]);
        let values: Vec<i32> = bytes.map(|&byte| i32::from(byte)).collect();
        Tensor::from_data(TensorData::new(values, [BATCH, LENGTH]), device)
    };
    (pieces(0), pieces(1))
}

/// A row for each head: σ of its query and key, and how steep its scores can be.
fn show(when: &str, layers: &[LayerReport]) {
    println!(
        "\n{when}\n        query σ           key σ             value σ           score steepness"
    );
    println!("head    stored  in force  stored  in force  stored  in force  stored  in force");
    for head in 0..HEADS {
        // The layers come weight by weight, each with its heads in order.
        let [query, key, value] = [0, 1, 2].map(|weight| &layers[weight * HEADS + head]);
        let stored = query.sigma * key.sigma / HEAD_WIDTH.sqrt();
        let in_force = query.effective_sigma() * key.effective_sigma() / HEAD_WIDTH.sqrt();
        print!("{head:4}");
        for layer in [query, key, value] {
            print!("    {:6.2}  {:8.2}", layer.sigma, layer.effective_sigma());
        }
        println!("    {stored:6.2}  {in_force:8.2}");
    }
}
