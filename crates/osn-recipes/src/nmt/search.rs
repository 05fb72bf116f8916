//! Translating: beam search, of which the greedy one is that of one beam.

use std::cmp::Ordering;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::data::text::subwords::{BEGIN, END};
use crate::nmt::attention::Memory;
use crate::nmt::model::{LayerMemory, Sentences, Transformer};

/// Sentences that are translated at once, divided by the beam.
const ROWS: usize = 128;

/// A logit is infinite or NaN although the weights are finite.
#[derive(Debug, thiserror::Error)]
#[error("the logits of a translation are not finite")]
pub(super) struct NotFinite;

/// How to look for the best translation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// Translations that are followed up at once.
    pub(super) beam: usize,
    /// α of `ln P/((5 + length)/6)^α` (Wu et al. 2016, equation 14, without its coverage penalty).
    pub(super) length_penalty: f64,
    /// The most subwords of a translation, its end included; of a source of n subwords 2n + 10 at most.
    pub(super) max_length: usize,
}

impl Search {
    /// The best translation that is found of each source, both without begin; the translations without end too.
    ///
    /// # Errors
    ///
    /// [`NotFinite`].
    pub(super) fn translate(
        &self,
        network: &Transformer,
        sources: &[Vec<u32>],
        device: &Device,
    ) -> Result<Vec<Vec<u32>>, NotFinite> {
        let mut order: Vec<usize> = (0..sources.len()).collect();
        order.sort_by_key(|&index| sources[index].len());
        let mut translations = vec![Vec::new(); sources.len()];
        for chunk in order.chunks((ROWS / self.beam).max(1)) {
            let of_chunk: Vec<&[u32]> = chunk.iter().map(|&index| &sources[index][..]).collect();
            for (&index, translation) in chunk.iter().zip(self.chunk(network, &of_chunk, device)?) {
                translations[index] = translation;
            }
        }
        Ok(translations)
    }

    fn chunk(
        &self,
        network: &Transformer,
        sources: &[&[u32]],
        device: &Device,
    ) -> Result<Vec<Vec<u32>>, NotFinite> {
        let encoded = network.encode(&Sentences::new(sources, device));
        let mut rows = Rows::new(network.remember(&encoded), sources);
        let mut open: Vec<Open> =
            sources.iter().map(|source| Open::new(self.limit(source))).collect();
        for place in 0.. {
            let logs = rows.next(network, &open, place, device)?;
            let mut logs = logs.iter();
            for sentence in &mut open {
                let of_sentence: Vec<&Vec<f64>> =
                    logs.by_ref().take(sentence.alive.len()).collect();
                self.extend(sentence, &of_sentence);
            }
            if open.iter().all(|sentence| sentence.alive.is_empty()) {
                break;
            }
            rows.follow(&open, device);
        }
        Ok(open.into_iter().map(Open::best).collect())
    }

    fn limit(&self, source: &[u32]) -> usize {
        self.max_length.min(2 * source.len() + 10)
    }

    /// Follows up the likeliest continuations; those that end are finished.
    fn extend(&self, sentence: &mut Open, logs: &[&Vec<f64>]) {
        let mut continuations = Vec::new();
        for (origin, (hypothesis, logs)) in sentence.alive.iter().zip(logs).enumerate() {
            // One of them may be the end, for each beam.
            for subword in likeliest(logs, 2 * self.beam) {
                continuations.push((hypothesis.log + logs[subword], origin, subword));
            }
        }
        continuations.sort_by(|a, b| descending(a.0, b.0));
        let mut alive = Vec::new();
        for (log, origin, subword) in continuations.into_iter().take(2 * self.beam) {
            let mut ids = sentence.alive[origin].ids.clone();
            #[expect(clippy::cast_possible_truncation, reason = "subwords are u32")]
            let subword = subword as u32;
            let length = ids.len() + 1;
            if subword == END {
                // Of worse ones than the beam holds none is finished.
                if alive.len() < self.beam {
                    sentence.finish(ids, self.normalized(log, length));
                }
            } else if alive.len() < self.beam {
                ids.push(subword);
                if length == sentence.limit {
                    sentence.finish(ids, self.normalized(log, length));
                } else {
                    alive.push(Hypothesis { ids, log, origin });
                }
            }
        }
        sentence.alive = alive;
        if sentence.is_done(self) {
            sentence.alive.clear();
        }
    }

    fn normalized(&self, log: f64, length: usize) -> f64 {
        log / ((5.0 + length as f64) / 6.0).powf(self.length_penalty)
    }
}

/// A beginning of a translation.
#[derive(Clone, Debug)]
struct Hypothesis {
    ids: Vec<u32>,
    /// `ln P`.
    log: f64,
    /// The one that it continues, among those of the sentence before.
    origin: usize,
}

