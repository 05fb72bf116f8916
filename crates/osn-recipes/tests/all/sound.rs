//! Recordings as data: spectrograms, filters and sounds against those of librosa and `SciPy`, and what
//! the recipes make of a folder of WAV files.

use std::fs;
use std::path::Path;

use crate::files::wav::{Fmt, chunk, fill, in_16_bits, riff, tone, tone_file, wav};
use crate::runs::{on, request};
use osn_recipes::data::image_set::{Dataset, pixel};
use osn_recipes::data::images;
use osn_recipes::data::sound::description::LogMel;
use osn_recipes::data::sound::griffin_lim;
use osn_recipes::data::sound::mel::MelFilters;
use osn_recipes::data::sound::resample::resampled;
use osn_recipes::data::sound::settings::SoundSettings;
use osn_recipes::data::sound::spectrogram::Spectrograms;
use osn_recipes::data::sound::stft::Stft;
use osn_recipes::data::sound::wav::{self, Recording};
use osn_recipes::run::description::RunDescription;
use osn_recipes::run::observer::Silent;
use osn_runs::folder::RunFolder;
use serde_json::Value;
use tempfile::TempDir;

// --- librosa's and SciPy's values ------------------------------------------------------------

/// The values of `golden/sound.py`.
fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/sound.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect()
}

fn rows(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

/// The signal of `golden/sound.py`.
fn signal(count: usize, rate: u32) -> Vec<f64> {
    let sample = |at: usize| {
        let (seconds, turn) = (at as f64 / f64::from(rate), std::f64::consts::TAU);
        let steady = 0.5 * (turn * 440.0 * seconds).sin();
        let rising = 0.3 * (turn * (200.0 * seconds + 700.0 * seconds * seconds)).sin();
        steady + rising + 0.05 * ((at * 7_919 % 1_000) as f64 / 500.0 - 1.0)
    };
    (0..count).map(sample).collect()
}

fn log_mel(settings: &Value) -> LogMel {
    let mut settings = settings.clone();
    settings["normalization"] = Value::from("");
    serde_json::from_value(settings).unwrap()
}

fn must_agree(found: &[f64], expected: &[f64], relative: f64, absolute: f64) {
    assert_eq!(found.len(), expected.len());
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let apart = (found - expected).abs();
        assert!(apart <= relative * expected.abs() + absolute, "{place}: {found} for {expected}");
    }
}

#[test]
#[expect(clippy::cast_possible_truncation, reason = "a byte is coarser than either")]
fn spectrograms_are_those_of_librosa() {
    for case in golden()["spectrograms"].as_array().unwrap() {
        let log_mel = log_mel(&case["settings"]);
        let sound = signal(log_mel.length_samples, log_mel.sample_rate_hz);
        let spectrograms = Spectrograms::new(&log_mel);
        for (found, expected) in spectrograms.power(&sound).iter().zip(rows(&case["power"])) {
            must_agree(found, &expected, 1e-7, 1e-9);
        }
        let (image, decibels) = (spectrograms.image(&sound), rows(&case["decibels"]));
        let (bands, frames) = (log_mel.bands, log_mel.frames);
        for (place, &found) in image.iter().enumerate() {
            let decibels = decibels[place % frames][bands - 1 - place / frames];
            let expected = pixel((1.0 + 2.0 * decibels / 80.0) as f32);
            assert_eq!(found, expected, "{place}: {decibels} dB");
        }
        assert!(image.contains(&255), "the loudest cell is white");
    }
}

