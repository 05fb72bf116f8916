//! Copies from the device to the host, as few as there are devices.

use burn::tensor::{Device, Element, Tensor, kind::Numeric};

use crate::measure::norms::{decode_norm, ln_norm_codes};
use crate::state::codes::Codes;
use crate::state::walks::Held;
use osn_core::state_code::{STATE_LEN, State};

#[cfg(test)]
thread_local! {
    /// How many weights came to the host on this thread.
    pub(crate) static COPIES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Row-major values in f32.
pub(crate) fn to_host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    #[cfg(test)]
    COPIES.with(|copies| copies.set(copies.get() + 1));
    tensor.into_data().iter::<f32>().collect()
}

/// Every block's state and, where they are asked for, Frobenius norm, in one copy a device.
pub(crate) fn states_and_norms(
    held: &[Held],
    codes: &[Codes],
    with_norms: bool,
) -> (Vec<State>, Vec<Option<f64>>) {
    let row = |(held, (_, _, state)): (&Held, &Codes)| {
        let state = state.clone().without_autodiff();
        if !with_norms {
            return state;
        }
        Tensor::cat(vec![state, ln_norm_codes(held.weight.clone())], 0)
    };
    let rows = rows_to_host::<_, i32>(held.iter().zip(codes).map(row).collect());
    let blocks = rows.iter().flat_map(|row| {
        let count = row.len() / (STATE_LEN + usize::from(with_norms));
        let (states, norms) = row.split_at(count * STATE_LEN);
        let norms = (0..count).map(move |block| norms.get(block).copied().map(decode_norm));
        states.chunks_exact(STATE_LEN).map(State::decode).zip(norms)
    });
    blocks.unzip()
}

/// Copies rows to the host: those of one device joined into one tensor first.
pub(crate) fn rows_to_host<K: Numeric, E: Element>(rows: Vec<Tensor<1, K>>) -> Vec<Vec<E>> {
    type Placed<K> = Vec<(usize, Tensor<1, K>)>;
    let mut by_device: Vec<(Device, Placed<K>)> = Vec::new();
    let mut host: Vec<Vec<E>> = rows.iter().map(|_| Vec::new()).collect();
    for (index, row) in rows.into_iter().enumerate() {
        let device = row.device();
        match by_device.iter_mut().find(|(known, _)| *known == device) {
            Some((_, rows)) => rows.push((index, row)),
            None => by_device.push((device, vec![(index, row)])),
        }
    }
    for (_, rows) in by_device {
        let (indices, rows): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let lengths: Vec<usize> = rows.iter().map(|row| row.dims()[0]).collect();
        let data = Tensor::cat(rows, 0).into_data();
        let mut values = data.iter::<E>();
        for (index, length) in indices.into_iter().zip(lengths) {
            host[index] = values.by_ref().take(length).collect();
        }
    }
    host
}
