//! Recordings that are damaged, lie or are none: every recipe says in one line which file is wrong, and
//! leaves nothing behind.

use std::fs;
use std::path::Path;

use crate::files::save;
use crate::files::wav::{Fmt, chunk, fill, in_16_bits, riff, tone, tone_file, wav};
use crate::runs::{data_error, on, request};
use image::RgbImage;
use osn_recipes::data::error::DataError;
use osn_recipes::data::images;
use osn_recipes::data::sound::settings::SettingsError;
use osn_recipes::data::sound::wav::parse;
use osn_recipes::data::sound::wav_error::WavError;
use osn_recipes::run::error::RunError;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tempfile::TempDir;

fn sound() -> Vec<u8> {
    in_16_bits(&tone(300.0, 16_000, 100))
}

/// What a recipe says of a folder, in one line and before there is a run.
fn refused(recipe: &str, data: &Path) -> RunError {
    let out = TempDir::new().unwrap();
    let runs = out.path().join("runs");
    let error = crate::runs::refused(&on(data, request(recipe, &[], &runs)));
    assert!(!runs.exists(), "{recipe} left a folder: {error}");
    error
}

/// A folder of good recordings in two classes, and one file more.
fn folder_with(name: &str, bytes: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fill(folder.path(), &["high", "low"], 36);
    fs::write(folder.path().join(name), bytes).unwrap();
    folder
}

fn load_error(folder: &Path) -> DataError {
    let error = images::load(folder.to_str(), 8).unwrap_err();
    let line = error.to_string();
    assert!(!line.contains('\n') && line.len() < 500, "{line}");
    error
}

// --- Files -----------------------------------------------------------------------------------

#[test]
fn a_recording_cut_anywhere_is_refused_and_never_a_panic() {
    let whole = tone_file(300.0);
    for length in 0..whole.len() {
        let error = parse(&whole[..length]).unwrap_err();
        let expected = match length {
            0..12 => matches!(error, WavError::NotWav { .. }),
            12..44 => matches!(error, WavError::Broken(_)),
            _ => matches!(error, WavError::Cut { promised: 6_400, there } if there == length - 44),
        };
        assert!(expected, "{length}: {error}");
    }
}

#[test]
fn a_recording_with_a_flipped_bit_is_read_or_refused_and_never_a_panic() {
    let whole = wav(Fmt::USUAL, &sound());
    for bit in 0..44 * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(recording) = parse(&bytes) {
            assert!(recording.samples.len() <= 200 && !recording.samples.is_empty(), "{bit}");
        }
    }
}

/// Random bytes, mostly with words and lengths of WAV files among them.
fn almost_wav(random: &mut ChaCha8Rng) -> Vec<u8> {
    let start = b"RIFF\0\0\0\0WAVE";
    let mut bytes = match random.next_u32() % 8 {
        0 => Vec::new(),
        1..4 => start.to_vec(),
        _ => [&start[..], &chunk("fmt ", &Fmt::USUAL.bytes())].concat(),
    };
    for _ in 0..random.next_u32() % 12 {
        let drawn = random.next_u64().to_le_bytes();
        match random.next_u32() % 8 {
            0 => bytes.extend(b"fmt "),
            1 => bytes.extend(b"data"),
            2 => bytes.extend(chunk("fmt ", &Fmt::USUAL.bytes())),
            3 => bytes.extend(chunk("data", &drawn)),
            4 => bytes.extend(u32::MAX.to_le_bytes()),
            5 => bytes.extend(random_fmt(random)),
            6 => bytes.extend((random.next_u32() % 64).to_le_bytes()),
            _ => bytes.extend(drawn),
        }
    }
    bytes
}

fn random_fmt(random: &mut ChaCha8Rng) -> Vec<u8> {
    let drawn = random.next_u64().to_le_bytes();
    let fmt = Fmt {
        tag: [1, 3, 0xfffe][usize::from(drawn[0] % 3)],
        channels: drawn[1].into(),
        rate: u32::from_le_bytes([drawn[2], drawn[3], drawn[4] % 8, 0]),
        bits: u16::from(drawn[5] % 5) * 8,
    };
    chunk("fmt ", &fmt.bytes())
}

#[test]
fn random_bytes_are_read_as_finite_sound_or_refused_in_a_short_line() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut read = 0;
    for _ in 0..20_000 {
        let bytes = almost_wav(&mut random);
        match parse(&bytes) {
            Ok(recording) => {
                read += 1;
                assert!((1..=bytes.len()).contains(&recording.samples.len()), "{bytes:?}");
                assert!(recording.samples.iter().all(|sample| sample.is_finite()), "{bytes:?}");
            }
            Err(error) => {
                let line = error.to_string();
                assert!(line.len() < 500 && !line.contains(char::is_control), "{line}");
            }
        }
    }
    assert!((500..19_500).contains(&read), "{read} were read");
}