#[test]
fn mel_filters_are_those_of_librosa() {
    let golden = golden();
    let filters = MelFilters::new(&log_mel(&golden["spectrograms"][1]["settings"]));
    for (number, band) in golden["filters"].as_array().unwrap().iter().enumerate() {
        let first = usize::try_from(band["first"].as_u64().unwrap()).unwrap();
        let mut expected = vec![0.0; filters.n_bins()];
        for (bin, weight) in (first..).zip(numbers(&band["weights"])) {
            expected[bin] = weight;
        }
        let weight = |bin: usize| {
            let mut one = vec![0.0; filters.n_bins()];
            one[bin] = 1.0;
            filters.apply(&one)[number]
        };
        let found: Vec<_> = (0..filters.n_bins()).map(weight).collect();
        must_agree(&found, &expected, 1e-8, 1e-12);
    }
}

#[test]
fn griffin_lim_is_that_of_librosa() {
    let golden = &golden()["griffin_lim"];
    let (magnitudes, expected) = (rows(&golden["magnitudes"]), numbers(&golden["sound"]));
    let settings = SoundSettings {
        sample_rate_hz: 4_000,
        length_ms: 275,
        window_samples: Some(256),
        ..SoundSettings::default()
    };
    let log_mel = settings.log_mel(12).unwrap();
    assert_eq!((log_mel.hop_samples, log_mel.length_samples), (100, 1_100));
    let found = griffin_lim::sound_after(&Stft::new(&log_mel), &magnitudes, 16);
    must_agree(&found, &expected, 1e-5, 1e-6);
}

#[test]
fn mel_bands_are_unmixed_as_well_as_by_librosa() {
    let golden = golden();
    let case = &golden["spectrograms"][0];
    let filters = MelFilters::new(&log_mel(&case["settings"]));
    let (mut apart, mut whole) = (0.0, 0.0);
    for bands in rows(&case["power"]) {
        let spectrum = griffin_lim::unmixed(&filters, &bands);
        assert!(spectrum.iter().all(|power| *power >= 0.0));
        let found = filters.apply(&spectrum);
        apart += found.iter().zip(&bands).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        whole += bands.iter().map(|it| it * it).sum::<f64>();
    }
    let error = (apart / whole).sqrt();
    assert!(error <= golden["unmixing_error"].as_f64().unwrap(), "{error}");
}

#[test]
fn rates_are_changed_as_by_scipy() {
    for case in golden()["resampled"].as_array().unwrap() {
        let rate = |key: &str| u32::try_from(case[key].as_u64().unwrap()).unwrap();
        let (from, to) = (rate("from"), rate("to"));
        let count = if from == 44_100 { 4_410 } else { 1_600 };
        let sweep = |at: usize| {
            let (seconds, turn) = (at as f64 / f64::from(from), std::f64::consts::TAU);
            let fade = 0.5 - 0.5 * (turn * at as f64 / (count - 1) as f64).cos();
            fade * (turn * (100.0 * seconds + 2_000.0 * seconds * seconds)).sin()
        };
        let sound: Vec<_> = (0..count).map(sweep).collect();
        let (found, expected) = (resampled(&sound, from, to).unwrap(), numbers(&case["sound"]));
        assert!(found.len().abs_diff(expected.len()) <= 1, "{} {}", found.len(), expected.len());
        let both = found.len().min(expected.len());
        must_agree(&found[..both], &expected[..both], 0.0, 1e-3);
    }
}

// --- There and back --------------------------------------------------------------------------

#[test]
fn the_sound_of_a_spectrogram_has_that_spectrogram() {
    let log_mel = SoundSettings::default().log_mel(28).unwrap();
    let spectrograms = Spectrograms::new(&log_mel);
    let image = spectrograms.image(&signal(log_mel.length_samples, 16_000));
    let values: Vec<_> = image.iter().map(|&it| f32::from(it) / 127.5 - 1.0).collect();
    let sound = spectrograms.sound(&values);
    assert_eq!(sound, spectrograms.sound(&values), "the same bits again");
    let loudest = sound.iter().copied().map(f64::abs).fold(0.0, f64::max);
    assert!((loudest - 0.9).abs() < 1e-12, "{loudest}");
    let again = spectrograms.image(&sound);
    let apart: f64 = image.iter().zip(&again).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    // Four decibels on average, of 80; noise, the least of which Griffin-Lim finds again, is most of it.
    assert!(apart / (image.len() as f64) < 4.0 / 80.0 * 255.0, "{}", apart / image.len() as f64);
}

