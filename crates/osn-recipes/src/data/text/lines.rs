//! Reads files of one sentence a line, and trusts nothing in them.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use osn_files::plain_file;

use crate::data::text::error::{LineFault, MAX_BYTES, MAX_LINE_BYTES, MAX_LINES, TextError};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads the sentences of a file, plain or gzip; its first two bytes tell, not its name.
///
/// # Errors
///
/// [`TextError`] where it cannot be read, or has a line that cannot be used, or too many.
pub fn read(path: &Path) -> Result<Vec<String>, TextError> {
    let file = plain_file::open(path).map_err(|problem| unreadable(path, 0, problem))?;
    parse(BufReader::new(file), path)
}

/// Reads the sentences of bytes, plain or gzip, as if they were those of the file `path`.
///
/// A line is held only once it is whole and of the right length, so that nothing in the bytes makes this
/// take more memory than the sentences.
///
/// # Errors
///
/// As [`read`].
pub fn parse(mut bytes: impl BufRead, path: &Path) -> Result<Vec<String>, TextError> {
    let start = bytes.fill_buf().map_err(|problem| unreadable(path, 0, problem))?;
    if start.starts_with(&GZIP_MAGIC) {
        read_lines(BufReader::new(MultiGzDecoder::new(bytes)), path, MAX_LINES, MAX_BYTES)
    } else {
        read_lines(bytes, path, MAX_LINES, MAX_BYTES)
    }
}

fn read_lines(
    bytes: impl BufRead,
    path: &Path,
    most_lines: usize,
    most_bytes: u64,
) -> Result<Vec<String>, TextError> {
    let (mut bytes, mut sentences) = (bytes.take(most_bytes + 1), Vec::new());
    while let Some(line) = next_line(&mut bytes, path, sentences.len())? {
        // Before the line is looked at: the bound may have cut it inside of a letter.
        if sentences.len() == most_lines || bytes.limit() == 0 {
            return Err(TextError::TooLarge { path: path.to_owned() });
        }
        let is_first = sentences.is_empty();
        sentences.push(sentence(&line, is_first).map_err(|fault| TextError::Line {
            path: path.to_owned(),
            line: sentences.len() + 1,
            fault,
        })?);
    }
    if sentences.is_empty() {
        return Err(TextError::Empty { path: path.to_owned() });
    }
    Ok(sentences)
}

/// The bytes up to the end of a line or, where that is farther, one more than a line may have.
fn next_line(
    bytes: &mut impl BufRead,
    path: &Path,
    read: usize,
) -> Result<Option<Vec<u8>>, TextError> {
    let mut line = Vec::new();
    let mut bounded = bytes.take(MAX_LINE_BYTES as u64 + 2);
    bounded.read_until(b'\n', &mut line).map_err(|problem| unreadable(path, read, problem))?;
    Ok(if line.is_empty() { None } else { Some(line) })
}

fn sentence(line: &[u8], is_first: bool) -> Result<String, LineFault> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if line.len() > MAX_LINE_BYTES {
        return Err(LineFault::TooLong);
    }
    let text =
        str::from_utf8(line).map_err(|error| LineFault::Encoding(line[error.valid_up_to()]))?;
    let text = if is_first { text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text) } else { text };
    match text.trim() {
        "" => Err(LineFault::Empty),
        text => Ok(text.to_owned()),
    }
}

fn unreadable(path: &Path, line: usize, problem: io::Error) -> TextError {
    TextError::Read { path: path.to_owned(), line, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_lines_or_bytes_than_are_held_are_too_large_wherever_the_bound_cuts() {
        let text = "日本\n語\n";
        let read = |lines, bytes| read_lines(text.as_bytes(), Path::new("train.ja"), lines, bytes);
        assert_eq!(read(2, text.len() as u64).unwrap(), ["日本", "語"]);
        assert!(matches!(read(1, 99), Err(TextError::TooLarge { .. })));
        for bytes in 0..text.len() as u64 {
            assert!(matches!(read(2, bytes), Err(TextError::TooLarge { .. })), "{bytes}");
        }
    }
}
