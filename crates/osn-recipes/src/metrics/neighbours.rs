//! Precision, recall, density and coverage, from balls around feature vectors.

use std::ops::Range;

use faer::ColRef;
use rayon::prelude::*;

use crate::metrics::feature_set::{
    Features, LEAST_SCORED, MAX_NEIGHBOURHOOD, MetricError, NEIGHBOUR, check, finite,
};
use crate::metrics::products::{blocks, products, squared_lengths};

/// How far two sets fill the same space; each lies in [0, 1] but density, which has no upper limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbourhood {
    /// Share of generated vectors inside a ball around a real one.
    pub precision: f64,
    /// Share of real vectors inside a ball around a generated one.
    pub recall: f64,
    /// Real balls around a generated vector, as a share of k: how typical it is.
    pub density: f64,
    /// Share of real balls with a generated vector inside.
    pub coverage: f64,
}

/// Computes precision, recall, density and coverage.
///
/// The ball of a vector reaches to its k-th nearest neighbour in its own set, itself not counted;
/// k is [`NEIGHBOUR`] for all four. Precision and recall are equations 1 and 2 of Kynkäänniemi et al.
/// 2019 (arXiv:1904.06991), density and coverage are defined in section 3 of Naeem et al. 2020
/// (arXiv:2002.09797). Their reference code (prdc) is followed: k is 5 as there, where Kynkäänniemi et
/// al. take 3, and a vector on the edge of a ball is outside, so vectors that repeat more than k times
/// have empty balls, and a set of one vector shares nothing, not even with itself. At most
/// [`MAX_NEIGHBOURHOOD`] vectors of each set are used, a fixed random choice. All four depend on k and
/// the counts: compare only values of equal ones.
///
/// # Errors
///
/// [`MetricError::Dimensions`], [`MetricError::TooFew`] below [`NEIGHBOUR`] + 1 images,
/// [`MetricError::Overflow`].
pub fn neighbourhood(real: &Features, fake: &Features) -> Result<Neighbourhood, MetricError> {
    check(real, fake, LEAST_SCORED)?;
    let (real, fake) = (Points::new(real)?, Points::new(fake)?);
    let (real_radii, fake_radii) = (real.squared_radii(), fake.squared_radii());
    let blocks = blocks(real.features.count);
    let parts: Vec<Hits> = blocks
        .par_iter()
        .map(|rows| {
            Hits::count(
                &real.squared_distances(rows, &fake),
                &real_radii[rows.clone()],
                &fake_radii,
            )
        })
        .collect();
    Ok(summarize(&parts, real.features.count))
}

/// The mean distance of vectors to the nearest one of `others`; a lower bound of that to more of them.
///
/// At most [`MAX_NEIGHBOURHOOD`] vectors of each set are used, a fixed random choice. Images that copy training
/// images lie nearer to these than to as many other images of the same kind.
///
/// # Errors
///
/// [`MetricError::Dimensions`], [`MetricError::TooFew`] where a set is empty, [`MetricError::Overflow`].
pub fn mean_nearest(vectors: &Features, others: &Features) -> Result<f64, MetricError> {
    check(others, vectors, 1)?;
    let (vectors, others) = (Points::new(vectors)?, Points::new(others)?);
    let nearest = |row: &Vec<f64>| row.iter().copied().fold(f64::INFINITY, f64::min).sqrt();
    let sum_of = |rows: &Range<usize>| {
        vectors.squared_distances(rows, &others).iter().map(nearest).sum::<f64>()
    };
    let count = vectors.features.count;
    let sums: Vec<f64> = blocks(count).par_iter().map(sum_of).collect();
    Ok(sums.iter().sum::<f64>() / count as f64)
}

struct Points {
    features: Features,
    squared_lengths: Vec<f64>,
}