#[test]
fn what_is_no_number_or_black_everywhere_is_silence() {
    let log_mel = SoundSettings::default().log_mel(8).unwrap();
    let spectrograms = Spectrograms::new(&log_mel);
    for value in [-1.0, -7.0, f32::NAN] {
        let sound = spectrograms.sound(&[value; 64]);
        assert!(sound.iter().all(|sample| *sample == 0.0), "{value}");
    }
    assert_eq!(spectrograms.image(&vec![0.0; log_mel.length_samples]), [0; 64]);
}

// --- WAV files -------------------------------------------------------------------------------

#[expect(clippy::cast_possible_truncation, reason = "samples lie in [-1, 1]")]
#[expect(clippy::cast_sign_loss, reason = "samples of 8 bits have none")]
fn stored(fmt: Fmt, samples: &[f64]) -> Vec<u8> {
    let data: Vec<u8> = match (fmt.tag, fmt.bits) {
        (3, _) => samples.iter().flat_map(|it| (*it as f32).to_le_bytes()).collect(),
        (_, 8) => samples.iter().map(|it| (it * 127.0 + 128.0).round() as u8).collect(),
        (_, bits) => {
            let whole = |it: &f64| (it * f64::from(i32::MAX)).round() as i32;
            let bytes = usize::from(bits / 8);
            samples.iter().flat_map(|it| whole(it).to_le_bytes()[4 - bytes..].to_vec()).collect()
        }
    };
    wav(fmt, &data)
}

#[test]
fn every_way_of_storing_a_sound_gives_the_same_sound() {
    let samples = tone(300.0, 16_000, 500);
    for (tag, bits, near) in
        [(1, 8, 0.01), (1, 16, 1e-4), (1, 24, 1e-6), (1, 32, 1e-6), (3, 32, 1e-6)]
    {
        let file = stored(Fmt { tag, bits, ..Fmt::USUAL }, &samples);
        let Recording { samples: found, rate } = wav::parse(&file).unwrap();
        assert_eq!((found.len(), rate), (500, 16_000));
        for (found, expected) in found.iter().zip(&samples) {
            assert!((f64::from(*found) - expected).abs() < near, "{bits}: {found} {expected}");
        }
    }
}

#[test]
fn channels_are_averaged() {
    let left = tone(300.0, 16_000, 500);
    let both: Vec<_> = left.iter().flat_map(|it| [*it, 0.0, -it / 2.0]).collect();
    let file = wav(Fmt { channels: 3, ..Fmt::USUAL }, &in_16_bits(&both));
    let found = wav::parse(&file).unwrap().samples;
    assert_eq!(found.len(), 500);
    for (found, left) in found.iter().zip(&left) {
        assert!((f64::from(*found) - left / 6.0).abs() < 1e-4);
    }
}

#[test]
fn chunks_of_odd_length_extended_headers_and_wrong_byte_rates_are_read_over() {
    let data = in_16_bits(&tone(300.0, 16_000, 500));
    let plain = wav::parse(&wav(Fmt::USUAL, &data)).unwrap();
    let subformat = b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71";
    let extended =
        [&Fmt { tag: 0xfffe, ..Fmt::USUAL }.bytes()[..], &[22, 0, 16, 0, 4, 0, 0, 0], subformat]
            .concat();
    let mut wrong = Fmt::USUAL.bytes();
    wrong[8..12].fill(0xff);
    for fmt in [extended, wrong, [Fmt::USUAL.bytes(), vec![0, 0]].concat()] {
        let file = riff(&[
            chunk("LIST", b"odd"),
            chunk("fmt ", &fmt),
            chunk("fact", &[0; 12]),
            chunk("data", &data),
            chunk("LIST", b"behind"),
        ]);
        assert_eq!(wav::parse(&file).unwrap(), plain);
    }
}

