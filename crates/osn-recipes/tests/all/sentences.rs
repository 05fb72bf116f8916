//! What people read: the sentences in which requests, data and runs are refused, in one place.
//!
//! Where a better word is found, `INSTA_UPDATE=always cargo test --release --workspace --test all sentences` takes it
//! over.

use std::fmt::{Display, Write};
use std::io;
use std::path::{Path, PathBuf};

use crate::files::text::language;
use osn_recipes::data::error::DataError;
use osn_recipes::data::idx::IdxError;
use osn_recipes::data::sound::settings::SettingsError;
use osn_recipes::data::sound::wav_error::WavError;
use osn_recipes::data::text::error::{LineFault, TextError};
use osn_recipes::run::checkpoint::contents::ContentsError;
use osn_recipes::run::checkpoint::error::CheckpointError;
use osn_recipes::run::error::{NonFinite, RunError};
use osn_recipes::run::request::TrainRequest;
use osn_runs::folder_error::FolderError;
use osn_runs::record::RecordError;

/// Compares with `snapshots/`, which holds no code of this file.
macro_rules! assert_said {
    ($lines:expr) => {
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!($lines) })
    };
}

/// What was asked, each with the sentence that refuses it.
fn refused(requests: &[&str]) -> String {
    let mut all = String::new();
    for asked in requests {
        let mut words = asked.split(' ');
        let recipe = words.next().unwrap().to_owned();
        let mut request = TrainRequest { recipe, ..TrainRequest::default() };
        for word in words {
            match word.split_once('=').unwrap() {
                ("--preset", value) => request.preset = Some(value.to_owned()),
                ("--decide", value) => request.decide = Some(value.to_owned()),
                ("--device", value) => request.device = Some(value.to_owned()),
                ("--data", value) => request.data = Some(value.to_owned()),
                (key, value) => request.settings.push((key.to_owned(), value.to_owned())),
            }
        }
        let error = crate::runs::bad_input(osn_recipes::describe(&request).unwrap_err());
        writeln!(all, "{asked}\n    {error}").unwrap();
    }
    all
}

fn lines(errors: &[&dyn Display]) -> String {
    errors.iter().flat_map(|error| [error.to_string(), "\n".to_owned()]).collect()
}

#[test]
fn names() {
    assert_said!(refused(&[
        "gann",
        "gan --preset=large",
        "gan --device=abacus",
        "control --data=photos",
        "gan --decide=perhaps",
        "gan --decide=no/such.toml",
        "gan --decide=always@sideways",
        "gan --decide=plateau:metric=frechett",
        "control --decide=auto:task=classify",
        "classify steps=100 eval_every=50 --decide=schedule:on=100",
        "classify steps=100 eval_every=50 --decide=plateau:metric=accuracy,interval=100",
    ]));
}

#[test]
fn settings() {
    assert_said!(refused(&[
        "gan stepz=1",
        "gan qqqq=1",
        "gan steps=abc",
        "gan steps=-3",
        "gan beta_1=NaN",
        "gan objective=cross_entropy",
        "translate hold_generator=yes",
        "control hidden_sizes=a,b",
        "classify train_images=some",
        "nmt norm=middle",
        "nmt target=e_n!",
        "gan steps=0",
        "gan batch_size=8193",
        "gan learning_rate=-1e300",
        "translate l1_weight=-1",
        "gan ema=1",
        "gan leaky_slope=1e39",
        "gan image_size=30",
        "gan image_size=512 g_channels=1024",
        "control hidden_sizes=8,0",
        "classify stage_channels=[]",
        "classify hidden_sizes=8",
        "classify batch_norm=false batch_norm_momentum=0.5",
        "control explore_start=0.05 explore_steps=7",
        "control explore_steps=0 explore_start=0.5",
        "gan steps=500 saturated_after=2000",
        "nmt source=de",
        "nmt heads=3",
        "nmt vocabulary=100",
        "nmt max_length=4096 batch_size=8192",
        "nmt length_penalty=1e9",
        "nmt change_at=9",
        "nmt change_factor=2",
        "nmt beam=1 length_penalty=1",
    ]));
}

