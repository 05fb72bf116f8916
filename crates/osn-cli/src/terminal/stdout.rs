//! Data on standard output.

use std::io::{self, Write};

use crate::failure::Failure;

/// Prints to standard output; a reader that has closed the pipe is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    // An error at the end of the program, when buffers are flushed, would not be reported.
    delivered(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// The failure of a write to standard output; a closed pipe is none.
pub(crate) fn delivered(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
