//! What was built and where it runs: what may change the last bits of a sum.

use serde::{Deserialize, Serialize};

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
    /// The differences of another build, each as "Burn was 0.22.0 and is 0.22.1".
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let both = self.named().into_iter().zip(now.named());
        both.filter_map(|((name, before), (_, now))| difference(name, &before, &now)).collect()
    }

    /// Each part with its name in a message.
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

/// The old and the new value, where they differ.
fn difference(name: &str, before: &str, now: &str) -> Option<String> {
    (before != now).then(|| format!("{name} was {} and is {}", brief(before), brief(now)))
}

/// The first digits of a digest or a commit; any other text as it is.
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

/// The name of the processor: a line of the first core's paragraph.
fn processor() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The machine that a run ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The operating system.
    pub os: String,
    /// The processor's architecture.
    pub arch: String,
    /// The processor's name, as Linux has it; empty elsewhere and in older files.
    #[serde(default)]
    pub processor: String,
    /// Threads that can run at once; 0 where the system does not say.
    pub n_cores: usize,
    /// Threads that a run computes with, which can change the last bits of long sums; 0 in older files.
    #[serde(default)]
    pub threads: usize,
    /// The features of the processor that libraries look for while they run: they change the last bits
    /// of sums. Absent in older files.
    #[serde(default)]
    pub features: Vec<String>,
}

impl Machine {
    /// The differences of another machine that may change the last bits of sums; the number of cores
    /// does not.
    pub(crate) fn differences(&self, now: &Self) -> Vec<String> {
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
            processor: processor().unwrap_or_default(),
            threads: rayon::current_num_threads(),
            n_cores: std::thread::available_parallelism().map_or(0, usize::from),
            features: features().into_iter().map(str::to_owned).collect(),
        }
    }
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
