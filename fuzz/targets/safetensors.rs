//! A header and zeros as data, with the length that the header has or, in one of two, as it comes.
//! Whatever the format's own library accepts must be accepted here, with the same tensors.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_checkpoint::{CheckpointError, Problem, SafetensorsError};
use osn_fuzz::exercise_bytes;
use safetensors::SafeTensors;

fuzz_target!(|bytes: &[u8]| {
    let [how, data_bytes, header @ ..] = bytes else { return };
    let file = if how % 2 == 0 {
        let length = (header.len() as u64).to_le_bytes();
        [&length, header, &vec![0; usize::from(*data_bytes)]].concat()
    } else {
        header.to_vec()
    };
    let found = match exercise_bytes(&file) {
        // The library takes the last of two tensors of one name; here both are refused.
        Err(CheckpointError {
            problem: Problem::Safetensors(SafetensorsError::DuplicateName { .. }),
            ..
        }) => return,
        found => found,
    };
    if let Ok(reference) = SafeTensors::deserialize(&file) {
        let found = found.expect("the format's own library accepts it");
        assert_eq!(found.tensors().len(), reference.len());
        for tensor in found.tensors() {
            let view = reference.tensor(tensor.name()).expect("has this name");
            assert_eq!(tensor.shape(), view.shape());
            let mut bytes = vec![0; tensor.byte_count()];
            tensor.read_bytes(0, &mut bytes).expect("can be read");
            assert_eq!(bytes, view.data());
        }
    }
});
