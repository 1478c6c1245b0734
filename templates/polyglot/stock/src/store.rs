//! The database: a SQLite file that every instance of the function uses at once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, Transaction, params};
use serde::Serialize;

use crate::catalogue::{Item, Shelf, TaxClass};

/// Environment variable that names the database's file.
pub const DATABASE_VARIABLE: &str = "STOCK_DATABASE";

/// How long to wait for other instances that write. A write takes about a millisecond.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What is reserved is taken off `available`, so that reserving looks at no other reservation.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS items (
    sku TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    unit_price_cents INTEGER NOT NULL,
    weight_grams INTEGER NOT NULL,
    reduced_tax INTEGER NOT NULL,
    available INTEGER NOT NULL CHECK (available >= 0)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reservations (
    order_id TEXT PRIMARY KEY,
    expires_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reservations_by_expiry ON reservations (expires_ms);
CREATE TABLE IF NOT EXISTS reserved (
    order_id TEXT NOT NULL REFERENCES reservations ON DELETE CASCADE,
    sku TEXT NOT NULL REFERENCES items,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, sku)
) WITHOUT ROWID;";

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nobody said which database to use.
    #[error(
        "the environment variable {DATABASE_VARIABLE} is missing; set it to the absolute path of a file"
    )]
    NoPath,
    /// The database's folder cannot be made or locked.
    #[error("cannot make and lock the folder {} for the database; check who may write there", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The database cannot be opened.
    #[error("cannot open the database {}; run stock-prepare once, and let this user write to its folder", path.display())]
    Open {
        /// The database's file.
        path: PathBuf,
        /// What went wrong.
        source: rusqlite::Error,
    },
    /// The database refused to do something.
    #[error("cannot {action}; if the tables are missing, run stock-prepare")]
    Query {
        /// What it was to do.
        action: &'static str,
        /// What went wrong.
        source: rusqlite::Error,
    },
}

/// What came of a wish to reserve.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reservation {
    /// Everything is reserved.
    Made,
    /// The order had reserved just this before.
    Kept,
    /// These items do not exist; nothing changed.
    Unknown(Vec<String>),
    /// There is too little of these; nothing changed.
    Short(Vec<Shortage>),
    /// The order has reserved something else before; nothing changed.
    Other,
}

/// An item there is too little of.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Shortage {
    /// The item's identifier.
    pub sku: String,
    /// Pieces wanted.
    pub wanted: i64,
    /// Pieces there are.
    pub available: i64,
}

/// A connection to the database. Its calls block: an instance serves one request at a time, which
/// has nothing else to do meanwhile.
pub struct Store {
    connection: Connection,
}

impl Store {
    /// Opens the database that `STOCK_DATABASE` names and whose tables exist.
    ///
    /// # Errors
    /// If the variable is missing or the database cannot be opened.
    pub fn from_environment() -> Result<Self, StoreError> {
        Self::open(&path_from_environment()?)
    }

    /// Opens a database whose tables exist.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// Opens a database and makes what is missing of its folder, its file and its tables.
    ///
    /// # Errors
    /// If it cannot be made or opened.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let folder = path.parent().unwrap_or(path);
        let claim = claim_folder(folder)
            .map_err(|source| StoreError::Folder { path: folder.to_owned(), source })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let store = Self::connect(path, flags)?;
        let opened = store
            .connection
            // Lets readers go on while somebody writes. The file remembers it.
            .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()));
        opened.map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        store.connection.execute_batch(TABLES).map_err(cannot("make the tables"))?;
        drop(claim);
        Ok(store)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, StoreError> {
        let open = || {
            // A connection is never used by two threads, so SQLite needs no locks of its own.
            let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "foreign_keys", true)?;
            // With a write-ahead log this survives the end of any process, and a power cut leaves
            // the database whole though without the last transactions.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            Ok(Self { connection })
        };
        open().map_err(|source| StoreError::Open { path: path.to_owned(), source })
    }

    /// The item with this identifier.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn find_item(&self, sku: &str) -> Result<Option<Item>, StoreError> {
        let find = || {
            let text = "SELECT sku, name, unit_price_cents, weight_grams, reduced_tax \
                        FROM items WHERE sku = ?1";
            self.connection.prepare_cached(text)?.query_row([sku], item).optional()
        };
        find().map_err(cannot("find an item"))
    }

    /// Reserves `wanted` pieces of each item for an order until `expires_ms`, all or nothing, after
    /// it has put back what expired by `now_ms` (both in milliseconds since 1970-01-01 UTC). Of
    /// several that want the last piece at once, one gets it.
    ///
    /// # Errors
    /// If the database cannot be written; it is then as before.
    pub fn reserve(
        &self,
        order_id: &str,
        wanted: &BTreeMap<&str, i64>,
        now_ms: i64,
        expires_ms: i64,
    ) -> Result<Reservation, StoreError> {
        self.write("reserve items", |transaction| {
            release_expired(transaction, now_ms)?;
            if let Some(before) = reserved(transaction, order_id)? {
                let same = before.iter().map(|(sku, count)| (sku.as_str(), *count));
                let same = same.eq(wanted.iter().map(|(sku, count)| (*sku, *count)));
                return Ok(if same { Reservation::Kept } else { Reservation::Other });
            }
            let (mut unknown, mut short) = (Vec::new(), Vec::new());
            for (sku, wanted) in wanted {
                let sku = (*sku).to_owned();
                match available(transaction, &sku)? {
                    None => unknown.push(sku),
                    Some(available) if available < *wanted => {
                        short.push(Shortage { sku, wanted: *wanted, available });
                    }
                    Some(_) => {}
                }
            }
            if !unknown.is_empty() {
                return Ok(Reservation::Unknown(unknown));
            }
            if !short.is_empty() {
                return Ok(Reservation::Short(short));
            }
            take(transaction, order_id, wanted, expires_ms)?;
            Ok(Reservation::Made)
        })
    }

    /// Fills the shelves and forgets every reservation; returns how many there were.
    ///
    /// # Errors
    /// If the database cannot be written; it is then as before.
    pub fn refill(&self, shelves: &[Shelf]) -> Result<usize, StoreError> {
        let forgotten = self.write("fill the shelves", |transaction| {
            let forgotten = transaction.execute("DELETE FROM reservations", [])?;
            transaction.execute("DELETE FROM items", [])?;
            let text = "INSERT INTO items (sku, name, unit_price_cents, weight_grams, reduced_tax, \
                        available) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let mut insert = transaction.prepare(text)?;
            for Shelf { item, available } in shelves {
                let Item { sku, name, unit_price_cents, weight_grams, tax_class } = item;
                let reduced = *tax_class == TaxClass::Reduced;
                insert.execute(params![
                    sku,
                    name,
                    unit_price_cents,
                    weight_grams,
                    reduced,
                    available
                ])?;
            }
            Ok(forgotten)
        })?;
        // Empties the write-ahead log as far as other processes allow it.
        self.connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(cannot("empty the write-ahead log"))?;
        Ok(forgotten)
    }

    /// Does something that nobody sees half of.
    fn write<T>(
        &self,
        action: &'static str,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let write = || {
            // Claims the right to write at once: a transaction that reads first and then finds
            // another writer fails without waiting for it.
            let behavior = rusqlite::TransactionBehavior::Immediate;
            let transaction = Transaction::new_unchecked(&self.connection, behavior)?;
            let done = change(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        write().map_err(cannot(action))
    }
}