/// The translations of one sentence.
#[derive(Clone, Debug)]
struct Open {
    alive: Vec<Hypothesis>,
    /// How many ended.
    n_finished: usize,
    /// The best of these and its normalized `ln P`.
    best: Option<(Vec<u32>, f64)>,
    /// The most subwords, the end included.
    limit: usize,
}

impl Open {
    fn new(limit: usize) -> Self {
        let alive = vec![Hypothesis { ids: Vec::new(), log: 0.0, origin: 0 }];
        Self { alive, n_finished: 0, best: None, limit }
    }

    fn finish(&mut self, ids: Vec<u32>, score: f64) {
        self.n_finished += 1;
        if self.best.as_ref().is_none_or(|(_, best)| score > *best) {
            self.best = Some((ids, score));
        }
    }

    /// Whether as many ended as the beam holds, or none that goes on can become the best, however long.
    fn is_done(&self, search: &Search) -> bool {
        let Some((_, best)) = &self.best else { return false };
        let bound = |hypothesis: &Hypothesis| search.normalized(hypothesis.log, self.limit);
        self.n_finished >= search.beam || self.alive.iter().all(|alive| bound(alive) <= *best)
    }

    fn best(self) -> Vec<u32> {
        self.best.map(|(ids, _)| ids).unwrap_or_default()
    }
}

/// What the decoder looks back at, a row for each beginning.
struct Rows {
    memories: Vec<LayerMemory>,
    source_lengths: Arc<[usize]>,
    /// The sentence of each row.
    sentences: Vec<usize>,
    /// The first row of each sentence.
    first: Vec<usize>,
}

impl Rows {
    fn new(memories: Vec<LayerMemory>, sources: &[&[u32]]) -> Self {
        let source_lengths = sources.iter().map(|source| source.len()).collect();
        let sentences: Vec<usize> = (0..sources.len()).collect();
        Self { memories, source_lengths, first: sentences.clone(), sentences }
    }

    /// `ln P` of every subword behind each beginning.
    fn next(
        &mut self,
        network: &Transformer,
        open: &[Open],
        place: usize,
        device: &Device,
    ) -> Result<Vec<Vec<f64>>, NotFinite> {
        let last =
            |hypothesis: &Hypothesis| i64::from(hypothesis.ids.last().copied().unwrap_or(BEGIN));
        let ids = open.iter().flat_map(|sentence| &sentence.alive).map(last).collect();
        let logits =
            network.next(indices(ids, device), place, &mut self.memories, &self.source_lengths);
        let [_, subwords] = logits.dims();
        let logits: Vec<f32> = logits.into_data().iter().collect();
        if logits.iter().all(|logit| logit.is_finite()) {
            Ok(logits.chunks_exact(subwords).map(logs).collect())
        } else {
            Err(NotFinite)
        }
    }

    /// Makes a row for each beginning that goes on, from that of the one that it continues.
    fn follow(&mut self, open: &[Open], device: &Device) {
        let (mut origins, mut sentences, mut first) = (Vec::new(), Vec::new(), Vec::new());
        for (index, sentence) in open.iter().enumerate() {
            first.push(origins.len());
            for hypothesis in &sentence.alive {
                origins.push(self.first[index] + hypothesis.origin);
                sentences.push(index);
            }
        }
        self.first = first;
        if origins.iter().copied().eq(0..self.sentences.len()) {
            return;
        }
        let rows = indices(origins.iter().map(|&row| row.cast_signed() as i64).collect(), device);
        // All rows of a sentence see the same source.
        let is_moved = sentences != self.sentences;
        if is_moved {
            self.source_lengths = origins.iter().map(|&row| self.source_lengths[row]).collect();
        }
        for memory in &mut self.memories {
            memory.target = memory.target.take().map(|target| select(target, &rows));
            if is_moved {
                memory.source = select(memory.source.clone(), &rows);
            }
        }
        self.sentences = sentences;
    }
}

fn select(memory: Memory, rows: &Tensor<1, Int>) -> Memory {
    Memory {
        keys: memory.keys.select(0, rows.clone()),
        values: memory.values.select(0, rows.clone()),
    }
}

fn indices(values: Vec<i64>, device: &Device) -> Tensor<1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

/// `ln softmax`.
fn logs(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    let shift = f64::from(most) + total.ln();
    logits.iter().map(|&logit| f64::from(logit) - shift).collect()
}

/// The places of the largest, largest first; of equal ones the first.
fn likeliest(logs: &[f64], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..logs.len()).collect();
    let order = |a: &usize, b: &usize| descending(logs[*a], logs[*b]).then(a.cmp(b));
    if count < places.len() {
        places.select_nth_unstable_by(count, order);
        places.truncate(count);
    }
    places.sort_by(order);
    places
}

