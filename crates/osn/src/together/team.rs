//! Workers that train one network: what they agree on, and what ends all of them.

use std::fmt;
use std::ops::Range;

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;

use crate::together::digest;
use crate::together::sum::Sum;
use crate::together::transport::{Workers, WorkersError};

/// Workers that train one network on the shards of each batch, to the same bits however many they are.
///
/// A batch is cut into as many shards as the training says, whatever the number of workers. Worker r of N has the shards
/// from `⌊r·S/N⌋` to `⌊(r+1)·S/N⌋`. What is not additive is computed within a shard, such as the statistics of batch
/// normalization; a result depends on S, and never on N. S shards on one worker are accumulated gradients.
///
/// Every worker makes the same calls in the same order. An error is the same on all of them: wrap what may fail on one
/// alone in [`agree`](Self::agree). After an error end the training, and go on from the last checkpoint.
///
/// # Example
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::optim::{AdamConfig, GradientsParams};
/// use burn::tensor::{Device, Tensor};
/// use osn::prelude::*;
/// use osn::workers::{Alone, Team};
///
/// let device = Device::flex().autodiff();
/// let mut team = Team::new(Alone, 4)?; // on a cluster: the workers of `osn-mpi`
/// let model = team.begin(LinearConfig::new(8, 3).init(&device))?;
/// let (mut model, mut osn) = Plan::new().select("weight").attach(model)?;
/// let mut adam = AdamConfig::new().init();
/// for _ in 0..3 {
///     let mut sum = team.sum(&model);
///     for shard in team.shards() {
///         let input = Tensor::<2>::full([4, 8], shard as f32, &device);
///         sum.add(&model, model.forward(input).square().mean().backward());
///     }
///     let gradients = sum.mean(&mut team, &model)?;
///     osn.observe(&model, &gradients)?;
///     let gradients = GradientsParams::from_grads(gradients, &model);
///     model = osn.optimize(&mut adam, 0.01, model, gradients);
///     osn.step_with(&mut team, &mut model, &[])?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Team<W> {
    pub(crate) workers: W,
    shards: usize,
    /// Steps that are done, for messages and to compare.
    pub(crate) step: u64,
    wants_stop: bool,
    stops: bool,
}

/// What workers are about to do together; that it is the same is checked each time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Agree = 1,
    Share,
    Gather,
    Mean,
    Signals,
    Step,
}

/// Why a training on several workers ends; the same on each of them, unless a worker is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TeamError {
    /// There are more workers than shards.
    #[error(
        "{workers} workers and {shards} shards: start at most as many workers as there are shards"
    )]
    NoShard {
        /// The workers.
        workers: usize,
        /// The shards.
        shards: usize,
    },
    /// Something that must be the same on all workers is not.
    #[error("worker {worker} has another {what} than worker 0: start all workers with the same")]
    Different {
        /// The first worker with another one.
        worker: usize,
        /// What it is.
        what: String,
    },
    /// One worker met an error of its own.
    #[error("worker {worker} failed at step {step}: {words}")]
    Failed {
        /// The first worker that did.
        worker: usize,
        /// The step.
        step: u64,
        /// What it says.
        words: String,
    },
    /// A gradient, or a running value of batch normalization, is NaN or infinite. It has been applied nowhere.
    #[error(
        "the gradient or running value of {path} is not finite at step {step}: shard {shard}, on worker {worker}; resume from the last checkpoint with a smaller learning rate"
    )]
    NotFinite {
        /// The parameter.
        path: String,
        /// The step.
        step: u64,
        /// The first shard that has it.
        shard: usize,
        /// Its worker.
        worker: usize,
    },
    /// The model of one worker is no longer that of the others.
    #[error(
        "worker {worker} has another model than worker 0 after step {step}: run all on one kind of processor with the same number of threads"
    )]
    Parted {
        /// The first worker with another one.
        worker: usize,
        /// The step.
        step: u64,
    },
    /// The workers make different calls.
    #[error(
        "the workers are not at the same call at step {step}: call the same methods of `Team` in the same order on every worker"
    )]
    OtherCall {
        /// The largest step that one of them is at.
        step: u64,
    },
    /// A worker is gone, or cannot be reached.
    #[error(transparent)]
    Workers(#[from] WorkersError),
}

impl TeamError {
    /// The same error at another step, where one of the training has several updates.
    #[must_use]
    pub fn at_step(self, at: u64) -> Self {
        let mut error = self;
        if let Self::Failed { step, .. }
        | Self::NotFinite { step, .. }
        | Self::Parted { step, .. }
        | Self::OtherCall { step } = &mut error
        {
            *step = at;
        }
        error
    }

    /// The exit code that tells a scheduler what to do: 2 where the workers were started wrongly, 75 (`EX_TEMPFAIL`)
    /// where it may start them again, and 1 where that would end the same.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoShard { .. } | Self::Different { .. } => 2,
            Self::Workers(_) => 75,
            _ => 1,
        }
    }
}

