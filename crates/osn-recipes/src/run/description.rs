//! `run.json`: what ran, on what, and how it ended.

use std::time::{SystemTime, UNIX_EPOCH};

use osn_core::View;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Checkpoints;
use super::Metrics;
use super::record::{number, numbers};

/// The version of the files' meaning; it changes when the meaning of a field does.
pub const SCHEMA: u32 = 1;

/// What a run learns from, for people and as a mark of every byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainedOn {
    /// Where it comes from.
    pub source: String,
    /// The name of a data set or the whole path of a folder, by which the same is loaded from anywhere;
    /// absent where there are no files.
    pub name: Option<String>,
    /// SHA-256 of the images, in hexadecimal digits; absent where there are none.
    pub sha256: Option<String>,
}

impl TrainedOn {
    /// What tells it from other data, as [`RunDescription::data_identity`].
    pub fn identity(&self) -> &str {
        self.sha256.as_deref().unwrap_or(&self.source)
    }

    /// What has a name and no files.
    pub fn named(source: &str) -> Self {
        Self { source: source.to_owned(), name: None, sha256: None }
    }
}

/// Everything that `run.json` holds.
///
/// As in the record, a number that is not finite is written as `null` and read back as NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunDescription {
    /// The version of the files' meaning, [`SCHEMA`].
    pub schema: u32,
    /// The recipe's name.
    pub recipe: String,
    /// The preset that the config started from.
    pub preset: String,
    /// What decided: the text of a rule, or the name of a file of rules.
    pub decide: String,
    /// The rules themselves with all their parameters; absent in older files.
    #[serde(default)]
    pub rules: Value,
    /// What every weight is seen as, where that was asked for; absent in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
    /// The seed of everything random.
    pub seed: u64,
    /// Where the training images came from, for people.
    pub data: String,
    /// SHA-256 of the images, in hexadecimal digits; absent where there are none, and in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sha256: Option<String>,
    /// What the data were loaded by, a folder by its whole path; absent where there are none, and in
    /// older files where none were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_data: Option<String>,
    /// The device that trained.
    pub device: String,
    /// The whole config after presets and settings.
    pub config: Value,
    /// When checkpoints are written, and how many stay.
    #[serde(default)]
    pub checkpoints: Checkpoints,
    /// What was built.
    pub versions: Versions,
    /// What it ran on.
    pub machine: Machine,
    /// When the run started, in seconds since 1970.
    pub started_unix_secs: u64,
    /// How it ended, if it has.
    pub status: RunStatus,
    /// Why it failed or was interrupted, if it has been.
    pub error: Option<String>,
    /// What it came to; absent while it runs.
    pub totals: Option<Totals>,
}

impl RunDescription {
    /// The same of a run on these data.
    #[must_use]
    pub fn on(self, data: &TrainedOn) -> Self {
        let TrainedOn { source, name, sha256 } = data.clone();
        Self { data: source, asked_data: name, data_sha256: sha256, ..self }
    }

    /// What tells its data from others: the digest of every byte, or, where there are no bytes, their
    /// name. Where a folder lies or how it was spelled is not in it.
    pub fn data_identity(&self) -> &str {
        self.data_sha256.as_deref().unwrap_or(&self.data)
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It goes on, or was killed.
    Running,
    /// It did all its steps.
    Finished,
    /// Its user stopped it; the record is complete up to there.
    Stopped,
    /// Something outside ended it, such as a full disk: that says nothing of its rules.
    Interrupted,
    /// Its training went wrong, and would again.
    Failed,
}

/// What was built: two builds that differ in any of this may differ in what they compute.
///
/// What an older file lacks is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Versions {
    /// This project's version.
    pub osn: String,
    /// The last commit that changed what a run is computed by (the crates `osn-core`, `osn` and
    /// `osn-recipes`, and the lock file), and whether it was changed since.
    pub commit: String,
    /// SHA-256 of these sources.
    pub sources: String,
    /// SHA-256 of `Cargo.lock`.
    pub lock: String,
    /// The version of Burn, as the lock file has it.
    pub burn: String,
    /// SHA-256 of the weights of the network that scores images.
    pub feature_network: String,
    /// The compiler.
    pub rustc: String,
    /// The processor features that the build may use: they change the last bits of sums.
    pub target_features: Vec<String>,
}