fn descending(a: f64, b: f64) -> Ordering {
    b.total_cmp(&a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmt::attention::Pass;
    use crate::nmt::config::Norm;
    use crate::nmt::model::tests::{sentences, small};

    const SOURCES: [&[u32]; 4] = [&[3, 4, 5, 6, 7, 8, 2], &[9, 2], &[10, 11, 12, 2], &[4, 2]];

    fn search(beam: usize, length_penalty: f64) -> Search {
        Search { beam, length_penalty, max_length: 12 }
    }

    fn translate(network: &Transformer, search: Search) -> Vec<Vec<u32>> {
        let sources = SOURCES.map(<[u32]>::to_vec);
        search.translate(network, &sources, &Device::flex()).unwrap()
    }

    /// `ln P` of every subword behind a beginning, without what was remembered of it.
    fn behind(network: &Transformer, source: &[u32], ids: &[u32]) -> Vec<f64> {
        let target = [&[BEGIN], ids].concat();
        let (source, target) = (sentences(&[source]), sentences(&[&target]));
        let logits = network.forward(&source, &target, &mut Pass::default());
        let logits: Vec<f32> = logits.into_data().iter().collect();
        logs(logits.chunks(30).next_back().unwrap())
    }

    fn greedy(network: &Transformer, source: &[u32]) -> Vec<u32> {
        let mut ids = Vec::new();
        while ids.len() < 12 {
            let best = u32::try_from(likeliest(&behind(network, source, &ids), 1)[0]).unwrap();
            if best == END {
                break;
            }
            ids.push(best);
        }
        ids
    }

    /// Networks whose translations end, some of them early.
    fn networks() -> impl Iterator<Item = Transformer> {
        [Norm::Pre, Norm::Post].into_iter().map(|norm| small(norm).1)
    }

    #[test]
    fn one_beam_takes_the_likeliest_subword_each_time_and_remembers_rightly() {
        for network in networks() {
            let expected = SOURCES.map(|source| greedy(&network, source));
            assert_eq!(translate(&network, search(1, 0.6)), expected);
        }
    }

    fn log_of(network: &Transformer, source: &[u32], ids: &[u32]) -> f64 {
        let ended = [ids, &[END]].concat();
        let ended = if ids.len() == 12 { ids } else { &ended[..] };
        let of = |place: usize| behind(network, source, &ended[..place])[ended[place] as usize];
        (0..ended.len()).map(of).sum()
    }

    /// The best of all translations of at most three subwords.
    fn best_of_all(network: &Transformer, source: &[u32], search: Search) -> (Vec<u32>, f64) {
        let mut best = (Vec::new(), f64::NEG_INFINITY);
        let mut open = vec![(Vec::new(), 0.0)];
        while let Some((ids, log)) = open.pop() {
            for (subword, more) in (0..).zip(behind(network, source, &ids)) {
                let (longer, log) = ([&ids[..], &[subword]].concat(), log + more);
                let is_whole = subword == END || longer.len() == search.max_length;
                let score = search.normalized(log, longer.len());
                if is_whole && score > best.1 {
                    best = (if subword == END { ids.clone() } else { longer }, score);
                } else if !is_whole {
                    open.push((longer, log));
                }
            }
        }
        best
    }

    #[test]
    fn a_beam_as_wide_as_all_there_is_finds_the_best_of_all() {
        for length_penalty in [0.0, 0.6, 2.0] {
            let search = Search { beam: 30 * 30, length_penalty, max_length: 2 };
            for network in networks() {
                let (expected, _) = best_of_all(&network, SOURCES[1], search);
                let found = search.translate(&network, &[SOURCES[1].to_vec()], &Device::flex());
                assert_eq!(found.unwrap(), [expected], "{length_penalty}");
            }
        }
    }

    #[test]
    fn more_beams_find_no_less_likely_translations_in_the_mean() {
        for network in networks() {
            let mean = |beam| {
                let found = translate(&network, search(beam, 0.0));
                let pairs = SOURCES.iter().zip(&found);
                pairs.map(|(source, ids)| log_of(&network, source, ids)).sum::<f64>()
            };
            assert!(mean(4) >= mean(1) - 1e-6);
        }
    }

    #[test]
    fn a_sentence_is_translated_beside_others_as_it_is_alone() {
        for network in networks() {
            let together = translate(&network, search(3, 0.6));
            for (source, expected) in SOURCES.iter().zip(together) {
                let alone = search(3, 0.6).translate(&network, &[source.to_vec()], &Device::flex());
                assert_eq!(alone.unwrap(), [expected]);
            }
        }
    }
}
