//! The hyper-parameters that every adversarial recipe has.

use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::adversarial::objective::Objective;
use crate::data::image_set::Dataset;
use crate::data::images::notice_fewer;
use crate::data::sampler::{hold_out, permutation};
use crate::decide::Decide;
use crate::metrics::feature_set::NEIGHBOUR;
use crate::run::check::{
    ANY, MAX_BATCH, MAX_FEATURES, MAX_IMAGES, MAX_STEPS, Product, above_zero, below_one,
    check_shards, ensure, must_fit, within, zero_or_more,
};
use crate::run::error::RunError;
use crate::run::observer::Observer;
use crate::run::pending::must_be_held_out;
use crate::run::rate_change::RateChange;
use crate::run::training::Pace;
use crate::scorer::{CHUNK, Classes, Scorer};

/// What the choice of images to train on is drawn for.
const FOR_CHOICE: u64 = 5;
/// A step can only be stopped at its end.
const MAX_N_DIS: u64 = 1_000;

/// What a discriminator's gradients on held-out images are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeldOut {
    /// Its loss.
    Loss,
    /// −J with `J = ln(E D(real) − E D(generated)) − ln E‖∇ₓD‖`: what separation it reaches for its slope, on lines
    /// between held-out and generated images. It does not depend on D's scale, so growth that only makes D steeper
    /// does not pay.
    Separation,
}

/// How generator and discriminator are trained. One step is one update of the generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// What both minimize: `hinge`, `least_squares` or `wasserstein`.
    pub objective: Objective,
    /// What the held-out gradients are of, for rules that follow them: `loss` or `separation`.
    pub held_out: HeldOut,
    /// Images of each kind in a batch. SN-GAN takes 64; on a few cores small batches reach a given
    /// distance in less time.
    pub batch_size: usize,
    /// Equal parts that a batch is cut into, for as many workers at most. A loss is the mean over those of the parts, and
    /// batch normalization takes its statistics within a part: the result depends on this, and never on the workers.
    pub shards: usize,
    /// How many of the training images both train on, a fixed random choice; `null` for all but the held-out ones.
    pub train_images: Option<usize>,
    /// Updates of the generator.
    pub steps: u64,
    /// Updates of the discriminator for each of the generator (SN-GAN, setting B: 1).
    pub n_dis: u64,
    /// Learning rate of both (SN-GAN: 1e-4 to 1e-3; setting C has 2e-4).
    pub learning_rate: f64,
    /// The step from which the learning rate is multiplied by `change_factor`; `null` for none.
    pub change_at: Option<u64>,
    /// See `change_at`.
    pub change_factor: f64,
    /// Adam's β₁ (SN-GAN, setting C: 0.5).
    pub beta_1: f32,
    /// Adam's β₂ (SN-GAN, setting C: 0.999).
    pub beta_2: f32,
    /// Adam's ε (Kingma and Ba 2015: 1e-8; Burn's own default is 1e-5).
    pub epsilon: f32,
    /// Momentum of batch normalization's running values, in Burn's convention (PyTorch: 0.1).
    pub batch_norm_momentum: f64,
    /// ε of batch normalization (PyTorch: 1e-5).
    pub batch_norm_epsilon: f64,
    /// Decay of the average of the generator that is scored; `null` scores the generator itself.
    pub ema: Option<f64>,
    /// Steps after which a discriminator that has won ends the run: for that long its loss was below a
    /// hundredth of that with zero logits. `null` trains on.
    pub saturated_after: Option<u64>,
    /// Steps between two log lines and two read-backs of σ.
    pub log_every: u64,
    /// Steps between two scorings, which also draw samples.
    pub eval_every: u64,
    /// Generated images scored while training, against as many test images.
    pub eval_images: usize,
    /// Generated images scored at the end, against as many test images; all where there are fewer.
    pub final_images: usize,
}