/// The database's file, from `STOCK_DATABASE`.
///
/// # Errors
/// If the variable is missing or empty.
pub fn path_from_environment() -> Result<PathBuf, StoreError> {
    match std::env::var_os(DATABASE_VARIABLE) {
        Some(path) if !path.is_empty() => Ok(path.into()),
        _ => Err(StoreError::NoPath),
    }
}

fn release_expired(transaction: &Transaction<'_>, now_ms: i64) -> rusqlite::Result<()> {
    let text = "SELECT EXISTS (SELECT 1 FROM reservations WHERE expires_ms <= ?1)";
    if !transaction.prepare_cached(text)?.query_row([now_ms], |row| row.get(0))? {
        return Ok(());
    }
    let text = "UPDATE items SET available = available + expired.quantity FROM (
                    SELECT sku, SUM(quantity) AS quantity
                    FROM reserved JOIN reservations USING (order_id)
                    WHERE expires_ms <= ?1 GROUP BY sku
                ) AS expired WHERE items.sku = expired.sku";
    transaction.prepare_cached(text)?.execute([now_ms])?;
    let text = "DELETE FROM reservations WHERE expires_ms <= ?1";
    transaction.prepare_cached(text)?.execute([now_ms])?;
    Ok(())
}

fn available(transaction: &Transaction<'_>, sku: &str) -> rusqlite::Result<Option<i64>> {
    let text = "SELECT available FROM items WHERE sku = ?1";
    transaction.prepare_cached(text)?.query_row([sku], |row| row.get(0)).optional()
}

/// What an order has reserved; nothing if it has no reservation.
fn reserved(
    transaction: &Transaction<'_>,
    order_id: &str,
) -> rusqlite::Result<Option<BTreeMap<String, i64>>> {
    let text = "SELECT EXISTS (SELECT 1 FROM reservations WHERE order_id = ?1)";
    if !transaction.prepare_cached(text)?.query_row([order_id], |row| row.get(0))? {
        return Ok(None);
    }
    let text = "SELECT sku, quantity FROM reserved WHERE order_id = ?1";
    let mut select = transaction.prepare_cached(text)?;
    let lines = select.query_map([order_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    lines.collect::<rusqlite::Result<_>>().map(Some)
}

fn take(
    transaction: &Transaction<'_>,
    order_id: &str,
    wanted: &BTreeMap<&str, i64>,
    expires_ms: i64,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("INSERT INTO reservations (order_id, expires_ms) VALUES (?1, ?2)")?
        .execute(params![order_id, expires_ms])?;
    for (sku, quantity) in wanted {
        transaction
            .prepare_cached("UPDATE items SET available = available - ?2 WHERE sku = ?1")?
            .execute(params![sku, quantity])?;
        transaction
            .prepare_cached("INSERT INTO reserved (order_id, sku, quantity) VALUES (?1, ?2, ?3)")?
            .execute(params![order_id, sku, quantity])?;
    }
    Ok(())
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let reduced: bool = row.get(4)?;
    Ok(Item {
        sku: row.get(0)?,
        name: row.get(1)?,
        unit_price_cents: row.get(2)?,
        weight_grams: row.get(3)?,
        tax_class: if reduced { TaxClass::Reduced } else { TaxClass::Standard },
    })
}

/// Makes the folder if it is missing, and waits until nobody else makes a database in it: two that
/// switch a new file to its write-ahead log at once do not wait for each other, but fail. The claim
/// ends when the file is closed.
fn claim_folder(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let claim = File::open(folder)?;
    claim.lock()?;
    Ok(claim)
}

fn cannot(action: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| StoreError::Query { action, source }
}