impl Versions {
    /// What is not the same in another build, each as "Burn was 0.22.0 and is 0.22.1".
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let both = self.named().into_iter().zip(now.named());
        both.filter_map(|((name, before), (_, now))| difference(name, &before, &now)).collect()
    }

    /// Each part in the words of a message.
    fn named(&self) -> [(&'static str, String); 8] {
        [
            ("osn", self.osn.clone()),
            ("commit", self.commit.clone()),
            ("sources", self.sources.clone()),
            ("lock file", self.lock.clone()),
            ("Burn", self.burn.clone()),
            ("feature network", self.feature_network.clone()),
            ("compiler", self.rustc.clone()),
            ("target features", self.target_features.join(" ")),
        ]
    }

    /// The versions of this build, as its build script found them.
    pub fn of_this_build() -> Self {
        Self {
            osn: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("OSN_COMMIT").to_owned(),
            sources: env!("OSN_SOURCES").to_owned(),
            lock: env!("OSN_LOCK").to_owned(),
            burn: env!("OSN_BURN").to_owned(),
            feature_network: env!("OSN_FEATURES").to_owned(),
            rustc: env!("OSN_RUSTC").to_owned(),
            target_features: target_features().into_iter().map(str::to_owned).collect(),
        }
    }
}

/// What was and what is, where they differ.
fn difference(name: &str, before: &str, now: &str) -> Option<String> {
    (before != now).then(|| format!("{name} was {} and is {}", brief(before), brief(now)))
}

/// Of a digest or a commit as much as tells it from others.
pub(crate) fn brief(text: &str) -> String {
    let n_digits = text.chars().take_while(char::is_ascii_hexdigit).count();
    match text {
        "" => "unknown".to_owned(),
        _ if n_digits >= 40 => format!("{}{}", &text[..12], &text[n_digits..]),
        _ => text.to_owned(),
    }
}

fn target_features() -> Vec<&'static str> {
    [
        (cfg!(target_feature = "avx2"), "avx2"),
        (cfg!(target_feature = "fma"), "fma"),
        (cfg!(target_feature = "avx512f"), "avx512f"),
        (cfg!(target_feature = "neon"), "neon"),
    ]
    .into_iter()
    .filter_map(|(is_on, name)| is_on.then_some(name))
    .collect()
}

#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    [
        (std::arch::is_x86_feature_detected!("avx2"), "avx2"),
        (std::arch::is_x86_feature_detected!("fma"), "fma"),
        (std::arch::is_x86_feature_detected!("avx512f"), "avx512f"),
    ]
    .into_iter()
    .filter_map(|(is_there, name)| is_there.then_some(name))
    .collect()
}

/// Other processors are told apart by their architecture.
#[cfg(not(target_arch = "x86_64"))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

/// The machine that a run ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The operating system.
    pub os: String,
    /// The processor's architecture.
    pub arch: String,
    /// Threads that can run at once; 0 where the system does not say.
    pub n_cores: usize,
    /// The features of the processor that libraries look for while they run: they change the last bits
    /// of sums. Absent in older files.
    #[serde(default)]
    pub features: Vec<String>,
}

