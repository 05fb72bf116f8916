//! What the small networks learn to draw.

use std::io::Read;

use osn_recipes::data::sampler::{noise, permutation};

/// Points of `size` numbers, one after the other.
#[derive(Clone)]
pub(crate) struct Points {
    pub(crate) values: Vec<f32>,
    pub(crate) size: usize,
}

impl Points {
    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.size
    }

    /// The points at these places, of the first `count`.
    pub(crate) fn batch(&self, indices: &[usize]) -> Vec<f32> {
        let point = |&index: &usize| &self.values[index * self.size..(index + 1) * self.size];
        indices.iter().flat_map(point).copied().collect()
    }
}

/// The deviation of each Gaussian.
const SPREAD: f32 = 0.05;

/// Eight Gaussians on a circle of radius 1.5.
pub(crate) fn ring(count: usize, stream: u64) -> Points {
    let centre = |index: usize| {
        let angle = (index % 8) as f32 * std::f32::consts::FRAC_PI_4;
        [1.5 * angle.cos(), 1.5 * angle.sin()]
    };
    around(centre, count, stream)
}

/// Twenty-five Gaussians on a grid of spacing 1.
pub(crate) fn grid(count: usize, stream: u64) -> Points {
    let centre = |index: usize| [(index % 5) as f32 - 2.0, (index / 5 % 5) as f32 - 2.0];
    around(centre, count, stream)
}

fn around(centre: impl Fn(usize) -> [f32; 2], count: usize, stream: u64) -> Points {
    let noise = noise(0, stream, 0, 2 * count);
    let values = (0..2 * count).map(|at| centre(at / 2)[at % 2] + SPREAD * noise[at]).collect();
    Points { values, size: 2 }
}

/// 1,797 images of handwritten digits, 8×8, scaled to [−1, 1], in an order of their own; the last 500
/// are for testing (Alpaydin and Kaynak 1998, UCI, CC BY 4.0, as scikit-learn ships them).
pub(crate) fn digits() -> (Points, Points) {
    let mut text = String::new();
    let packed = include_bytes!("digits.csv.gz").as_slice();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).expect("the file is whole");
    let image = |line: &str| -> Vec<f32> {
        line.split(',')
            .take(64)
            .map(|it| it.parse::<f32>().expect("a number") / 8.0 - 1.0)
            .collect()
    };
    let images: Vec<Vec<f32>> = text.lines().map(image).collect();
    let order = permutation(0, 0, images.len());
    let (train, test) = order.split_at(images.len() - 500);
    let points = |part: &[usize]| Points {
        values: part.iter().flat_map(|&index| images[index].clone()).collect(),
        size: 64,
    };
    (points(train), points(test))
}
