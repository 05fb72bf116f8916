//! The refresh of a weight that was left alone for some steps.

use burn::tensor::Tensor;
use osn_core::act::AppliedAction;
use osn_core::held::{Form, Space, catch_up_iterations, is_settled, starts_at_v};
use osn_core::state_code::{STATE_LEN, State, decode_unit, encode_unit};

use crate::measure::refresh::{is_flex, refresh_blocks};
use crate::state::codes::{Codes, device_codes, host_codes};

/// Refreshes a weight whose last refresh was `behind` steps ago: [`catch_up_iterations`] power iterations,
/// all on the weight as it is now.
///
/// Where the vectors are on the host, no more run than bring the residual down, and each begins at the best vector of
/// all so far ([`Space`]). The last one is a plain refresh, and σ is a lower bound as always.
pub(crate) fn catch_up(
    weight: &Tensor<3>,
    mut codes: Codes,
    form: &Form,
    applied: &[AppliedAction],
    step: i32,
    behind: u64,
) -> Codes {
    let mut spaces: Vec<Space> = applied.iter().map(|_| Space::default()).collect();
    for left in (0..catch_up_iterations(behind)).rev() {
        codes = refresh_blocks(weight, codes, form, applied, step);
        if left == 0 {
            break;
        }
        let Some(states) = states_on_host(&codes) else { continue };
        if states.iter().all(is_settled) {
            break;
        }
        codes = from_the_best(codes, &states, form, &mut spaces);
    }
    codes
}

/// The same codes with the best vector of each block so far in the place of the one that the next iteration begins at.
fn from_the_best(
    (u, v, state): Codes,
    states: &[State],
    form: &Form,
    spaces: &mut [Space],
) -> Codes {
    let Some(from_v) = starts_at_v(&form.maps) else { return (u, v, state) };
    let (start, end) = if from_v { (&v, &u) } else { (&u, &v) };
    let host = |codes| host_codes(codes).into_iter().map(decode_unit).collect::<Vec<f64>>();
    let (mut starts, ends) = (host(start.clone()), host(end.clone()));
    let (in_start, in_end) = (starts.len() / states.len(), ends.len() / states.len());
    let blocks = starts.chunks_exact_mut(in_start).zip(ends.chunks_exact(in_end));
    for ((start, end), (state, space)) in blocks.zip(states.iter().zip(spaces)) {
        if let Some(best) = space.best_start(start, end, state.sigma) {
            start.copy_from_slice(&best);
        }
    }
    let best: Vec<i32> = starts.into_iter().map(encode_unit).collect();
    let best = device_codes(&best, &start.device());
    if from_v { (u, best, state) } else { (best, v, state) }
}

/// The state of every block, unless it is on a device with a queue, where to ask for it would be to wait.
pub(crate) fn states_on_host((_, _, state): &Codes) -> Option<Vec<State>> {
    let read = || host_codes(state.clone()).chunks_exact(STATE_LEN).map(State::decode).collect();
    is_flex(&state.device()).then(read)
}
