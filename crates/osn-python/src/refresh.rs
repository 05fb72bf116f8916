//! The vectors of a held weight, one power iteration on.

use std::borrow::Cow;

use osn_core::act::AppliedAction;
use osn_core::held::kernel::{Threads, norm};
use osn_core::held::{
    Form, Iteration, Maps, Space, Start, block_of, catch_up_iterations, is_settled, iterate_on,
    starts_at_v, state_at, state_of,
};
use osn_core::layer::Measurement;
use osn_core::state_code::{STATE_LEN, State};

/// What one weight keeps, flat and in f32: `u` of all blocks, `v` of all blocks, the [`STATE_LEN`] numbers of each
/// block's state and, where a block is a convolution, `∂σ/∂W`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    rows: usize,
    cols: usize,
    count: usize,
    gradient: usize,
}

impl Parts {
    pub(crate) fn of(form: &Form) -> Self {
        let gradient = match &form.maps {
            Maps::Convolution(geometry) => geometry.kernel_len(),
            _ => 0,
        };
        Self { rows: form.maps.rows(), cols: form.maps.cols(), count: form.cut.count, gradient }
    }

    pub(crate) fn len(self) -> usize {
        self.count * (self.rows + self.cols + STATE_LEN) + self.gradient
    }

    fn u(self, vectors: &[f32], block: usize) -> &[f32] {
        &vectors[block * self.rows..][..self.rows]
    }

    fn v(self, vectors: &[f32], block: usize) -> &[f32] {
        &vectors[self.count * self.rows + block * self.cols..][..self.cols]
    }

    pub(crate) fn states(self, vectors: &[f32]) -> &[f32] {
        &vectors[self.count * (self.rows + self.cols)..][..self.count * STATE_LEN]
    }

    /// Puts the best vector of each block so far in the place of the one that the next iteration begins at.
    #[expect(clippy::cast_possible_truncation, reason = "entries of unit vectors")]
    fn start_at_the_best(
        self,
        vectors: &mut [f32],
        states: &[State],
        form: &Form,
        spaces: &mut [Space],
    ) {
        let Some(from_v) = starts_at_v(&form.maps) else { return };
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        for (block, (state, space)) in states.iter().zip(spaces).enumerate() {
            let (u, v) = (wide(self.u(vectors, block)), wide(self.v(vectors, block)));
            let (start, end) = if from_v { (v, u) } else { (u, v) };
            let Some(best) = space.best_start(&start, &end, state.sigma) else { continue };
            let at =
                if from_v { self.count * self.rows + block * self.cols } else { block * self.rows };
            let slots = vectors[at..].iter_mut().zip(best);
            slots.for_each(|(slot, best)| *slot = best as f32);
        }
    }

    /// Writes one block.
    fn put(self, vectors: &mut [f32], block: usize, (u, v, state): (&[f32], &[f32], &State)) {
        vectors[block * self.rows..][..self.rows].copy_from_slice(u);
        let v_start = self.count * self.rows + block * self.cols;
        vectors[v_start..][..self.cols].copy_from_slice(v);
        let start = self.count * (self.rows + self.cols) + block * STATE_LEN;
        vectors[start..][..STATE_LEN].copy_from_slice(&numbers(state));
    }
}

/// A state as numbers, in the order of its code.
#[expect(clippy::cast_possible_truncation, reason = "what is kept beside a weight is f32")]
fn numbers(state: &State) -> [f32; STATE_LEN] {
    let State { sigma, scale, elasticity, residual, bad_step } = *state;
    [sigma as f32, scale as f32, elasticity as f32, residual as f32, bad_step as f32]
}

/// The state that [`numbers`] wrote.
#[expect(clippy::cast_possible_truncation, reason = "it is a whole number")]
fn state(numbers: &[f32]) -> State {
    let at = |index: usize| f64::from(numbers[index]);
    let bad_step = numbers[4] as i32;
    State { sigma: at(0), scale: at(1), elasticity: at(2), residual: at(3), bad_step }
}

/// The states of some blocks.
pub(crate) fn decoded(states: &[f32]) -> Vec<State> {
    states.chunks_exact(STATE_LEN).map(state).collect()
}

/// How a weight is refreshed at a step.
#[derive(Clone, Copy)]
pub(crate) struct Refresh<'a> {
    pub(crate) threads: Threads,
    pub(crate) form: &'a Form,
    /// What is in force on each block.
    pub(crate) applied: &'a [AppliedAction],
    pub(crate) step: i32,
}

