//! The journal of what was changed for one workflow at one place: an append-only file of JSON lines. A line is on
//! disk before the call it tells of is made, so whatever ends the process, the next one knows what may have been
//! changed and how to undo it.
//!
//! The lines are grouped into entries, one for each `deploy` or measurement. An entry is open until it is finished
//! or undone; an interrupted one is gone on with by the next `deploy`.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change::Object;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error("the journal {} cannot be used", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process changes the same workflow at the same place.
    #[error("another fuseline is changing this workflow; it holds the journal {}", .0.display())]
    Locked(PathBuf),
    /// A line says nothing that this program knows.
    #[error("line {line} of the journal {} cannot be understood", file.display())]
    Line {
        /// Which file.
        file: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// How a change is undone.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "undo", rename_all = "snake_case")]
pub(crate) enum Undo {
    /// The function did not exist.
    DeleteFunction { function: String },
    /// The newest version was this one; 0 if there was none.
    DeleteVersions { function: String, after: u64 },
    /// The newest version of the layer was this one; 0 if there was none.
    DeleteLayerVersions { layer: String, after: i64 },
    /// The alias called another version, or did not exist.
    Alias { function: String, name: String, from: Option<String>, to: String },
    /// Other concurrency was reserved, or none.
    Concurrency { function: String, reserved: Option<i32> },
    /// The function had another role.
    Role { function: String, role: String },
    /// The role did not exist.
    DeleteRole { role: String },
    /// The unpublished state of an adopted function was as this version.
    Latest { function: String, version: String },
    /// The object was not there.
    DeleteObject { object: Object },
}

/// One line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(crate) enum Record {
    /// An entry begins.
    Begun { command: String, deployment: String, at: String },
    /// A call is about to be made.
    Intended {
        number: u64,
        #[serde(flatten)]
        call: Value,
        /// The revision that the function or alias has to be at, where the operation takes that.
        revision: Option<String>,
        how_to_undo: Option<Undo>,
    },
    /// The call was made; with the version that it published.
    Done { number: u64, version: Option<String> },
    /// The call was refused, and nothing was changed by it.
    Refused { number: u64 },
    /// The entry's command did all it had to.
    Finished,
    /// The entry is undone.
    Undone,
}

/// One command's changes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) command: String,
    pub(crate) deployment: String,
    pub(crate) at: String,
    /// How to undo its changes, in the order in which they were made.
    pub(crate) undo: Vec<(u64, Undo)>,
    pub(crate) is_finished: bool,
}

/// A journal that this process alone has open.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Entries that are not undone, the newest last.
    entries: Vec<Entry>,
    next: u64,
}

impl Journal {
    /// Opens or creates one. A last line that was cut off is dropped: its call was never made.
    pub(crate) fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError::File { file: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder).map_err(failed)?;
        }
        let options = File::options().read(true).append(true).create(true).open(path);
        let mut file = options.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Locked(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(failed)?;
        }
        let mut journal = Self { path: path.to_owned(), file, entries: Vec::new(), next: 1 };
        for (index, line) in bytes[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
            let record = serde_json::from_slice(line).map_err(|source| JournalError::Line {
                file: path.to_owned(),
                line: index + 1,
                source,
            })?;
            journal.read(record);
        }
        Ok(journal)
    }

    /// Writes a line and waits until it is on disk.
    pub(crate) fn write(&mut self, record: Record) -> Result<(), JournalError> {
        let mut line = serde_json::to_vec(&record).expect("a record is JSON");
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(|source| JournalError::File { file: self.path.clone(), source })?;
        self.read(record);
        Ok(())
    }

    /// Number of the next call.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The newest entry that is not undone.
    pub(crate) fn last(&self) -> Option<&Entry> {
        self.entries.last()
    }

    /// How to undo all entries that are not undone, the newest change last.
    pub(crate) fn undos(&self) -> impl Iterator<Item = &Undo> {
        self.entries.iter().flat_map(|entry| entry.undo.iter().map(|(_, undo)| undo))
    }

    /// The entry that an interrupted command left.
    pub(crate) fn open_entry(&self) -> Option<&Entry> {
        self.last().filter(|entry| !entry.is_finished)
    }

    /// Whether an entry that is not undone has changed a function.
    pub(crate) fn has_changed(&self, name: &str) -> bool {
        self.undos().any(|undo| match undo {
            Undo::DeleteFunction { function }
            | Undo::DeleteVersions { function, .. }
            | Undo::Alias { function, .. }
            | Undo::Concurrency { function, .. }
            | Undo::Role { function, .. }
            | Undo::Latest { function, .. } => function == name,
            _ => false,
        })
    }

    fn read(&mut self, record: Record) {
        match record {
            Record::Begun { command, deployment, at } => self.entries.push(Entry {
                command,
                deployment,
                at,
                undo: Vec::new(),
                is_finished: false,
            }),
            Record::Intended { number, how_to_undo, .. } => {
                self.next = self.next.max(number + 1);
                if let (Some(entry), Some(undo)) = (self.entries.last_mut(), how_to_undo) {
                    entry.undo.push((number, undo));
                }
            }
            Record::Done { .. } => {}
            Record::Refused { number } => {
                if let Some(entry) = self.entries.last_mut() {
                    entry.undo.retain(|(of, _)| *of != number);
                }
            }
            Record::Finished => {
                if let Some(entry) = self.entries.last_mut() {
                    entry.is_finished = true;
                }
            }
            Record::Undone => drop(self.entries.pop()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn begun() -> Record {
        Record::Begun { command: "deploy".into(), deployment: "(a)".into(), at: "now".into() }
    }

    fn created(number: u64) -> Record {
        Record::Intended {
            number,
            call: json!({ "operation": "CreateFunction", "parameters": { "FunctionName": "a" } }),
            revision: None,
            how_to_undo: Some(Undo::DeleteFunction { function: "a".into() }),
        }
    }

    #[test]
    fn what_was_written_is_read_and_a_torn_line_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/w.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        journal.write(begun()).unwrap();
        journal.write(created(journal.next())).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::Locked(_))));
        let before = journal.open_entry().unwrap().clone();
        drop(journal);
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"{\"record\":\"done\",\"numb").unwrap();
        drop(file);
        let mut again = Journal::open(&path).unwrap();
        assert_eq!(again.open_entry(), Some(&before));
        assert_eq!(again.next(), 2);
        again.write(Record::Finished).unwrap();
        assert_eq!(again.open_entry(), None);
        assert!(again.last().is_some());
        again.write(Record::Undone).unwrap();
        drop(again);
        assert_eq!(Journal::open(&path).unwrap().last(), None);
    }

    #[test]
    fn refused_calls_need_no_undoing() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join("w.jsonl")).unwrap();
        journal.write(begun()).unwrap();
        journal.write(created(1)).unwrap();
        journal.write(Record::Refused { number: 1 }).unwrap();
        assert!(journal.last().unwrap().undo.is_empty());
    }

    #[test]
    fn lines_that_are_not_understood_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.jsonl");
        std::fs::write(&path, "{\"record\":\"finished\"}\n{}\n").unwrap();
        let error = Journal::open(&path).unwrap_err().to_string();
        assert!(error.starts_with("line 2 of the journal "), "{error}");
    }
}