impl<W: Workers> Team<W> {
    /// The team of these workers, of which each batch has `shards` parts.
    ///
    /// # Errors
    ///
    /// [`TeamError::NoShard`] where there are more workers than shards; [`TeamError::Different`] where the workers have
    /// other numbers of shards, or other versions of osn.
    pub fn new(workers: W, shards: usize) -> Result<Self, TeamError> {
        let mut team = Self { workers, shards, step: 0, wants_stop: false, stops: false };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        team.agree_on(&[("number of shards", shards.to_string()), ("version of osn", version)])?;
        match team.count() {
            workers if workers > shards => Err(TeamError::NoShard { workers, shards }),
            _ => Ok(team),
        }
    }

    /// Goes on after so many steps: errors count from there, and a worker that is elsewhere is found.
    #[must_use]
    pub fn from_step(self, step: u64) -> Self {
        Self { step, ..self }
    }

    /// The shards of this worker.
    pub fn shards(&self) -> Range<usize> {
        let begin = |rank: usize| rank * self.shards / self.count();
        begin(self.rank())..begin(self.rank() + 1)
    }

    /// How many shards a batch has.
    pub fn n_shards(&self) -> usize {
        self.shards
    }

    /// Whether this is worker 0, the one that writes files.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Whether there is no other worker.
    pub fn is_alone(&self) -> bool {
        self.count() == 1
    }

    /// Takes worker 0's model, to the bit: call it before the plan is attached, so that the attachment is the same too.
    ///
    /// # Errors
    ///
    /// [`TeamError::Different`] where the models have other parameters or shapes; [`TeamError::Failed`] where Burn cannot
    /// write or load the record.
    pub fn begin<M: Module>(&mut self, model: M) -> Result<M, TeamError> {
        self.agree_on(&[("model", digest::shapes(&model))])?;
        let own = self.is_first().then(|| model.clone().into_record().into_bytes()).transpose();
        let bytes = self.agree(own)?;
        let bytes = self.share(bytes.map(|bytes| bytes.to_vec()).unwrap_or_default())?;
        let loaded = match ModuleRecord::from_bytes(Bytes::from_bytes_vec(bytes)) {
            _ if self.is_first() => Ok(model),
            record => record.and_then(|record| model.try_load_record(record)),
        };
        self.agree(loaded)
    }

    /// Makes one error of those of all workers: after it all have `Ok`, or all have the error of the first that failed.
    ///
    /// # Errors
    ///
    /// [`TeamError::Failed`] with the worker and its words.
    pub fn agree<T, E: fmt::Display>(&mut self, own: Result<T, E>) -> Result<T, TeamError> {
        match own {
            Ok(value) => self.meet(Call::Agree, None).map(|()| value),
            Err(error) => {
                let words = error.to_string();
                self.meet(Call::Agree, Some(&words))?;
                Err(self.failed(self.rank(), words))
            }
        }
    }

    /// Refuses workers that were not started with the same: settings, data, rules, each with a name.
    ///
    /// # Errors
    ///
    /// [`TeamError::Different`] with the first worker that differs from worker 0, and the first name.
    pub fn agree_on(&mut self, named: &[(&str, String)]) -> Result<(), TeamError> {
        let text = |(name, value): &(&str, String)| format!("{name}\0{value}\0").into_bytes();
        let first = self.share(named.iter().flat_map(text).collect())?;
        let first: Vec<&[u8]> = first.split(|byte| *byte == 0).collect();
        let differs = |(index, (name, value)): (usize, &(&str, String))| {
            let pair = first.get(2 * index..2 * index + 2);
            (pair != Some(&[name.as_bytes(), value.as_bytes()])).then(|| (*name).to_owned())
        };
        let own = named.iter().enumerate().find_map(differs);
        let own = own
            .or_else(|| (first.len() != 2 * named.len() + 1).then(|| "set of settings".to_owned()));
        match self.first_words(own.as_deref())? {
            Some((worker, what)) => Err(TeamError::Different { worker, what }),
            None => Ok(()),
        }
    }

    /// Worker 0's bytes: a file that it alone can read, scores that it alone computed.
    ///
    /// # Errors
    ///
    /// [`TeamError::Workers`] where a worker is gone.
    pub fn share(&mut self, mut bytes: Vec<u8>) -> Result<Vec<u8>, TeamError> {
        self.meet(Call::Share, None)?;
        self.workers.broadcast(&mut bytes)?;
        Ok(bytes)
    }

