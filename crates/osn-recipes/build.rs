//! Finds out what is being built, for `run.json`: the commit, the sources, the lock file, Burn, the
//! compiler. Without git or without the other crates beside it, it says so and goes by what is there.
//! `tests/build_script.rs` tests it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// The crates that a run's numbers come from.
const CRATES: [&str; 4] = ["osn-core", "osn", "osn-runs", "osn-recipes"];
/// The weights of the network that scores images.
const FEATURES: &str = "assets/features/fashion_mnist.safetensors";

fn main() -> io::Result<()> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let (inputs, lock) = (inputs(&here), lock_file(&here));
    let commit = Git::of(&here).and_then(|git| git.commit(&inputs, lock.as_deref()));
    let lock_text = lock.as_deref().map(fs::read_to_string).transpose()?;
    let of_lock = lock_text.as_deref().map(|text| hex(&Sha256::digest(text)));
    tell("COMMIT", commit.as_deref().unwrap_or("unknown commit"));
    tell("SOURCES", &digest(&inputs)?);
    tell("LOCK", of_lock.as_deref().unwrap_or("no lock file"));
    tell("BURN", lock_text.as_deref().and_then(burn_version).unwrap_or("unknown"));
    tell("FEATURES", &hex(&Sha256::digest(fs::read(here.join(FEATURES))?)));
    tell("RUSTC", compiler().as_deref().unwrap_or("unknown"));
    inputs.iter().chain(&lock).for_each(|path| watch(path));
    Ok(())
}

fn tell(name: &str, value: &str) {
    println!("cargo:rustc-env=OSN_{name}={value}");
}

fn watch(path: &Path) {
    println!("cargo:rerun-if-changed={}", path.display());
}

/// The files and folders that decide what a run computes: of this crate alone where it is packaged, of
/// all that it is built from where it is in its workspace.
pub(crate) fn inputs(here: &Path) -> Vec<PathBuf> {
    let beside = here.parent().unwrap_or(here);
    let is_workspace = CRATES.iter().all(|name| beside.join(name).join("Cargo.toml").is_file());
    let folders = if is_workspace {
        CRATES.iter().map(|name| beside.join(name)).collect()
    } else {
        vec![here.to_owned()]
    };
    let parts = ["src", "assets", "build.rs", "Cargo.toml"];
    let mut inputs: Vec<_> =
        folders.iter().flat_map(|folder| parts.map(|part| folder.join(part))).collect();
    if let Some(root) = beside.parent().filter(|_| is_workspace) {
        inputs.extend(["Cargo.toml", ".cargo/config.toml"].map(|part| root.join(part)));
    }
    // Cargo runs this again at every build for a path that is not there.
    inputs.retain(|path| path.exists());
    inputs
}

/// That of the workspace, or the one that a packaged crate brings along.
pub(crate) fn lock_file(here: &Path) -> Option<PathBuf> {
    here.ancestors().map(|folder| folder.join("Cargo.lock")).find(|path| path.is_file())
}

pub(crate) fn burn_version(lock: &str) -> Option<&str> {
    let package = lock.split("[[package]]").find(|it| it.contains("\nname = \"burn\"\n"))?;
    let line = package.lines().find_map(|line| line.strip_prefix("version = "))?;
    Some(line.trim_matches('"'))
}

/// The compiler's version, without its name.
fn compiler() -> Option<String> {
    let said = output(Command::new(std::env::var_os("RUSTC")?).arg("--version"))?;
    Some(said.strip_prefix("rustc ").unwrap_or(&said).to_owned())
}

/// One digest of all files, which says where each begins; it does not depend on where they lie.
pub(crate) fn digest(inputs: &[PathBuf]) -> io::Result<String> {
    let mut all = Sha256::new();
    for (place, input) in inputs.iter().enumerate() {
        for file in files(input)? {
            let bytes = fs::read(&file)?;
            let name = file.strip_prefix(input).unwrap_or(&file).components();
            let name: Vec<_> = name.map(|part| part.as_os_str().to_string_lossy()).collect();
            all.update(format!("{place} {}\0{}\0", name.join("/"), bytes.len()));
            all.update(bytes);
        }
    }
    Ok(hex(&all.finalize()))
}

/// The files below a folder in the order of their paths, or the file itself.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut inside: Vec<_> =
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    inside.sort();
    let files: Vec<_> = inside.iter().map(|path| files(path)).collect::<io::Result<_>>()?;
    Ok(files.concat())
}

fn hex(digest: &impl std::fmt::LowerHex) -> String {
    format!("{digest:x}")
}

/// The repository that this crate is tracked in.
pub(crate) struct Git<'a> {
    here: &'a Path,
}

impl<'a> Git<'a> {
    /// None without git, and where the crate only lies inside somebody else's repository.
    pub(crate) fn of(here: &'a Path) -> Option<Self> {
        let git = Self { here };
        git.run(&["ls-files", "--error-unmatch", "Cargo.toml"], &[])?;
        Some(git)
    }

    /// The last commit that changed any of the inputs, and whether they were changed since. A commit of
    /// other files does not make another program.
    pub(crate) fn commit(&self, inputs: &[PathBuf], lock: Option<&Path>) -> Option<String> {
        for file in ["HEAD", "logs/HEAD"] {
            let path = self.here.join(self.run(&["rev-parse", "--git-path", file], &[])?);
            if path.exists() {
                watch(&path);
            }
        }
        let paths: Vec<&Path> = inputs.iter().map(PathBuf::as_path).chain(lock).collect();
        let commit = self.run(&["log", "-1", "--format=%H"], &paths)?;
        let changes = self.run(&["status", "--porcelain", "--untracked-files=all"], &paths)?;
        let changed = if changes.is_empty() { "" } else { " with changes" };
        (!commit.is_empty()).then(|| format!("{commit}{changed}"))
    }

    fn run(&self, words: &[&str], paths: &[&Path]) -> Option<String> {
        let mut git = Command::new("git");
        git.arg("--no-optional-locks").arg("-C").arg(self.here).args(words);
        if !paths.is_empty() {
            git.arg("--").args(paths);
        }
        // Of another repository, where this is built by one of its hooks.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            git.env_remove(name);
        }
        output(&mut git)
    }
}

/// What a program says, if it is there and ends well.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
