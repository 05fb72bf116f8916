//! Scores of images that were to be of a class.

use std::collections::BTreeMap;

use crate::metrics::feature_set::{Features, MetricError};
use crate::metrics::frechet::frechet_distance;

/// The share of places at which two lists of classes agree; NaN for empty ones.
///
/// # Panics
///
/// If the lists are not equally long.
pub(crate) fn agreement(classes: &[u8], meant: &[u8]) -> f64 {
    assert_eq!(classes.len(), meant.len(), "one class for each image");
    let agreeing = classes.iter().zip(meant).filter(|(class, meant)| class == meant).count();
    agreeing as f64 / meant.len() as f64
}

/// A class with a smaller share of the images is not hit: so few are taken for it by mistake.
const LEAST_SHARE: f64 = 0.01;

/// Over how many classes images are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The entropy −Σ p ln p of the classes' shares, in nats: 0 where all images are of one class.
    pub entropy: f64,
    /// How many classes have at least one image of a hundred.
    pub hit: usize,
}

/// The spread of images over their classes; of no image nothing is hit.
pub(crate) fn spread(classes: &[u8]) -> Spread {
    let mut counts = BTreeMap::<u8, usize>::new();
    for class in classes {
        *counts.entry(*class).or_default() += 1;
    }
    let shares: Vec<f64> =
        counts.values().map(|&count| count as f64 / classes.len() as f64).collect();
    Spread {
        entropy: shares.iter().map(|share| -share * share.ln()).sum(),
        hit: shares.iter().filter(|&&share| share >= LEAST_SHARE).count(),
    }
}

/// The Fréchet distance between real and generated features of each class that has at least two of
/// either kind (the Intra-FID of Miyato and Koyama 2018, section 4.1, in other features).
pub(crate) fn frechet_by_class(
    [real, fake]: [&Features; 2],
    [real_labels, fake_labels]: [&[u8]; 2],
) -> Result<BTreeMap<u8, f64>, MetricError> {
    let (real_rows, fake_rows) = (rows_by_class(real_labels), rows_by_class(fake_labels));
    let mut distances = BTreeMap::new();
    for (class, rows) in &real_rows {
        let others = fake_rows.get(class).map_or(&[][..], Vec::as_slice);
        if rows.len() >= 2 && others.len() >= 2 {
            let distance = frechet_distance(&real.select(rows), &fake.select(others))?;
            distances.insert(*class, distance);
        }
    }
    Ok(distances)
}

fn rows_by_class(labels: &[u8]) -> BTreeMap<u8, Vec<usize>> {
    let mut rows = BTreeMap::<u8, Vec<usize>>::new();
    for (row, class) in labels.iter().enumerate() {
        rows.entry(*class).or_default().push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_a_share() {
        assert_eq!(agreement(&[1, 2, 3, 4], &[1, 2, 0, 0]), 0.5);
        assert!(agreement(&[], &[]).is_nan());
    }

    #[test]
    fn the_spread_is_the_entropy_of_the_shares_and_a_stray_image_hits_no_class() {
        let of = |counts: &[usize]| {
            let classes = counts.iter().zip(0_u8..).flat_map(|(&n, class)| vec![class; n]);
            spread(&classes.collect::<Vec<_>>())
        };
        assert_eq!(of(&[300]), Spread { entropy: 0.0, hit: 1 });
        let even = of(&[50; 10]);
        assert!((even.entropy - 10_f64.ln()).abs() < 1e-12 && even.hit == 10, "{even:?}");
        assert_eq!([of(&[199, 1]).hit, of(&[198, 2]).hit], [1, 2]);
        assert_eq!(of(&[]), Spread { entropy: 0.0, hit: 0 });
    }

    #[test]
    fn each_class_is_compared_with_its_own_and_a_class_without_images_is_left_out() {
        // On a line: class 0 at 0 and 2 against 10 and 12, class 1 the same on both sides, class 2 alone.
        let real = Features::new(1, vec![0.0, 5.0, 2.0, 7.0, 3.0, 4.0]).unwrap();
        let fake = Features::new(1, vec![7.0, 10.0, 12.0, 5.0]).unwrap();
        let labels = [&[0, 1, 0, 1, 2, 2][..], &[1, 0, 0, 1]];
        let distances = frechet_by_class([&real, &fake], labels).unwrap();
        assert_eq!(distances.keys().copied().collect::<Vec<_>>(), [0, 1]);
        assert!((distances[&0] - 100.0).abs() < 1e-9 && distances[&1].abs() < 1e-9);
    }
}
