//! A file that a command writes to the path that a person has typed.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::atomic::{AtomicFile, folder_of};

/// Links that are followed one behind the other, as Linux follows them.
const MAX_LINKS: usize = 40;

/// A file that is being written: it appears under its name whole, by [`OutputFile::keep`], or not at
/// all.
///
/// Only a regular file comes of it, where nothing or a regular file was before. A link to a regular
/// file stays a link. All else is refused: pipes, devices, folders, links to nothing.
#[derive(Debug)]
pub struct OutputFile {
    /// As it was typed.
    path: PathBuf,
    /// Written to where that is, without links.
    content: AtomicFile,
}

/// Why a file cannot be written; what was there before still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// `-` often stands for standard output, and a file of that name is hardly meant.
    #[error("'-' is no file, and nothing is written to standard output; give a path (./- is one)")]
    Dash,
    /// It is a folder, or ends like one.
    #[error("{} is a folder; give a file in it", path.display())]
    Folder {
        /// As it was typed.
        path: PathBuf,
    },
    /// It is a pipe, a device or a socket, or leads to one.
    #[error(
        "{} is no regular file; give the name of one, which is written whole or not at all",
        path.display()
    )]
    NotAFile {
        /// As it was typed.
        path: PathBuf,
    },
    /// It is a link that leads nowhere.
    #[error("{} is a link to nothing; give the file itself", path.display())]
    Dangling {
        /// As it was typed.
        path: PathBuf,
    },
    /// The folder that it is to be in is not there.
    #[error("{} cannot be written: there is no folder {}; make it first", path.display(), folder.display())]
    NoFolder {
        /// As it was typed.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// It is one of the files that are read.
    #[error("{} is the input itself; give another file to write to", path.display())]
    Input {
        /// As it was typed.
        path: PathBuf,
    },
    /// There is a file that may not be written.
    #[error("{} is read-only; give another file, or make it writable", path.display())]
    ReadOnly {
        /// As it was typed.
        path: PathBuf,
    },
    /// Another error of the system.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// As it was typed.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl OutputError {
    /// Whether another path would do, as opposed to a system that fails.
    pub fn is_bad_path(&self) -> bool {
        !matches!(self, Self::Write { .. })
    }
}

/// Writes a whole file to a path that a person has typed.
///
/// # Errors
///
/// [`OutputError`]; what was there before then still is.
pub fn write(path: &Path, content: &[u8]) -> Result<(), OutputError> {
    let mut output = OutputFile::create(path, &[])?;
    let written = output.file().write_all(content);
    written.map_err(|source| OutputError::Write { path: path.to_owned(), source })?;
    output.keep()
}

impl OutputFile {
    /// Begins a file, which must be none of `inputs`, whatever links lead to them.
    ///
    /// # Errors
    ///
    /// [`OutputError`] for a path that is no regular file, or cannot be one.
    pub fn create(path: &Path, inputs: &[&Path]) -> Result<Self, OutputError> {
        let failed = |source| OutputError::Write { path: path.to_owned(), source };
        let (place, existing) = place_of(path)?;
        if let Some(existing) = &existing {
            if inputs.iter().any(|input| is_same(&place, existing, input)) {
                return Err(OutputError::Input { path: path.to_owned() });
            }
            if existing.permissions().readonly() {
                return Err(OutputError::ReadOnly { path: path.to_owned() });
            }
        }
        let mut content = AtomicFile::create(place).map_err(failed)?;
        if let Some(existing) = existing {
            content.file().set_permissions(existing.permissions()).map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), content })
    }

    /// The file to write to.
    pub fn file(&mut self) -> &mut File {
        self.content.file()
    }

    /// Puts what was written in the place of what was there, once it is on the disk.
    ///
    /// # Errors
    ///
    /// [`OutputError::Write`] where the system fails.
    pub fn keep(self) -> Result<(), OutputError> {
        let Self { path, content } = self;
        content.keep().map_err(|source| OutputError::Write { path, source })
    }
}

