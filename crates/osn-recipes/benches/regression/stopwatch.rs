//! The time of one piece of work, as a ratio to a matrix product that takes turns with it.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor};

use crate::networks::Outcome;
use crate::rows::Work;
use crate::table::Measured;

/// Rows and columns of the matrices that are multiplied.
const SIDE: usize = 512;

/// How long the product is repeated before and after each row, and the row itself.
const PRODUCT: Duration = Duration::from_millis(30);
const ROW: Duration = Duration::from_millis(100);
const FEWEST: u32 = 3;

/// Knows the matrices that are multiplied.
pub(crate) struct Stopwatch {
    matrices: [Tensor<2>; 2],
}

impl Stopwatch {
    pub(crate) fn new() -> Self {
        let random = || Tensor::random([SIDE; 2], Distribution::Default, &Device::flex());
        let stopwatch = Self { matrices: [random(), random()] };
        stopwatch.product();
        stopwatch
    }

    /// After one call for what later ones reuse.
    pub(crate) fn measure(&self, name: String, mut work: Work) -> Outcome<Measured> {
        work()?;
        let before = self.product();
        let secs = mean_secs(ROW, &mut work)?;
        let product_secs = f64::midpoint(before, self.product());
        Ok(Measured { name, ratio: secs / product_secs, ms: secs * 1e3 })
    }

    fn product(&self) -> f64 {
        let [a, b] = &self.matrices;
        let product = || Ok(a.clone().matmul(b.clone()));
        mean_secs(PRODUCT, product).expect("a product cannot fail")
    }
}

/// The mean, which has in it what happens at some calls only, such as reading back.
fn mean_secs<T>(at_least: Duration, mut work: impl FnMut() -> Outcome<T>) -> Outcome<f64> {
    let (begin, mut count) = (Instant::now(), 0);
    while count < FEWEST || begin.elapsed() < at_least {
        drop(work()?);
        count += 1;
    }
    Ok(begin.elapsed().as_secs_f64() / f64::from(count))
}
