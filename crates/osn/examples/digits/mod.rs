//! The data of several examples: 1,797 handwritten digits, 8×8 (Alpaydin and Kaynak 1998, UCI, CC BY
//! 4.0, as scikit-learn ships them).

use std::io::Read;

use burn::tensor::{Device, Int, Tensor, TensorData};

const FILE: &[u8] = include_bytes!("../../../osn-recipes/examples/pilot/digits.csv.gz");
const PIXELS: usize = 64;
const BATCH: usize = 64;
/// The last of them; other people wrote these than the first.
const TEST: usize = 500;

/// Images, `[count, 64]` in [-1, 1], and what they show, `[count]` from 0 to 9.
#[derive(Clone, Debug)]
pub(crate) struct Digits {
    pub(crate) images: Tensor<2>,
    pub(crate) labels: Tensor<1, Int>,
}

/// The digits to train on and those to test on.
pub(crate) fn train_and_test(device: &Device) -> std::io::Result<(Digits, Digits)> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(FILE).read_to_string(&mut text)?;
    // A line is 64 brightnesses from 0 to 16, and the label.
    let number = |word: &str| word.parse::<f32>().map_err(std::io::Error::other);
    let values: Vec<f32> =
        text.lines().flat_map(|line| line.split(',')).map(number).collect::<Result<_, _>>()?;
    let count = values.len() / (PIXELS + 1);
    let data = TensorData::new(values, [count, PIXELS + 1]);
    let table = Tensor::<2>::from_data(data, device);
    let rows = |from: usize, count: usize| {
        let rows = table.clone().narrow(0, from, count);
        let labels = rows.clone().narrow(1, PIXELS, 1).int().reshape([count]);
        Digits { images: rows.narrow(1, 0, PIXELS) / 8.0 - 1.0, labels }
    };
    Ok((rows(0, count - TEST), rows(count - TEST, TEST)))
}

impl Digits {
    /// The batch of a training step; they follow each other through the digits.
    pub(crate) fn batch(&self, step: usize) -> Self {
        let batches = self.images.dims()[0] / BATCH;
        let from = step % batches * BATCH;
        Self {
            images: self.images.clone().narrow(0, from, BATCH),
            labels: self.labels.clone().narrow(0, from, BATCH),
        }
    }

    /// The share of these of which `scores`, `[count, 10]`, are highest at the label.
    pub(crate) fn accuracy(&self, scores: Tensor<2>) -> f64 {
        let read: Tensor<1, Int> = scores.argmax(1).squeeze_dim(1);
        read.equal(self.labels.clone()).float().mean().into_scalar()
    }
}