/// The path without links, and what is there.
fn place_of(path: &Path) -> Result<(PathBuf, Option<Metadata>), OutputError> {
    let typed = || path.to_owned();
    let text = path.as_os_str().to_string_lossy();
    if text == "-" {
        return Err(OutputError::Dash);
    }
    if text.is_empty()
        || text.ends_with(['/', std::path::MAIN_SEPARATOR])
        || path.file_name().is_none()
    {
        return Err(OutputError::Folder { path: typed() });
    }
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((new_place(path)?, None));
        }
        Err(source) => return Err(OutputError::Write { path: typed(), source }),
    };
    if found.is_symlink() && leads_through_the_system(path) {
        return Err(OutputError::NotAFile { path: typed() });
    }
    let dangling = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => OutputError::Dangling { path: typed() },
        _ => OutputError::Write { path: typed(), source: error },
    };
    let place = path.canonicalize().map_err(dangling)?;
    let found = fs::symlink_metadata(&place).map_err(dangling)?;
    if found.is_dir() {
        return Err(OutputError::Folder { path: typed() });
    }
    if !found.is_file() {
        return Err(OutputError::NotAFile { path: typed() });
    }
    Ok((place, Some(found)))
}

/// Where a new file would be.
fn new_place(path: &Path) -> Result<PathBuf, OutputError> {
    let folder = folder_of(path);
    let no_folder = || OutputError::NoFolder { path: path.to_owned(), folder: folder.to_owned() };
    let whole = folder.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => no_folder(),
        _ => OutputError::Write { path: path.to_owned(), source: error },
    })?;
    if !whole.is_dir() {
        return Err(no_folder());
    }
    Ok(whole.join(path.file_name().unwrap_or_default()))
}

/// Whether one of the links on the way is the system's own, as `/dev/stdout` is: it leads to whatever
/// a process has open.
fn leads_through_the_system(path: &Path) -> bool {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = fs::read_link(&path) else { return false };
        let folder = folder_of(&path).canonicalize().unwrap_or_default();
        if folder == Path::new("/dev") || folder.starts_with("/proc") {
            return true;
        }
        path = folder.join(target);
    }
    false
}

/// Whether the file at `place` is also called `input`; two names of one file are one file.
fn is_same(place: &Path, existing: &Metadata, input: &Path) -> bool {
    if input.canonicalize().is_ok_and(|input| input == place) {
        return true;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let same = |it: Metadata| (it.dev(), it.ino()) == (existing.dev(), existing.ino());
        fs::metadata(input).is_ok_and(same)
    }
    #[cfg(not(unix))]
    {
        let _ = existing;
        false
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn an_output_is_a_regular_file_or_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let count = || fs::read_dir(folder.path()).unwrap().count();
        let refused = |path: &Path| OutputFile::create(path, &[&at("in")]).unwrap_err();
        fs::write(at("in"), "input").unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        symlink("/dev/null", at("null")).unwrap();
        symlink("/proc/self/fd/1", at("stdout")).unwrap();
        fs::hard_link(at("in"), at("twin")).unwrap();
        std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        let before = count();
        assert!(matches!(refused(Path::new("-")), OutputError::Dash));
        assert!(matches!(refused(&at("folder")), OutputError::Folder { .. }));
        assert!(matches!(refused(Path::new("new/")), OutputError::Folder { .. }));
        assert!(matches!(refused(&at("dangling")), OutputError::Dangling { .. }));
        let others =
            [at("null"), at("pipe"), at("stdout"), "/dev/null".into(), "/dev/stdout".into()];
        for path in others {
            assert!(matches!(refused(&path), OutputError::NotAFile { .. }), "{}", path.display());
        }
        assert!(matches!(refused(&at("twin")), OutputError::Input { .. }));
        assert!(matches!(refused(&at("missing/out")), OutputError::NoFolder { .. }));
        assert_eq!(count(), before, "nothing is left behind");
        assert!(fs::metadata(at("pipe")).unwrap().file_type().is_fifo());
    }

    #[test]
    fn a_link_stays_one_and_its_file_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("target"), "before").unwrap();
        fs::write(at("target.tmp"), "another's").unwrap();
        fs::set_permissions(at("target"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink("target", at("link")).unwrap();
        write(&at("link"), b"new").unwrap();
        assert!(at("link").is_symlink());
        assert_eq!(fs::read_to_string(at("target")).unwrap(), "new");
        assert_eq!(fs::metadata(at("target")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(at("target.tmp")).unwrap(), "another's");
    }
}