impl Settings {
    /// Batches and rates for a few minutes on two cores.
    pub fn quick() -> Self {
        Self {
            objective: Objective::Hinge,
            held_out: HeldOut::Loss,
            batch_size: 16,
            shards: 1,
            train_images: None,
            steps: 5_000,
            n_dis: 1,
            learning_rate: 3e-4,
            change_at: None,
            change_factor: 1.0,
            beta_1: 0.5,
            beta_2: 0.999,
            epsilon: 1e-8,
            batch_norm_momentum: 0.1,
            batch_norm_epsilon: 1e-5,
            ema: Some(0.995),
            saturated_after: Some(1_000),
            log_every: 10,
            eval_every: 1_000,
            eval_images: 2_000,
            final_images: 10_000,
        }
    }

    /// Larger batches and more of them.
    pub fn standard() -> Self {
        Self {
            batch_size: 32,
            steps: 10_000,
            learning_rate: 2e-4,
            ema: Some(0.999),
            eval_every: 2_000,
            ..Self::quick()
        }
    }

    /// The learning rate of a step, counted from 1.
    pub fn learning_rate_at(&self, step: u64) -> f64 {
        self.learning_rate * self.rate_change().factor_at(step)
    }

    fn rate_change(&self) -> RateChange {
        RateChange { at: self.change_at, factor: self.change_factor }
    }

    /// Which of so many training images are trained on, and which are held out: one in twenty of all, however many
    /// are trained on.
    pub(crate) fn split(&self, count: usize) -> [Vec<usize>; 2] {
        let [all, held_out] = hold_out(count);
        let Some(chosen) = self.train_images.filter(|&chosen| chosen < all.len()) else {
            return [all, held_out];
        };
        let order = permutation(0, FOR_CHOICE, all.len()).into_iter().take(chosen);
        let mut trained_on: Vec<usize> = order.map(|place| all[place]).collect();
        trained_on.sort_unstable();
        [trained_on, held_out]
    }

    /// Refuses more images to train on than there are among `count` training images.
    ///
    /// # Errors
    ///
    /// [`RunError::Config`], with how many there are.
    pub(crate) fn must_find(&self, count: usize) -> Result<(), RunError> {
        let [all, _] = hold_out(count);
        let (asked, found) = (self.train_images.unwrap_or(0), all.len());
        ensure("train_images", asked <= found, || {
            format!("must be at most {found}, all that are not held out, not {asked}")
        })
    }

    /// Momentum and ε of batch normalization.
    pub fn batch_norm(&self) -> [f64; 2] {
        [self.batch_norm_momentum, self.batch_norm_epsilon]
    }

    /// Reports to the observer where fewer images can be scored than the settings ask for.
    pub(crate) fn notice_fewer(&self, there: usize, observer: &mut dyn Observer) {
        let asked = [("eval_images", self.eval_images), ("final_images", self.final_images)];
        notice_fewer(there, asked, observer);
    }

    /// How many steps there are, and how often a run logs and scores.
    pub(crate) fn pace(&self) -> Pace {
        Pace { steps: self.steps, log_every: self.log_every, eval_every: self.eval_every }
    }

    /// Whether the largest features of a batch fit, of which one image has these sizes in the generator
    /// and in the discriminator, which sees real and generated images at once.
    pub(crate) fn must_fit_features(
        &self,
        [g, rows, columns]: [u64; 3],
        [d, d_rows, d_columns]: [u64; 3],
    ) -> Result<(), RunError> {
        let (batch, scored) = (self.batch_size as u64, CHUNK as u64);
        let generated: &[&[u64]] = &[&[batch.max(scored), g, rows, columns]];
        let judged: &[&[u64]] = &[&[2, batch, d, d_rows, d_columns]];
        let key = "image_size";
        let features = [
            Product { key, with: "g_channels and batch_size", sizes: generated },
            Product { key, with: "d_channels and batch_size", sizes: judged },
        ];
        must_fit(MAX_FEATURES, "numbers in the features of a batch", &features)
    }