#[test]
fn data() {
    let path = |name: &str| PathBuf::from(name);
    let (name, file) = (|| "photos".to_owned(), || "train-images-idx3-ubyte".to_owned());
    let unscorable = |test_every| DataError::Unscorable { train: 5, test: 1, test_every };
    let magic = IdxError::Magic(*b"\x89PNG");
    let recording = |problem| DataError::Recording { path: path("kick/a.wav"), problem };
    let encoding = |name: &str| WavError::Encoding { name: name.to_owned() };
    let sound = |problem| DataError::SoundSettings { path: path("sound.json"), problem };
    let (key, value, least, most) = ("window_samples", 8, 16, 65_536);
    let shape = IdxError::Shape { shape: vec![9, 9], file_bytes: 8 };
    assert_said!(lines(&[
        &DataError::Unknown { name: name() },
        &DataError::UnknownPairs { name: name() },
        &DataError::NoImages { name: "fashion-mnist-edges".to_owned() },
        &DataError::NoPairs { name: "fashion-mnist".to_owned() },
        &DataError::NotInstalled { folder: path("/usr/share/datasets/fashion-mnist") },
        &DataError::Missing { folder: path("photos"), name: file() },
        &DataError::Idx { file: file(), problem: magic },
        &DataError::Idx { file: file(), problem: shape },
        &DataError::TooMany { folder: path("photos"), what: "images of this size", limit: 9 },
        &DataError::Empty { folder: path("photos/train/input") },
        &DataError::TooFew { folder: path("photos"), found: 0 },
        &DataError::TooFew { folder: path("photos"), found: 1 },
        &unscorable(Some(6)),
        &unscorable(None),
        &DataError::NoSide { folder: path("photos/target") },
        &DataError::Unpaired { path: path("input/a.png"), partner: path("target/a.png") },
        &DataError::Misnamed { path: path("input/a.png"), other: path("target/A.png") },
        &DataError::SameName { path: path("input/é.png"), other: path("input/e\u{301}.png") },
        &DataError::PairSize {
            input: path("input/a.png"),
            input_size: (8, 8),
            target: path("target/a.png"),
            target_size: (8, 9),
        },
        &recording(WavError::NotWav { start: b"OggS".to_vec() }),
        &recording(WavError::Broken("has no samples: no chunk \"data\"")),
        &recording(WavError::Cut { promised: u32::MAX, there: 800 }),
        &recording(encoding("GSM 6.10")),
        &recording(WavError::Rate(0)),
        &recording(WavError::Empty),
        &recording(WavError::NotFinite { value: f32::NAN, place: 12 }),
        &recording(WavError::Decode("it is odd".to_owned())),
        &DataError::OtherSound { path: path("kick/a.flac") },
        &DataError::Mixed { picture: path("cover.png"), recording: path("kick/a.wav") },
        &DataError::OutsideOfClasses { path: path("a.wav") },
        &DataError::TooFewRecordings { folder: path("kick"), found: 1 },
        &DataError::TooFewRecordings { folder: path("kick"), found: 5 },
        &DataError::NoRecordings { folder: path("test/kick") },
        &DataError::OneClass { class: "kick".to_owned() },
        &sound(SettingsError::Range { key, value, least, most }),
        &sound(SettingsError::Odd { window: 1_025 }),
        &sound(SettingsError::Window { window: 512, length: 16_000, frames: 28, hop: 592 }),
        &sound(SettingsError::EmptyBand { band: 2, bands: 128, window: 256 }),
        &sound(SettingsError::Json(serde_json::from_str::<u8>("{").unwrap_err())),
    ]));
}

#[test]
fn sentences_of_two_languages() {
    let (path, name) = (|name: &str| PathBuf::from(name), || "wmt".to_owned());
    let line = |line, fault| TextError::Line { path: path("wmt/train.de"), line, fault };
    let absent = |there: &[&str]| TextError::NoLanguage {
        place: name(),
        language: language("it"),
        there: there.iter().map(|code| (*code).to_owned()).collect(),
    };
    assert_said!(lines(&[
        &TextError::Unknown { name: name() },
        &TextError::NoText { name: "fashion-mnist".to_owned() },
        &DataError::NoPictures { name: "cldr-names".to_owned() },
        &TextError::SameLanguage { language: language("de") },
        &absent(&["de", "en"]),
        &absent(&[]),
        &TextError::Missing { path: path("wmt/test.de"), others: Vec::new() },
        &TextError::Missing {
            path: path("wmt/valid.de"),
            others: vec!["val.de".to_owned(), "dev.de".to_owned()],
        },
        &TextError::Twice { path: path("wmt/test.de"), other: path("wmt/test.de.gz") },
        &TextError::Read {
            path: path("wmt/train.de.gz"),
            line: 1_200,
            problem: io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected end of file"),
        },
        &TextError::Empty { path: path("wmt/test.de") },
        &line(3, LineFault::Empty),
        &line(4, LineFault::Encoding(0xfc)),
        &line(5, LineFault::TooLong),
        &TextError::TooLarge { path: path("wmt/train.de") },
        &TextError::Unequal {
            source_path: path("wmt/train.en"),
            source_lines: 1_001,
            target_path: path("wmt/train.de"),
            target_lines: 1_000,
        },
    ]));
}

#[test]
fn runs_that_end_or_cannot_be_resumed() {
    let path = || PathBuf::from("runs/gan-auto-s1");
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    let text = |text: &str| text.to_owned();
    let damaged = |problem| CheckpointError::Damaged { path: path(), problem };
    let not_finite = |what| RunError::NonFinite { what, value: f64::NAN, step: 12 };
    let part = ContentsError::Part { name: text("clock"), problem: text("-1 is no time") };
    let (before, now) = (text("SHA-256 0123456789ab"), text("SHA-256 ba9876543210"));
    assert_said!(lines(&[
        &not_finite(NonFinite::Loss(text("generator"))),
        &not_finite(NonFinite::Layer(text("down1.weight"))),
        &not_finite(NonFinite::Part(text("generator.adam"))),
        &RunError::Saturated { below: 0.02, since: 100, step: 1_100 },
        &RunError::score(io::Error::other("the logits of an image are not finite")),
        &FolderError::Write { path: path(), source: full() },
        &FolderError::Full { path: path() },
        &FolderError::Read { path: path(), source: io::ErrorKind::NotFound.into() },
        &FolderError::Link { path: path() },
        &FolderError::InsideRun { path: path() },
        &FolderError::InUse { path: path(), pid: text("4242") },
        &RecordError::Io { path: path(), source: full() },
        &CheckpointError::None { folder: path() },
        &CheckpointError::NoneWhole { folder: path() },
        &damaged(ContentsError::Checksum),
        &damaged(ContentsError::Missing(text("record"))),
        &damaged(part),
        &CheckpointError::Record { path: path() },
        &CheckpointError::Differs { key: text("config.steps"), before: text("8"), now: text("9") },
        &CheckpointError::Build { differences: text("Burn was 0.22.0 and is 0.22.1") },
        &CheckpointError::Schema { path: path(), found: 1 },
        &CheckpointError::Data { name: text("photos"), before, now },
        &CheckpointError::NoData { path: Path::new("/photos").to_owned() },
    ]));
}