impl Machine {
    /// What of another machine may change the last bits of sums; how many cores it has does not.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let parts = |it: &Self| [it.os.clone(), it.arch.clone(), it.features.join(" ")];
        let names = ["operating system", "processor", "processor's features"];
        let both = names.into_iter().zip(parts(self).into_iter().zip(parts(now)));
        both.filter_map(|(name, (before, now))| difference(name, &before, &now)).collect()
    }

    /// Describes the machine that this runs on.
    pub fn here() -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            n_cores: std::thread::available_parallelism().map_or(0, usize::from),
            features: features().into_iter().map(str::to_owned).collect(),
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Optimizer steps done.
    pub steps: u64,
    /// Seconds from start to end.
    pub wall_secs: f64,
    /// The last scores.
    #[serde(deserialize_with = "numbers")]
    pub metrics: Metrics,
    /// The same scores of real data against real data.
    #[serde(deserialize_with = "numbers")]
    pub floor: Metrics,
    /// Each layer as it was at the end.
    pub layers: Vec<LayerSummary>,
}

/// One layer at the end of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerSummary {
    /// The network that holds the layer.
    pub network: String,
    /// The weight's path in it.
    pub path: String,
    /// The estimate of the stored weight's largest singular value.
    #[serde(deserialize_with = "number")]
    pub sigma: f64,
    /// The σ that the last action aims at.
    pub target: Option<f64>,
    /// The factor between the stored and the effective weight.
    #[serde(deserialize_with = "number")]
    pub scale: f64,
    /// How strongly it is held, from 0 to 1.
    #[serde(deserialize_with = "number")]
    pub elasticity: f64,
    /// The last action's name.
    pub action: String,
    /// How many decisions changed its action.
    pub n_decisions: u64,
}

/// Seconds since 1970 by this machine's clock, 0 where that is before 1970.
pub fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_knows_its_sources_its_lock_file_and_burn_as_the_lock_file_has_it() {
        let build = Versions::of_this_build();
        let is_digest =
            |text: &str| text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit());
        assert!(is_digest(&build.sources) && is_digest(&build.feature_network), "{build:?}");
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
        let lock = std::fs::read_to_string(lock).unwrap();
        assert!(is_digest(&build.lock), "{build:?}");
        let burn = format!("name = \"burn\"\nversion = \"{}\"\n", build.burn);
        assert!(lock.contains(&burn), "{burn}");
        assert!(build.rustc.starts_with("1."), "{build:?}");
    }

    #[test]
    fn every_part_of_another_build_is_named() {
        let build = Versions::of_this_build();
        let tree = serde_json::to_value(&build).unwrap();
        for key in tree.as_object().unwrap().keys() {
            let mut other = tree.clone();
            let list = other[key].is_array();
            other[key] = if list { serde_json::json!(["abacus"]) } else { "another".into() };
            let other: Versions = serde_json::from_value(other).unwrap();
            let found = other.differences(&build);
            let word = if list { "was abacus and is " } else { "was another and is " };
            assert!(found.len() == 1 && found[0].contains(word), "{key}: {found:?}");
        }
        assert!(build.differences(&build).is_empty());
        // A file from before it was known.
        let old: Versions = serde_json::from_str(r#"{"osn":"0.1.0","burn":"0.22.1"}"#).unwrap();
        let found = old.differences(&build).join(", ");
        assert!(found.contains("lock file was unknown and is "), "{found}");
    }

    #[test]
    fn of_another_machine_only_what_changes_sums_is_named() {
        let here = Machine::here();
        let more = Machine { n_cores: here.n_cores + 1, ..here.clone() };
        assert!(more.differences(&here).is_empty());
        let other = Machine { arch: "abacus".into(), features: Vec::new(), ..here.clone() };
        assert!(other.differences(&here)[0].starts_with("processor was abacus and is "));
    }

    #[test]
    fn a_digest_is_shown_by_its_first_digits_and_a_word_as_it_is() {
        let commit = "0123456789abcdef0123456789abcdef01234567 with changes";
        assert_eq!(brief(commit), "0123456789ab with changes");
        assert_eq!((brief("0.22.1").as_str(), brief("").as_str()), ("0.22.1", "unknown"));
    }
}