    /// Some numbers of each shard, such as its loss, of all shards in their order: to the bit what their workers gave.
    ///
    /// # Arguments
    ///
    /// - `own`: the numbers of each shard of this worker, as many for every shard of every worker.
    ///
    /// # Errors
    ///
    /// [`TeamError`] where another worker has failed or is gone.
    ///
    /// # Panics
    ///
    /// If `own` has not one entry for each shard of this worker, all of one length.
    pub fn gather(&mut self, own: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, TeamError> {
        let (shards, length) = (self.shards(), own.first().map_or(0, Vec::len));
        assert!(own.len() == shards.len(), "{} entries for the shards {shards:?}", own.len());
        assert!(own.iter().all(|it| it.len() == length), "shards of different lengths");
        self.meet(Call::Gather, None)?;
        let mut all = vec![0; length * self.shards];
        let places = all[length * shards.start..].iter_mut();
        let bits = own.iter().flatten().map(|number| number.to_bits().cast_signed());
        places.zip(bits).for_each(|(place, bits)| *place = bits);
        self.workers.sum(&mut all)?;
        let number = |bits: &i64| f64::from_bits(bits.cast_unsigned());
        let of_shard = |shard: usize| &all[length * shard..length * (shard + 1)];
        Ok((0..self.shards).map(|shard| of_shard(shard).iter().map(number).collect()).collect())
    }

    /// The sum of the gradients of one loss over this worker's shards, empty as yet.
    pub fn sum<M: Module>(&self, model: &M) -> Sum {
        Sum::new(model, self.shards())
    }

    /// Whether all workers stop here: some worker has asked for it before the last message. Sends nothing.
    ///
    /// Give `true` where this worker is to stop, such as after Ctrl-C; all then stop at the same step, most often the next.
    pub fn should_stop(&mut self, asked: bool) -> bool {
        self.wants_stop |= asked;
        self.stops
    }

    /// The workers, for a last word to them.
    pub fn into_workers(self) -> W {
        self.workers
    }

    /// The number of this worker, from 0.
    pub fn rank(&self) -> usize {
        self.workers.rank()
    }

    pub(crate) fn count(&self) -> usize {
        self.workers.count()
    }

    /// The worker that has a shard.
    pub(crate) fn worker_of(&self, shard: usize) -> usize {
        let begins_by = |rank: &usize| rank * self.shards / self.count() <= shard;
        (0..self.count()).rev().find(begins_by).unwrap_or_default()
    }

    pub(crate) fn failed(&self, worker: usize, words: String) -> TeamError {
        TeamError::Failed { worker, step: self.step + 1, words }
    }

    /// The first part of whatever workers do together: whether one has failed, all are at the same call, or all stop.
    ///
    /// A worker that has failed says so wherever the others are.
    pub(crate) fn meet(&mut self, call: Call, failure: Option<&str>) -> Result<(), TeamError> {
        self.workers.note_step(self.step + 1);
        let step = i64::try_from(self.step).unwrap_or(i64::MAX);
        let call = call as i64;
        let [who, length] = self.said(failure);
        let mut met = [who, length, i64::from(self.wants_stop), call, -call, step, -step];
        self.workers.max(&mut met)?;
        if met[0] != 0 {
            let (worker, words) = self.words(met[0], met[1], failure)?;
            return Err(self.failed(worker, words));
        }
        self.stops |= met[2] != 0;
        if [met[3], met[5]] == [-met[4], -met[6]] {
            return Ok(());
        }
        Err(TeamError::OtherCall { step: met[5].unsigned_abs() + 1 })
    }

    /// The words of the first worker that has any.
    pub(crate) fn first_words(
        &mut self,
        own: Option<&str>,
    ) -> Result<Option<(usize, String)>, TeamError> {
        let mut met = self.said(own);
        self.workers.max(&mut met)?;
        match met {
            [0, _] => Ok(None),
            [who, length] => self.words(who, length, own).map(Some),
        }
    }

    /// Who says something, so that the first worker has the largest number; and how much.
    fn said(&self, words: Option<&str>) -> [i64; 2] {
        let length = |words: &str| [self.count() - self.rank(), words.len()];
        words.map_or([0, 0], length).map(|it| i64::try_from(it).unwrap_or(i64::MAX))
    }

    fn words(
        &mut self,
        who: i64,
        length: i64,
        own: Option<&str>,
    ) -> Result<(usize, String), TeamError> {
        let number = |it: i64| usize::try_from(it).unwrap_or_default();
        let worker = self.count() - number(who);
        let mut bytes = vec![0; number(length)];
        if worker == self.rank() {
            let words = own.unwrap_or_default().bytes();
            bytes.iter_mut().zip(words).for_each(|(all, own)| *all = i64::from(own));
        }
        self.workers.sum(&mut bytes)?;
        let bytes: Vec<u8> = bytes
            .into_iter()
            .filter_map(|it| u8::try_from(it).ok())
            .filter(|it| *it != 0)
            .collect();
        Ok((worker, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Refuses workers whose models have parted.
    pub(crate) fn compare(&mut self, digest: u64) -> Result<(), TeamError> {
        let digest = digest.cast_signed();
        let mut met = [digest, !digest];
        self.workers.max(&mut met)?;
        if met[0] == !met[1] {
            return Ok(());
        }
        let first = self.share(digest.to_le_bytes().to_vec())?;
        let differs = (first != digest.to_le_bytes()).then_some("another");
        let worker = self.first_words(differs)?.map_or(0, |(worker, _)| worker);
        Err(TeamError::Parted { worker, step: self.step })
    }
}
