//! SQLite: a file that several processes use at once.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OpenFlags, Row, ToSql, Transaction, TransactionBehavior};

use super::StoreError;
use super::rows::{Columns, FromRow, malformed};
use super::sql::{Statement, TABLES, Value};

/// How long to wait for other processes that write. A write takes about a millisecond.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection. Its calls block: an instance serves one request at a time, which has nothing else
/// to do meanwhile.
pub(super) struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    /// Opens a database that exists.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// Opens a database and makes what is missing of its directory, its file and its tables.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let directory = path.parent().unwrap_or(path);
        let claim = claim_directory(directory)
            .map_err(|source| StoreError::Directory { path: directory.to_owned(), source })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let database = Self::connect(path, flags)?;
        database
            .use_write_ahead_log()
            .map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        let created = database.connection.execute_batch(TABLES);
        created.map_err(|source| refused("make the tables", source))?;
        drop(claim);
        Ok(database)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, StoreError> {
        let open = || {
            // A connection is never used by two threads, so SQLite needs no locks of its own.
            let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            // With a write-ahead log this survives the end of any process, and a power cut leaves
            // the database whole though without the last transactions.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            Ok(Self { connection })
        };
        open().map_err(|source| StoreError::Open { path: path.to_owned(), source })
    }

    /// Lets readers go on while somebody writes. The file remembers it.
    fn use_write_ahead_log(&self) -> rusqlite::Result<()> {
        let mode: String =
            self.connection
                .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        debug_assert_eq!(mode, "wal");
        Ok(())
    }

    pub(super) fn query<T: FromRow>(
        &self,
        action: &'static str,
        statement: &Statement<'_>,
    ) -> Result<Vec<T>, StoreError> {
        let refused = |source| refused(action, source);
        let mut prepared = self.connection.prepare_cached(statement.text).map_err(refused)?;
        let parameters = rusqlite::params_from_iter(&statement.values);
        let mut rows = prepared.query(parameters).map_err(refused)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(refused)? {
            found.push(T::from_row(row)?);
        }
        Ok(found)
    }

    /// Executes all statements or none; returns how many rows each changed.
    pub(super) fn execute(
        &self,
        action: &'static str,
        statements: &[Statement<'_>],
    ) -> Result<Vec<u64>, StoreError> {
        let execute = || {
            // Claims the right to write at once: a transaction that reads first and then finds
            // another writer fails without waiting for it.
            let transaction =
                Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            let mut changed = Vec::with_capacity(statements.len());
            for statement in statements {
                let mut prepared = transaction.prepare_cached(statement.text)?;
                let rows = prepared.execute(rusqlite::params_from_iter(&statement.values))?;
                changed.push(rows as u64);
            }
            transaction.commit()?;
            Ok(changed)
        };
        execute().map_err(|source| refused(action, source))
    }

    /// Empties the write-ahead log as far as other processes allow it.
    pub(super) fn tidy(&self) -> Result<(), StoreError> {
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|source| refused("empty the write-ahead log", source))
    }
}

/// Makes the directory if it is missing, and waits until nobody else makes a database in it: two
/// that switch a new file to its write-ahead log at once do not wait for each other, but fail.
/// The claim ends when the file is closed.
fn claim_directory(directory: &Path) -> io::Result<File> {
    fs::create_dir_all(directory)?;
    let claim = File::open(directory)?;
    claim.lock()?;
    Ok(claim)
}

fn refused(action: &'static str, source: rusqlite::Error) -> StoreError {
    StoreError::Query { action, source: Box::new(source) }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Text(text) => text.to_sql(),
            Self::Integer(number) => number.to_sql(),
            Self::BigInteger(number) => number.to_sql(),
        }
    }
}

impl Columns for Row<'_> {
    fn text(&self, column: usize) -> Result<String, StoreError> {
        self.get(column).map_err(malformed)
    }

    fn integer(&self, column: usize) -> Result<i32, StoreError> {
        self.get(column).map_err(malformed)
    }

    fn big_integer(&self, column: usize) -> Result<i64, StoreError> {
        self.get(column).map_err(malformed)
    }
}
