//! Pairs as subwords, and batches of about the same length.

use burn::tensor::Device;

use crate::crew::Shard;
use crate::data::sampler::permutation;
use crate::data::text::parallel::Pair;
use crate::data::text::subwords::{BEGIN, END, Subwords};
use crate::nmt::model::Sentences;

/// So many batches are filled from one window of pairs in random order, sorted by length.
const WINDOW: usize = 16;
/// The order of batches has nonces from here on, the order of pairs those before.
const OF_BATCHES: u64 = 1 << 40;

/// A pair as subwords, each side with its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What is given.
    pub source: Vec<u32>,
    /// What is wanted.
    pub target: Vec<u32>,
}

impl Example {
    /// Both sides as they are.
    pub(super) fn new(pair: &Pair, subwords: &Subwords) -> Self {
        Self { source: ended(&pair.source, subwords), target: ended(&pair.target, subwords) }
    }

    /// How long the longer side is.
    pub(super) fn length(&self) -> usize {
        self.source.len().max(self.target.len())
    }

    /// Both sides, cut off behind so many subwords.
    pub(super) fn cut_off(self, most: usize) -> Self {
        Self { source: cut_off(self.source, most), target: cut_off(self.target, most) }
    }
}

fn cut_off(mut ids: Vec<u32>, most: usize) -> Vec<u32> {
    if ids.len() > most {
        ids.truncate(most - 1);
        ids.push(END);
    }
    ids
}

fn ended(sentence: &str, subwords: &Subwords) -> Vec<u32> {
    let mut ids = subwords.encode(sentence);
    ids.push(END);
    ids
}

/// Pairs side by side.
#[derive(Clone, Debug)]
pub struct PairBatch {
    pub(super) source: Sentences,
    /// The targets behind their begin, without their end.
    pub(super) target: Sentences,
    /// The targets with their end, one behind the other: what comes behind each place of `target`.
    pub(super) wanted: Vec<u32>,
}

impl PairBatch {
    /// Pairs on a device.
    ///
    /// # Panics
    ///
    /// If a side is empty.
    pub fn new(examples: &[&Example], device: &Device) -> Self {
        let sources: Vec<&[u32]> = examples.iter().map(|example| &example.source[..]).collect();
        let begun = examples.iter().map(|example| {
            let target = &example.target;
            [&[BEGIN], &target[..target.len() - 1]].concat()
        });
        let begun: Vec<Vec<u32>> = begun.collect();
        let targets: Vec<&[u32]> = begun.iter().map(Vec::as_slice).collect();
        Self {
            source: Sentences::new(&sources, device),
            target: Sentences::new(&targets, device),
            wanted: examples.iter().flat_map(|example| example.target.iter().copied()).collect(),
        }
    }
}

/// Batches of pairs of about the same length: each pair comes once an epoch, and what comes when is a pure
/// function of seed and step.
#[derive(Clone, Debug)]
pub(super) struct LengthBatches {
    seed: u64,
    size: usize,
    examples: Vec<Example>,
    /// The batches of the epoch that was last asked for.
    epoch: Option<(u64, Vec<Vec<usize>>)>,
}

impl LengthBatches {
    /// Batches of `size` pairs; the last of an epoch may be smaller.
    pub(super) fn new(seed: u64, size: usize, examples: Vec<Example>) -> Self {
        Self { seed, size, examples, epoch: None }
    }

    /// The batch of a step, counted from 0.
    ///
    /// # Panics
    ///
    /// If there are no pairs.
    pub(super) fn batch(&mut self, step: u64, device: &Device) -> PairBatch {
        self.shard(step, Shard::WHOLE, device)
    }

    /// One shard of the same. A batch that cannot be cut evenly, at the end of an epoch, is filled with its own first pairs.
    ///
    /// # Panics
    ///
    /// If there are no pairs.
    pub(super) fn shard(&mut self, step: u64, shard: Shard, device: &Device) -> PairBatch {
        let indices = self.indices(step);
        let count = indices.len().next_multiple_of(shard.count);
        let filled: Vec<usize> = indices.iter().cycle().copied().take(count).collect();
        let own = filled[shard.places(count)].iter();
        PairBatch::new(&own.map(|&index| &self.examples[index]).collect::<Vec<_>>(), device)
    }

    #[expect(clippy::cast_possible_truncation, reason = "below the number of batches")]
    fn indices(&mut self, step: u64) -> Vec<usize> {
        let count = self.examples.len().div_ceil(self.size) as u64;
        let (epoch, place) = (step / count, (step % count) as usize);
        let batches = match self.epoch.take() {
            Some((known, batches)) if known == epoch => batches,
            _ => self.epoch_of(epoch),
        };
        let indices = batches[place].clone();
        self.epoch = Some((epoch, batches));
        indices
    }