impl Refresh<'_> {
    /// Refreshes a weight whose last refresh was `behind` steps ago: from the vectors `old` to `new`.
    ///
    /// No more iterations run than bring the residual down, and each begins at the best vector of all so far. The last one is
    /// a plain refresh, and σ is a lower bound as always.
    pub(crate) fn catch_up(self, weight: &[f32], old: &[f32], new: &mut [f32], behind: u64) {
        if behind == 0 {
            new.copy_from_slice(old);
            return;
        }
        self.iterate(weight, old, new);
        let parts = Parts::of(self.form);
        let mut spaces: Vec<Space> = self.applied.iter().map(|_| Space::default()).collect();
        for _ in 1..catch_up_iterations(behind) {
            let states = decoded(parts.states(new));
            if states.iter().all(is_settled) {
                return;
            }
            let mut start = new.to_vec();
            parts.start_at_the_best(&mut start, &states, self.form, &mut spaces);
            self.iterate(weight, &start, new);
        }
    }

    /// One power iteration of every block of a weight: from the vectors `old` to `new`.
    fn iterate(self, weight: &[f32], old: &[f32], new: &mut [f32]) {
        let Self { threads, form, applied, step } = self;
        let parts = Parts::of(form);
        for (block, applied) in applied.iter().enumerate() {
            let before = state(&parts.states(old)[block * STATE_LEN..]);
            let (old_u, old_v) = (parts.u(old, block), parts.v(old, block));
            match iterate_on(threads, &entries_of(weight, form, block), (old_u, old_v), &form.maps)
            {
                Iteration::Moved { u, v, sigma, residual } => {
                    let state = state_at(sigma, residual, before.bad_step, applied);
                    parts.put(new, block, (&u, &v, &state));
                }
                still => {
                    let state = unmoved(&still, before, applied, step);
                    parts.put(new, block, (old_u, old_v, &state));
                }
            }
        }
        put_gradient(parts, form, new);
    }
}

/// The state of a weight whose vectors stay.
fn unmoved(found: &Iteration, before: State, applied: &AppliedAction, step: i32) -> State {
    match found {
        Iteration::Zero => state_at(0.0, 0.0, before.bad_step, applied),
        Iteration::Lost => State { residual: 1.0, ..before },
        _ if before.bad_step == 0 => State { bad_step: step, ..before },
        _ => before,
    }
}

/// The vectors of a weight that was measured from nothing.
#[expect(clippy::cast_possible_truncation, reason = "what is kept beside a weight is f32")]
pub(crate) fn started(start: &Start, form: &Form, applied: &[AppliedAction]) -> Vec<f32> {
    let parts = Parts::of(form);
    let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let (u, v) = (narrow(&start.u), narrow(&start.v));
    let mut vectors = vec![0.0; parts.len()];
    let blocks: Vec<(&Measurement, &AppliedAction)> = start.blocks.iter().zip(applied).collect();
    for (block, (measured, applied)) in blocks.into_iter().enumerate() {
        let u = &u[block * parts.rows..][..parts.rows];
        let v = &v[block * parts.cols..][..parts.cols];
        parts.put(&mut vectors, block, (u, v, &state_of(*measured, applied)));
    }
    put_gradient(parts, form, &mut vectors);
    vectors
}

/// `∂σ/∂W` of a convolution, which follows from its vectors.
#[expect(clippy::cast_possible_truncation, reason = "what is kept beside a weight is f32")]
fn put_gradient(parts: Parts, form: &Form, vectors: &mut [f32]) {
    let Maps::Convolution(geometry) = &form.maps else { return };
    let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let (u, v) = (wide(parts.u(vectors, 0)), wide(parts.v(vectors, 0)));
    let start = parts.len() - parts.gradient;
    let gradient = geometry.kernel_gradient(&u, &v);
    vectors[start..].iter_mut().zip(gradient).for_each(|(slot, entry)| *slot = entry as f32);
}

/// The entries of one block, copied only where they lie apart.
fn entries_of<'a>(weight: &'a [f32], form: &Form, block: usize) -> Cow<'a, [f32]> {
    let cut = form.cut;
    if cut.outer == 1 {
        Cow::Borrowed(&weight[block * cut.inner..][..cut.inner])
    } else {
        Cow::Owned(block_of(weight, cut, block))
    }
}

/// The Frobenius norm of each block, in f64.
pub(crate) fn norms(weight: &[f32], form: &Form) -> Vec<f64> {
    (0..form.cut.count).map(|block| norm(&entries_of(weight, form, block))).collect()
}
