//! What can go wrong with the database.

use std::error::Error;
use std::path::PathBuf;

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nobody said which database to use.
    #[error(
        "the environment variable DATABASE_URL is missing; \
         set it to sqlite:/absolute/path.db or postgresql://user@host/database"
    )]
    NoUrl,
    /// The URL names no database that is supported. It is not shown: it may hold a password.
    #[error(
        "DATABASE_URL names neither SQLite nor PostgreSQL; \
         set it to sqlite:/absolute/path.db or postgresql://user@host/database"
    )]
    UnknownUrl,
    /// The path of a SQLite database depends on the working directory, which differs by function.
    #[error("the SQLite database {} in DATABASE_URL is not an absolute path; write sqlite:/absolute/path.db", path.display())]
    RelativePath {
        /// The path.
        path: PathBuf,
    },
    /// The URL of a PostgreSQL database is malformed.
    #[error(
        "DATABASE_URL is not a valid PostgreSQL URL; write postgresql://user:password@host/database"
    )]
    MalformedUrl {
        /// Where it departs.
        source: tokio_postgres::Error,
    },
    /// The directory of a SQLite database cannot be made or locked.
    #[error("cannot make and lock the directory {} for the database; check who may write there", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// A SQLite database cannot be opened.
    #[error("cannot open the database {}; run trainticket-prepare once, and let this user write to its directory", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// What went wrong.
        source: rusqlite::Error,
    },
    /// A PostgreSQL server does not let us in.
    #[error(
        "cannot connect to the PostgreSQL database at {address}; check that it runs and accepts this user"
    )]
    Connect {
        /// Where it was looked for.
        address: String,
        /// What went wrong.
        source: tokio_postgres::Error,
    },
    /// The database refused to do something.
    #[error("cannot {action}; if the tables are missing, run trainticket-prepare")]
    Query {
        /// What it was to do.
        action: &'static str,
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database holds something that it should not.
    #[error(
        "the database holds a row that makes no sense: {reason}; run trainticket-prepare, or correct it"
    )]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
}
