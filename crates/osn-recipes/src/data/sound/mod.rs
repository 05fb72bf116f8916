//! Recordings as images, and images as sound.
//!
//! A recording becomes a log-mel spectrogram as librosa computes it, and a spectrogram becomes a sound
//! by Griffin-Lim. The mel filters, the STFT and Griffin-Lim are written here, on `realfft`, because no
//! well-kept crate has all three as librosa has them; the tests compare each with librosa's values.
//! WAV is decoded by `hound`, rates are changed by `rubato`. All of it is in `f64`: the images are
//! rounded to bytes, and so their digest does not depend on the processor.

pub mod description;
pub(crate) mod folder;
pub mod griffin_lim;
pub mod mel;
pub mod resample;
mod riff;
pub mod settings;
pub mod spectrogram;
pub mod stft;
pub mod wav;
pub mod wav_error;