    /// The scorer of generated images: against test images for the record and, where a rule follows a
    /// score, against held-out training images for the rule.
    pub(crate) fn scorer(
        &self,
        data: &Dataset,
        classes: Classes,
        decide: &Decide,
        device: &Device,
    ) -> Result<Scorer, RunError> {
        self.must_find(data.train.len())?;
        let [trained_on, held_out] = self.split(data.train.len());
        must_be_held_out(&data.name, &held_out, decide)?;
        let scorer = Scorer::new(data, classes, self.eval_images, self.final_images, device)?
            .with_neighbours(data, &trained_on);
        let follows_one = decide.rules.unknown_metric(&[]).is_some();
        if follows_one || decide.rules.needs().metric && held_out.len() > NEIGHBOUR {
            return scorer.with_validation(data, &held_out, self.eval_images);
        }
        Ok(scorer)
    }

    /// Settings that can change nothing beside the others, as
    /// [`Config::idle`](crate::run::config::Config::idle) has them.
    pub fn idle(&self) -> Vec<(&'static str, String)> {
        // It is checked at each logged step.
        let looks = self.steps / self.log_every.max(1);
        let longest = looks.saturating_sub(1) * self.log_every;
        let never = self.saturated_after.is_some_and(|after| looks == 0 || after > longest);
        let mut idle = Vec::new();
        if self.saturated_after.is_some() && self.objective.of_blind_discriminator().is_none() {
            let why = "a critic's loss has no least value to reach; null trains on";
            idle.push(("saturated_after", why.to_owned()));
        } else if never {
            let row = format!("the logged steps of such a run span {longest}");
            idle.push(("saturated_after", format!("{row}; null trains on")));
        }
        idle.extend(self.rate_change().idle());
        idle
    }

    /// Whether the values go together.
    ///
    /// # Errors
    ///
    /// [`RunError::Config`] for the first value that cannot be.
    pub fn check(&self) -> Result<(), RunError> {
        within(&[
            ("steps", self.steps, 1..=MAX_STEPS),
            ("n_dis", self.n_dis, 1..=MAX_N_DIS),
            ("log_every", self.log_every, ANY),
            ("eval_every", self.eval_every, ANY),
            ("batch_size", self.batch_size as u64, 2..=MAX_BATCH),
            ("train_images", self.train_images.unwrap_or(2) as u64, 2..=MAX_IMAGES),
            ("change_at", self.change_at.unwrap_or(1), 1..=self.steps),
            ("eval_images", self.eval_images as u64, 100..=MAX_IMAGES),
            ("final_images", self.final_images as u64, 100..=MAX_IMAGES),
        ])?;
        check_shards(self.shards, self.batch_size)?;
        above_zero(&[
            ("learning_rate", self.learning_rate),
            ("change_factor", self.change_factor),
            ("batch_norm_epsilon", self.batch_norm_epsilon),
        ])?;
        zero_or_more(&[("epsilon", f64::from(self.epsilon))])?;
        below_one(&[
            ("batch_norm_momentum", self.batch_norm_momentum),
            ("beta_1", f64::from(self.beta_1)),
            ("beta_2", f64::from(self.beta_2)),
            ("ema", self.ema.unwrap_or(0.5)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_changes_where_it_is_told() {
        let settings = Settings { learning_rate: 2.0, change_factor: 0.25, ..Settings::quick() };
        assert_eq!([1, 9].map(|step| settings.learning_rate_at(step)), [2.0, 2.0]);
        let settings = Settings { change_at: Some(3), ..settings };
        assert_eq!([1, 2, 3, 9].map(|step| settings.learning_rate_at(step)), [2.0, 2.0, 0.5, 0.5]);
    }

    #[test]
    fn few_images_are_some_of_those_that_are_trained_on_and_as_many_are_held_out() {
        let [all, held_out] = Settings::quick().split(1_000);
        assert_eq!([all.len(), held_out.len()], [950, 50]);
        let few = Settings { train_images: Some(40), ..Settings::quick() };
        let [chosen, same] = few.split(1_000);
        assert!(chosen.len() == 40 && same == held_out && chosen.is_sorted());
        assert!(chosen.iter().all(|image| all.contains(image)) && chosen[..] != all[..40]);
        let most = Settings { train_images: Some(950), ..Settings::quick() };
        assert_eq!(most.split(1_000)[0], all);
        assert!(most.must_find(1_000).is_ok() && most.must_find(998).is_err());
    }
}