// --- Folders ---------------------------------------------------------------------------------

fn load(folder: &Path) -> Dataset {
    images::load(folder.to_str(), 8).unwrap()
}

#[test]
fn folders_are_classes_and_the_last_of_every_six_is_for_testing() {
    let folder = TempDir::new().unwrap();
    fill(folder.path(), &["kick", "a/deep", "snare"], 13);
    let data = load(folder.path());
    let sound = data.sound.as_ref().unwrap();
    assert_eq!(sound.classes, ["a", "kick", "snare"]);
    let labels = |part: [usize; 3]| (0..3).flat_map(|it| vec![it; part[usize::from(it)]]).collect();
    assert_eq!(data.train.labels, Some(labels([11; 3])));
    assert_eq!(data.test.labels, Some(labels([2; 3])));
    assert_eq!((data.train.channels, data.train.height, data.train.width), (1, 8, 8));
    assert_eq!(data.test_every, Some(6));
    let all = "39 recordings of 3 classes, 33 to train on and 6 to judge by";
    assert!(data.train.source.contains(all), "{}", data.train.source);
}

#[test]
fn recordings_in_no_folder_have_no_classes() {
    let folder = TempDir::new().unwrap();
    fill(folder.path(), &["."], 12);
    fs::write(folder.path().join("notes.txt"), "").unwrap();
    let data = load(folder.path());
    assert_eq!((data.train.labels, data.test.labels), (None, None));
    assert_eq!((data.train.pixels.len(), data.test.pixels.len()), (10 * 64, 2 * 64));
    assert!(data.sound.unwrap().classes.is_empty());
}

#[test]
fn folders_called_train_and_test_are_the_split() {
    let folder = TempDir::new().unwrap();
    fill(folder.path(), &["train/hum", "train/ring"], 5);
    fill(folder.path(), &["test/hum", "test/ring"], 2);
    let data = load(folder.path());
    assert_eq!(data.sound.unwrap().classes, ["hum", "ring"]);
    assert_eq!(data.train.labels.unwrap(), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    assert_eq!(data.test.labels.unwrap(), [0, 0, 1, 1]);
    assert_eq!(data.test_every, None);
}

/// The image of one recording, of six equal ones in a folder.
fn image_of(file: &[u8], settings: Option<&str>) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    for index in 0..6 {
        fs::write(folder.path().join(format!("{index}.wav")), file).unwrap();
    }
    if let Some(settings) = settings {
        fs::write(folder.path().join("sound.json"), settings).unwrap();
    }
    load(folder.path()).test.pixels
}

#[test]
fn a_tone_looks_the_same_at_every_rate_and_loudness() {
    let file = |rate: u32, loudness: f64| {
        let samples = tone(500.0, rate, rate as usize / 2);
        let samples: Vec<_> = samples.iter().map(|it| it * loudness).collect();
        image_of(&wav(Fmt { rate, ..Fmt::USUAL }, &in_16_bits(&samples)), None)
    };
    let plain = file(16_000, 1.0);
    for (rate, loudness) in [(44_100, 1.0), (48_000, 1.0), (16_000, 0.5)] {
        for (found, expected) in file(rate, loudness).iter().zip(&plain) {
            // Two decibels; what is 60 below the tone is the rounding to 16 bits.
            let both_low = *found < 64 && *expected < 64;
            assert!(both_low || found.abs_diff(*expected) <= 6, "{rate}: {found} {expected}");
        }
    }
}