#[test]
fn what_is_stored_in_another_way_is_called_by_its_name() {
    for (tag, bits, words) in [
        (2, 4, "ADPCM"),
        (0x11, 4, "ADPCM"),
        (6, 8, "A-law"),
        (7, 8, "µ-law"),
        (0x31, 0, "GSM 6.10"),
        (0x55, 0, "MPEG audio"),
        (0x1234, 16, "the encoding 0x1234"),
        (1, 64, "whole numbers of 64 bits"),
        (3, 64, "floating-point numbers of 64 bits"),
        (3, 16, "floating-point numbers of 16 bits"),
    ] {
        let error = parse(&wav(Fmt { tag, bits, ..Fmt::USUAL }, &sound())).unwrap_err();
        assert!(matches!(&error, WavError::Encoding { name } if name == words), "{error}");
        assert!(error.to_string().contains("ffmpeg -i FILE"), "{error}");
    }
}

#[test]
fn rates_that_no_recording_has_are_refused() {
    for rate in [0, 1, 999, 384_001, u32::MAX] {
        let error = parse(&wav(Fmt { rate, ..Fmt::USUAL }, &sound())).unwrap_err();
        assert!(matches!(error, WavError::Rate(found) if found == rate), "{error}");
    }
}

#[test]
fn a_header_that_promises_more_than_there_is_takes_no_memory_for_it() {
    let mut file = wav(Fmt::USUAL, &sound());
    file[40..44].fill(0xff);
    let error = parse(&file).unwrap_err();
    assert!(matches!(error, WavError::Cut { promised: u32::MAX, there: 200 }), "{error}");
    let error =
        parse(&wav(Fmt { channels: u16::MAX, bits: 8, ..Fmt::USUAL }, &sound())).unwrap_err();
    assert!(matches!(error, WavError::Empty), "{error}");
}

#[test]
fn a_second_of_more_bytes_than_32_bits_count_is_read_as_any_other() {
    let fmt = Fmt { channels: u16::MAX, bits: 8, rate: 384_000, ..Fmt::USUAL };
    let recording = parse(&wav(fmt, &vec![192; usize::from(u16::MAX)])).unwrap();
    assert_eq!((recording.samples, recording.rate), (vec![0.5], 384_000));
}

#[test]
fn files_without_sound_without_channels_or_without_parts_are_refused() {
    let fmt = chunk("fmt ", &Fmt::USUAL.bytes());
    let empty = parse(&wav(Fmt::USUAL, &[])).unwrap_err();
    assert!(matches!(empty, WavError::Empty), "{empty}");
    for broken in [
        wav(Fmt { channels: 0, ..Fmt::USUAL }, &sound()),
        riff(&[chunk("data", &sound()), fmt.clone()]),
        riff(&[fmt]),
        riff(&[chunk("fmt ", &[1, 0, 1, 0]), chunk("data", &sound())]),
        riff(&[]),
    ] {
        let error = parse(&broken).unwrap_err();
        assert!(matches!(error, WavError::Broken(_)), "{error}");
    }
}

#[test]
fn a_sample_that_is_no_number_is_counted() {
    for value in [f32::NAN, f32::INFINITY] {
        let mut data = vec![0; 400];
        data[48..52].copy_from_slice(&value.to_le_bytes());
        let file = wav(Fmt { tag: 3, bits: 32, channels: 2, ..Fmt::USUAL }, &data);
        let error = parse(&file).unwrap_err();
        assert!(matches!(error, WavError::NotFinite { place: 12, .. }), "{error}");
    }
}

#[test]
fn every_recipe_names_the_file() {
    let folder = folder_with("low/x.WAV", b"OggS and no more");
    for recipe in ["gan", "cgan", "classify"] {
        let error = data_error(refused(recipe, folder.path()));
        let DataError::Recording { path, problem } = &error else { panic!("{error}") };
        assert!(
            path.ends_with("low/x.WAV") && matches!(problem, WavError::NotWav { .. }),
            "{error}"
        );
    }
}

// --- Folders ---------------------------------------------------------------------------------

#[test]
fn pictures_and_recordings_do_not_mix() {
    let folder = folder_with("low/again.wav", &tone_file(300.0));
    save(folder.path(), "low/cover.png", &RgbImage::new(4, 4));
    let error = load_error(folder.path());
    assert!(matches!(error, DataError::Mixed { .. }), "{error}");
}

#[test]
fn sound_in_another_format_is_named_and_not_passed_over() {
    for name in ["high/a.flac", "b.Mp3"] {
        let error = load_error(folder_with(name, b"").path());
        assert!(
            matches!(&error, DataError::OtherSound { path } if path.ends_with(name)),
            "{error}"
        );
    }
    let alone = TempDir::new().unwrap();
    fs::write(alone.path().join("a.ogg"), "").unwrap();
    assert!(matches!(load_error(alone.path()), DataError::OtherSound { .. }));
}

#[test]
fn more_recordings_than_memory_holds_as_images_are_refused_unread() {
    let folder = TempDir::new().unwrap();
    for name in ["a.wav", "b.wav"] {
        fs::write(folder.path().join(name), "no recording").unwrap();
    }
    let error = images::load(folder.path().to_str(), 1 << 16).unwrap_err();
    assert!(matches!(error, DataError::TooMany { limit: 1, .. }), "{error}");
}

