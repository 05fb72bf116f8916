//! Writes a file or a folder so that at every moment it is either as before or complete.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

/// How the name of an incomplete file begins and ends.
const INCOMPLETE: (&str, &str) = (".osn-", ".tmp");

/// Errors of file systems that cannot bring a folder to the disk, or do not let it be opened for that.
const NO_SYNC: [io::ErrorKind; 3] =
    [io::ErrorKind::InvalidInput, io::ErrorKind::Unsupported, io::ErrorKind::PermissionDenied];

/// A file that is being written: it takes its place by [`AtomicFile::keep`], or goes away.
///
/// Until then it lies in the same folder under a name that nobody else has: `.osn-`, random letters,
/// `.tmp`. Its permissions are those of any new file of the user.
#[derive(Debug)]
pub struct AtomicFile {
    place: PathBuf,
    temporary: NamedTempFile,
}

impl AtomicFile {
    /// Begins a file that is to be at `place`, where nothing changes before [`AtomicFile::keep`].
    ///
    /// # Errors
    ///
    /// An error of the system.
    pub fn create(place: PathBuf) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(INCOMPLETE.0).suffix(INCOMPLETE.1);
        // As for any new file: what the user's umask leaves of it.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let temporary = builder.tempfile_in(folder_of(&place)).map_err(|it| without_name(&it))?;
        Ok(Self { place, temporary })
    }

    /// The file to write to.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Puts what was written in the place of what was there, a link included, once it is on the disk.
    ///
    /// # Errors
    ///
    /// An error of the system; what was there before still is.
    pub fn keep(self) -> io::Result<()> {
        let Self { place, temporary } = self;
        // Without this the new name may reach the disk before the bytes do.
        temporary.as_file().sync_all()?;
        temporary.persist(&place).map_err(|error| error.error)?;
        sync_folder(folder_of(&place))
    }
}

/// Writes a whole file at `place`, in place of what is there, a link included. It is complete also when
/// the machine loses its power.
///
/// # Errors
///
/// An error of the system; what was there before still is.
pub fn write(place: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(place.to_owned())?;
    file.file().write_all(content)?;
    file.keep()
}

/// Makes the folder `place`, where nothing or an empty folder may be: `fill` puts the files into a
/// folder beside it, which then gets the name.
///
/// # Errors
///
/// Those of `fill`, and errors of the system.
pub fn write_folder(place: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let beside = folder_of(place);
    fs::create_dir_all(beside)?;
    // It goes away by itself if something fails. Its own access rights are narrow, those of a folder in
    // it are what the user's umask leaves.
    let temporary = TempDir::with_prefix_in(INCOMPLETE.0, beside)?;
    let folder = temporary.path().join("whole");
    fs::create_dir(&folder)?;
    fill(&folder)?;
    fs::rename(folder, place)
}

/// Whether a file of this name is one of [`AtomicFile`]'s that was not completed.
pub fn is_incomplete(name: &str) -> bool {
    name.starts_with(INCOMPLETE.0) && name.ends_with(INCOMPLETE.1)
}

/// Brings the names in a folder to the disk; file systems without a way to do so need none.
///
/// # Errors
///
/// An error of the system.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(or_here(folder)).and_then(|folder| folder.sync_all()) {
        Err(error) if NO_SYNC.contains(&error.kind()) => Ok(()),
        outcome => outcome,
    }
}

/// The folder that a path is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    or_here(path.parent().unwrap_or(path))
}

/// A path without a folder is in the one that the program is in.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// The system's own error: what the temporary file was called is of no use to anybody.
fn without_name(error: &io::Error) -> io::Error {
    let source = error.get_ref().and_then(|inner| inner.source()?.downcast_ref::<io::Error>());
    match source.and_then(io::Error::raw_os_error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::from(error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        // For every user: no file takes the place of a folder.
        let path = folder.path().join("page.html");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"new").is_err());
        assert_eq!(names(folder.path()), ["page.html"]);
        let nowhere = write(&folder.path().join("no/page.html"), b"new").unwrap_err();
        assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
        assert!(!nowhere.to_string().contains(INCOMPLETE.0), "{nowhere}");
    }

    #[test]
    fn a_file_that_is_not_kept_goes_away_and_one_of_a_killed_process_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let file = AtomicFile::create(folder.path().join("file")).unwrap();
        let [name] = &names(folder.path())[..] else { panic!("one file") };
        assert!(is_incomplete(name) && !is_incomplete("run.json.tmp"), "{name}");
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn whoever_may_read_new_files_may_read_it_and_a_link_is_replaced() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [usual, ours, others] = ["usual", "ours", "others"].map(|it| folder.path().join(it));
        fs::write(&usual, "").unwrap();
        fs::write(&others, "theirs").unwrap();
        std::os::unix::fs::symlink(&others, &ours).unwrap();
        write(&ours, b"new").unwrap();
        let mode = |path| fs::symlink_metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&usual));
        assert_eq!(fs::read_to_string(&others).unwrap(), "theirs");
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("new/pairs");
        let half = |folder: &Path| fs::write(folder.join("one"), "1");
        let failed = write_folder(&place, |folder| {
            half(folder)?;
            Err(io::ErrorKind::Other.into())
        });
        assert!(failed.is_err() && names(place.parent().unwrap()).is_empty());
        write_folder(&place, half).unwrap();
        assert_eq!(names(&place), ["one"]);
        assert_eq!(names(place.parent().unwrap()), ["pairs"]);
    }
}