#[test]
fn of_a_long_recording_the_loudest_stretch_is_seen_wherever_it_is() {
    let beat = tone(500.0, 16_000, 16_000);
    let quiet: Vec<_> = tone(900.0, 16_000, 20_000).iter().map(|it| it * 0.01).collect();
    let alone = image_of(&wav(Fmt::USUAL, &in_16_bits(&beat)), None);
    let behind = [&vec![0.0; 20_000][..], &beat, &quiet].concat();
    assert_eq!(image_of(&wav(Fmt::USUAL, &in_16_bits(&behind)), None), alone);
}

#[test]
fn sound_json_says_what_is_seen() {
    let high = wav(Fmt::USUAL, &in_16_bits(&tone(6_000.0, 16_000, 8_000)));
    let row_of_white = |image: Vec<u8>| image.iter().position(|it| *it == 255).unwrap() / 8;
    assert_eq!(row_of_white(image_of(&high, None)), 0, "the highest band is on top");
    let wide = r#"{"sample_rate_hz": 48000, "length_ms": 500, "low_hz": 5000}"#;
    assert!(row_of_white(image_of(&high, Some(wide))) > 5);
}

#[test]
fn the_default_is_a_second_at_16_khz_in_as_many_windows_as_an_image_has_columns() {
    let LogMel { hop_samples, window_samples, length_samples, bands, frames, high_hz, .. } =
        SoundSettings::default().log_mel(28).unwrap();
    assert_eq!((hop_samples, length_samples), (592, 27 * 592));
    assert_eq!((window_samples, bands, frames, high_hz), (1_184, 28, 28, 8_000));
    let finer = SoundSettings::default().log_mel(64).unwrap();
    assert_eq!((finer.hop_samples, finer.window_samples), (253, 1_024));
}

// --- Runs ------------------------------------------------------------------------------------

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_recipe_of_images_trains_on_recordings_says_how_and_writes_sounds() {
    let data = TempDir::new().unwrap();
    fill(data.path(), &["high", "low"], 60);
    for (recipe, n_sounds) in [("gan", 8), ("cgan", 2), ("classify", 1)] {
        let run = || {
            let out = TempDir::new().unwrap();
            let summary =
                osn_recipes::train(&on(&data, request(recipe, &[], out.path())), &mut Silent);
            let folder = RunFolder::open(&summary.unwrap().folder).unwrap();
            let description = folder.description::<RunDescription>().unwrap();
            (description, files(&folder.path().join("samples")))
        };
        let (description, samples) = run();
        let sound = description.sound.unwrap();
        assert_eq!((sound.log_mel.bands, sound.log_mel.hop_samples), (28, 592));
        assert_eq!(sound.classes, ["high", "low"]);
        let sounds: Vec<_> = samples.iter().filter(|(name, _)| name.contains(".wav")).collect();
        let last: Vec<_> = sounds.iter().filter(|it| it.0.starts_with("step-000006-")).collect();
        assert!(last.len() >= n_sounds, "{recipe}: {}", last.len());
        for (name, bytes) in &sounds {
            let Recording { samples, rate } = wav::parse(bytes).unwrap();
            assert_eq!((samples.len(), rate), (27 * 592, 16_000), "{name}");
        }
        assert_eq!(run().1, samples, "{recipe}: the same files again");
    }
}

#[test]
fn a_resumed_run_has_the_sounds_of_a_whole_one() {
    let data = TempDir::new().unwrap();
    fill(data.path(), &["high", "low"], 60);
    let run = |stop: u64| {
        let out = TempDir::new().unwrap();
        let request = on(&data, request("gan", &[], out.path()));
        let mut observer = crate::runs::StopsAfter::steps(stop);
        let folder = osn_recipes::train(&request, &mut observer).unwrap().folder;
        (out, folder)
    };
    let (_whole_out, whole) = run(6);
    let (_out, stopped) = run(4);
    let late = stopped.join("samples/step-000006-1.wav");
    fs::write(&late, tone_file(300.0)).unwrap();
    osn_recipes::resume(&stopped, &mut Silent).unwrap();
    assert_eq!(files(&stopped.join("samples")), files(&whole.join("samples")));
}