#[test]
fn a_recording_beside_the_folders_of_classes_is_named() {
    let error = load_error(folder_with("x.wav", &tone_file(300.0)).path());
    assert!(
        matches!(&error, DataError::OutsideOfClasses { path } if path.ends_with("x.wav")),
        "{error}"
    );
}

#[test]
fn classes_and_folders_of_too_few_recordings_are_named() {
    let folder = TempDir::new().unwrap();
    fill(folder.path(), &["high", "low"], 6);
    fill(folder.path(), &["few"], 5);
    let error = load_error(folder.path());
    let DataError::TooFewRecordings { folder, found: 5 } = &error else { panic!("{error}") };
    assert!(folder.ends_with("few"), "{error}");

    let folder = TempDir::new().unwrap();
    fill(folder.path(), &["."], 5);
    assert!(matches!(load_error(folder.path()), DataError::TooFewRecordings { found: 5, .. }));

    // So few can be split, but not scored.
    fill(folder.path(), &["."], 30);
    let error = data_error(refused("gan", folder.path()));
    assert!(matches!(error, DataError::Unscorable { train: 25, test: 5, .. }), "{error}");
}

#[test]
fn a_class_in_one_part_of_a_split_alone_is_named() {
    for (lacking, other) in [("test", "train"), ("train", "test")] {
        let folder = TempDir::new().unwrap();
        fill(folder.path(), &["train/hum", "test/hum"], 6);
        fill(folder.path(), &[&format!("{other}/ring")], 6);
        let error = load_error(folder.path());
        let DataError::NoRecordings { folder } = &error else { panic!("{error}") };
        assert!(folder.ends_with(format!("{lacking}/ring")), "{error}");
    }
}

#[test]
fn one_class_or_none_is_nothing_to_tell_apart() {
    let folder = TempDir::new().unwrap();
    fill(folder.path(), &["all"], 40);
    for recipe in ["cgan", "classify"] {
        let error = data_error(refused(recipe, folder.path()));
        assert!(matches!(&error, DataError::OneClass { class } if class == "all"), "{error}");
        let error = refused(recipe, &folder.path().join("all"));
        assert!(error.to_string().contains("WAV files in folders by class"), "{error}");
    }
}

#[test]
fn more_classes_than_labels_are_refused() {
    let folder = TempDir::new().unwrap();
    let file = tone_file(300.0);
    for class in 0..257 {
        fs::create_dir(folder.path().join(class.to_string())).unwrap();
        fs::write(folder.path().join(class.to_string()).join("a.wav"), &file).unwrap();
    }
    assert!(matches!(load_error(folder.path()), DataError::TooMany { limit: 256, .. }));
}

// --- sound.json ------------------------------------------------------------------------------

fn settings_error(text: &str) -> SettingsError {
    let folder = folder_with("sound.json", text.as_bytes());
    let DataError::SoundSettings { path, problem } = load_error(folder.path()) else {
        panic!("{text}")
    };
    assert!(path.ends_with("sound.json"));
    problem
}

#[test]
fn settings_out_of_range_are_named() {
    for (text, setting) in [
        (r#"{"sample_rate_hz": 0}"#, "sample_rate_hz"),
        (r#"{"sample_rate_hz": 4294967295}"#, "sample_rate_hz"),
        (r#"{"length_ms": 0}"#, "length_ms"),
        (r#"{"length_ms": 4000000000}"#, "length_ms"),
        (r#"{"window_samples": 0}"#, "window_samples"),
        (r#"{"window_samples": 99999999999}"#, "window_samples"),
        (r#"{"low_hz": 8000}"#, "low_hz"),
        (r#"{"high_hz": 8001}"#, "high_hz"),
        (r#"{"floor_db": 80}"#, "floor_db"),
    ] {
        let error = settings_error(text);
        assert!(matches!(error, SettingsError::Range { key, .. } if key == setting), "{error}");
    }
}

#[test]
fn settings_that_do_not_fit_each_other_or_are_none_are_refused() {
    let window = settings_error(r#"{"window_samples": 1024}"#);
    assert!(matches!(window, SettingsError::Window { window: 1_024, hop: 2_285, .. }), "{window}");
    let odd = settings_error(r#"{"window_samples": 5001}"#);
    assert!(matches!(odd, SettingsError::Odd { window: 5_001 }), "{odd}");
    let narrow = settings_error(r#"{"length_ms": 10, "window_samples": 64, "high_hz": 500}"#);
    assert!(matches!(narrow, SettingsError::EmptyBand { window: 64, .. }), "{narrow}");
    for text in ["", "[]", "{", r#"{"rate": 8000}"#, r#"{"length_ms": "1 s"}"#, r#"{"low_hz": -1}"#]
    {
        assert!(matches!(settings_error(text), SettingsError::Json(_)), "{text}");
    }
}