    fn epoch_of(&self, epoch: u64) -> Vec<Vec<usize>> {
        let mut order = permutation(self.seed, epoch, self.examples.len());
        for window in order.chunks_mut(WINDOW * self.size) {
            let lengths = |&index: &usize| {
                let Example { source, target } = &self.examples[index];
                (target.len(), source.len())
            };
            window.sort_by_key(lengths);
        }
        let batches: Vec<&[usize]> = order.chunks(self.size).collect();
        let places = permutation(self.seed, OF_BATCHES + epoch, batches.len());
        places.into_iter().map(|place| batches[place].to_vec()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(seed: u64) -> LengthBatches {
        let example = |index: usize| Example {
            source: vec![3; 1 + index * 7 % 13],
            target: vec![4; 1 + index * 5 % 11],
        };
        LengthBatches::new(seed, 4, (0..150).map(example).collect())
    }

    #[test]
    fn each_pair_comes_once_an_epoch_and_beside_others_of_its_length() {
        let mut all = batches(1);
        for epoch in 0..3 {
            let steps = 38 * epoch..38 * (epoch + 1);
            let epoch: Vec<Vec<usize>> = steps.map(|step| all.indices(step)).collect();
            let mut seen: Vec<usize> = epoch.iter().flatten().copied().collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..150).collect::<Vec<_>>());
            let length = |&index: &usize| all.examples[index].target.len();
            let padding: usize = epoch
                .iter()
                .map(|batch| {
                    let longest = batch.iter().map(length).max().unwrap();
                    batch.iter().map(|index| longest - length(index)).sum::<usize>()
                })
                .sum();
            assert!(padding < 150 / 2, "{padding}: of random batches it would be about 500");
        }
    }

    #[test]
    fn what_comes_when_depends_on_seed_and_step_alone() {
        let (mut one, mut other) = (batches(1), batches(1));
        let forth: Vec<_> = (0..80).map(|step| one.indices(step)).collect();
        let mut back: Vec<_> = (0..80).rev().map(|step| other.indices(step)).collect();
        back.reverse();
        assert_eq!(forth, back);
        assert_ne!(forth[..38], forth[38..76], "each epoch has its own order");
        let mut of_another_seed = batches(2);
        assert_ne!(forth, (0..80).map(|step| of_another_seed.indices(step)).collect::<Vec<_>>());
    }

    #[test]
    fn shards_are_a_batch_in_its_order_and_a_short_one_is_filled_with_its_first_pairs() {
        let mut all = batches(1);
        let shards = |all: &mut LengthBatches, step| {
            let of = |index| all.shard(step, Shard { index, count: 4 }, &Device::flex()).wanted;
            (0..4).flat_map(of).collect::<Vec<u32>>()
        };
        // 150 pairs are 37 batches of four and one of two.
        for step in 0..38 {
            let mut whole = all.batch(step, &Device::flex()).wanted;
            if all.indices(step).len() == 2 {
                whole.extend(whole.clone());
            }
            assert_eq!(shards(&mut all, step), whole);
        }
        assert_eq!((0..38).filter(|&step| all.indices(step).len() == 2).count(), 1);
    }

    #[test]
    fn a_target_is_seen_behind_its_begin_and_wanted_with_its_end() {
        let pairs = [
            Example { source: vec![7, END], target: vec![8, 9, END] },
            Example { source: vec![5, 6, END], target: vec![10, END] },
        ];
        let batch = PairBatch::new(&pairs.each_ref(), &Device::flex());
        let ids =
            |sentences: &Sentences| sentences.ids.clone().into_data().iter().collect::<Vec<u32>>();
        assert_eq!(ids(&batch.source), [7, END, 0, 5, 6, END]);
        assert_eq!(ids(&batch.target), [BEGIN, 8, 9, BEGIN, 10, 0]);
        assert_eq!(batch.wanted, [8, 9, END, 10, END]);
        assert_eq!([&batch.source.lengths[..], &batch.target.lengths], [&[2, 3], &[3, 2]]);
    }

    #[test]
    fn a_long_side_is_cut_off_and_keeps_its_end() {
        let example = Example { source: vec![7, 8, 9, END], target: vec![5, END] };
        let cut = example.clone().cut_off(3);
        assert_eq!((cut.source, cut.target), (vec![7, 8, END], vec![5, END]));
        assert_eq!(example.clone().cut_off(4), example);
    }
}