impl Points {
    fn new(features: &Features) -> Result<Self, MetricError> {
        let mut order = features.fixed_order();
        order.truncate(MAX_NEIGHBOURHOOD);
        order.sort_unstable();
        let features = features.select(&order);
        let squared_lengths = squared_lengths(&features);
        // Four times the longest bounds every squared distance.
        let longest = squared_lengths.iter().copied().fold(0.0, f64::max);
        finite(4.0 * longest, "the distance between features")?;
        Ok(Self { features, squared_lengths })
    }

    /// The squared distance of each vector to its k-th nearest neighbour.
    fn squared_radii(&self) -> Vec<f64> {
        let radii = |rows: &Range<usize>| self.squared_radii_of(rows);
        blocks(self.features.count).par_iter().map(radii).collect::<Vec<_>>().concat()
    }

    fn squared_radii_of(&self, rows: &Range<usize>) -> Vec<f64> {
        let mut distances = self.squared_distances(rows, self);
        for (row, distances) in rows.clone().zip(&mut distances) {
            distances.swap_remove(row);
        }
        let kth = |row: &mut Vec<f64>| *row.select_nth_unstable_by(NEIGHBOUR - 1, f64::total_cmp).1;
        distances.iter_mut().map(kth).collect()
    }

    /// `‖x‖² + ‖y‖² − 2 x·y`, for some rows against all of `other`.
    ///
    /// What is no more than rounding is 0, so that equal vectors have no distance.
    fn squared_distances(&self, rows: &Range<usize>, other: &Self) -> Vec<Vec<f64>> {
        let all = 0..other.features.count;
        let products = products(&other.features, &all, &self.features, rows);
        let distances = |(row, products): (usize, ColRef<f64>)| {
            let length = self.squared_lengths[rows.start + row];
            let pairs = products.iter().zip(&other.squared_lengths);
            pairs.map(|(&product, &other)| squared_distance(length + other, product)).collect()
        };
        products.col_iter().enumerate().map(distances).collect()
    }
}

fn squared_distance(squared_lengths: f64, product: f64) -> f64 {
    let squared = squared_lengths - 2.0 * product;
    if squared > ROUNDING * squared_lengths { squared } else { 0.0 }
}

const ROUNDING: f64 = 1e-12;

/// Who is inside whose ball, for some real vectors and all generated ones.
struct Hits {
    /// For each generated vector, how many of these real balls it is in.
    real_balls: Vec<usize>,
    /// How many of these real balls hold a generated vector.
    covered: usize,
    /// How many of these real vectors are in a generated ball.
    recalled: usize,
}

impl Hits {
    fn count(distances: &[Vec<f64>], real_radii: &[f64], fake_radii: &[f64]) -> Self {
        let mut hits = Self { real_balls: vec![0; fake_radii.len()], covered: 0, recalled: 0 };
        for (row, &radius) in distances.iter().zip(real_radii) {
            let inside = row.iter().map(|&distance| usize::from(distance < radius));
            hits.real_balls.iter_mut().zip(inside).for_each(|(count, one)| *count += one);
            hits.covered += usize::from(row.iter().any(|&distance| distance < radius));
            let mut pairs = row.iter().zip(fake_radii);
            hits.recalled += usize::from(pairs.any(|(distance, radius)| distance < radius));
        }
        hits
    }
}

fn summarize(parts: &[Hits], real_count: usize) -> Neighbourhood {
    let mut balls = vec![0; parts[0].real_balls.len()];
    for part in parts {
        balls.iter_mut().zip(&part.real_balls).for_each(|(sum, count)| *sum += count);
    }
    let share = |hits: usize, count: usize| hits as f64 / count as f64;
    Neighbourhood {
        precision: share(balls.iter().filter(|&&count| count > 0).count(), balls.len()),
        recall: share(parts.iter().map(|part| part.recalled).sum(), real_count),
        density: share(balls.iter().sum(), NEIGHBOUR * balls.len()),
        coverage: share(parts.iter().map(|part| part.covered).sum(), real_count),
    }
}
