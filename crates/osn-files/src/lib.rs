//! Opens files that anybody may have put there, and writes files that appear whole or not at all.
//!
//! | to | call |
//! |---|---|
//! | read what others wrote | [`plain_file::open`], [`plain_file::read`] |
//! | replace a file of one's own, whatever link or pipe stands there | [`atomic::write`] |
//! | write to a path that a person has typed | [`output::write`], [`OutputFile`](output::OutputFile) |

pub mod atomic;
pub mod output;
pub mod plain_file;
