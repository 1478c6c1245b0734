//! The database: orders, accounts and stations, in SQLite or PostgreSQL.

mod error;
mod postgres;
mod rows;
mod sql;
mod sqlite;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

pub use self::error::StoreError;
use self::postgres::Postgres;
use self::rows::FromRow;
use self::sql::Statement;
use self::sqlite::Sqlite;
use crate::account::Account;
use crate::order::Order;
use crate::seeds;

/// A connection to the database, for one request at a time.
pub struct Store {
    database: Database,
}

enum Database {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

/// What [`Store::prepare`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Preparation {
    /// Orders of earlier runs that were deleted.
    pub deleted_orders: u64,
    /// Refunds of earlier runs that were deleted.
    pub deleted_refunds: u64,
    /// Fresh orders that were inserted.
    pub inserted_orders: u64,
    /// Orders in the database now.
    pub orders: u64,
}

/// Which database to use.
enum Location<'a> {
    Sqlite(PathBuf),
    Postgres(&'a str),
}

impl Store {
    /// Opens the database that `DATABASE_URL` names and whose tables exist.
    ///
    /// # Errors
    /// If the variable is missing or wrong, or the database cannot be opened.
    pub async fn from_environment() -> Result<Self, StoreError> {
        Self::open(&url_from_environment()?).await
    }

    /// Opens a database whose tables exist: `sqlite:/absolute/path.db` or `postgresql://…`.
    ///
    /// # Errors
    /// If the URL is wrong or the database cannot be opened.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let database = match location(url)? {
            Location::Sqlite(path) => Database::Sqlite(Sqlite::open(&path)?),
            Location::Postgres(url) => Database::Postgres(Box::new(Postgres::open(url).await?)),
        };
        Ok(Self { database })
    }

    /// Opens a database and makes what is missing: for SQLite its directory and file, and tables.
    /// On PostgreSQL this waits until no other that was opened in this way is left.
    ///
    /// # Errors
    /// If the URL is wrong or the database cannot be opened or written.
    pub async fn create(url: &str) -> Result<Self, StoreError> {
        let database = match location(url)? {
            Location::Sqlite(path) => Database::Sqlite(Sqlite::create(&path)?),
            Location::Postgres(url) => Database::Postgres(Box::new(Postgres::create(url).await?)),
        };
        Ok(Self { database })
    }

    /// The order with this identifier.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn find_order(&self, id: &str) -> Result<Option<Order>, StoreError> {
        let mut found = self.query("find an order", &Statement::find_order(id)).await?;
        Ok(found.pop())
    }

    /// Deletes the order of the same identifier, if there is one, and inserts `order`. Nobody sees
    /// the database in between.
    ///
    /// # Errors
    /// If the database cannot be written; it is then as before.
    pub async fn replace_order(&self, order: &Order) -> Result<(), StoreError> {
        let statements = [Statement::delete_order(&order.id), Statement::insert_order(order)];
        self.execute("replace an order", &statements).await?;
        Ok(())
    }

    /// How many orders there are.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn count_orders(&self) -> Result<u64, StoreError> {
        let counts: Vec<i64> = self.query("count orders", &Statement::count_orders()).await?;
        Ok(counts.into_iter().map(i64::unsigned_abs).sum())
    }

    /// The bookings on a customer's account, in no particular order.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn find_accounts(&self, user_id: &str) -> Result<Vec<Account>, StoreError> {
        self.query("find an account", &Statement::find_accounts(user_id)).await
    }

    /// Adds a booking.
    ///
    /// # Errors
    /// If the database cannot be written. Whether the booking was made is unknown if the
    /// connection broke.
    pub async fn insert_account(&self, account: &Account) -> Result<(), StoreError> {
        self.execute("book on an account", &[Statement::insert_account(account)]).await?;
        Ok(())
    }

    /// Makes the database ready for a run: deletes the orders of the last preparation and all
    /// refunds, puts the seeds back as they were, and inserts `orders`; of several with the same
    /// identifier the last, and instead of any that has it already.
    ///
    /// # Errors
    /// If the database cannot be written; it is then as before.
    pub async fn prepare(&self, orders: &[Order]) -> Result<Preparation, StoreError> {
        let orders: BTreeMap<&str, &Order> =
            orders.iter().map(|order| (order.id.as_str(), order)).collect();
        let (seed_orders, seed_accounts) = (seeds::orders(), seeds::accounts());
        let mut statements = vec![
            Statement::delete_prepared_orders(),
            Statement::delete_drawbacks(),
            Statement::forget_prepared_orders(),
        ];
        for order in &seed_orders {
            statements.extend([Statement::delete_order(&order.id), Statement::insert_order(order)]);
        }
        for account in &seed_accounts {
            statements.extend([
                Statement::delete_account(&account.id),
                Statement::insert_account(account),
            ]);
        }
        for station in &seeds::STATIONS {
            statements.extend([
                Statement::delete_station(station.id),
                Statement::insert_station(station),
            ]);
        }
        statements.extend(orders.keys().map(|id| Statement::note_prepared_order(id)));
        // Those in the way, in one scan rather than one for each.
        statements.push(Statement::delete_prepared_orders());
        statements.extend(orders.values().map(|order| Statement::insert_order(order)));

        let changed = self.execute("prepare the tables", &statements).await?;
        self.tidy().await?;
        Ok(Preparation {
            deleted_orders: changed[0],
            deleted_refunds: changed[1],
            inserted_orders: orders.len() as u64,
            orders: self.count_orders().await?,
        })
    }

    async fn query<T: FromRow>(
        &self,
        action: &'static str,
        statement: &Statement<'_>,
    ) -> Result<Vec<T>, StoreError> {
        match &self.database {
            Database::Sqlite(sqlite) => sqlite.query(action, statement),
            Database::Postgres(postgres) => postgres.query(action, statement).await,
        }
    }

    async fn execute(
        &self,
        action: &'static str,
        statements: &[Statement<'_>],
    ) -> Result<Vec<u64>, StoreError> {
        match &self.database {
            Database::Sqlite(sqlite) => sqlite.execute(action, statements),
            Database::Postgres(postgres) => postgres.execute(action, statements).await,
        }
    }

    async fn tidy(&self) -> Result<(), StoreError> {
        match &self.database {
            Database::Sqlite(sqlite) => sqlite.tidy(),
            Database::Postgres(postgres) => postgres.tidy().await,
        }
    }
}

/// The URL of the database, from `DATABASE_URL`.
///
/// # Errors
/// If the variable is missing or empty.
pub fn url_from_environment() -> Result<String, StoreError> {
    let url = env::var("DATABASE_URL").unwrap_or_default();
    if url.is_empty() { Err(StoreError::NoUrl) } else { Ok(url) }
}

fn location(url: &str) -> Result<Location<'_>, StoreError> {
    match url.split_once(':') {
        Some(("sqlite", path)) if Path::new(path).is_absolute() => {
            Ok(Location::Sqlite(path.into()))
        }
        Some(("sqlite", path)) => Err(StoreError::RelativePath { path: path.into() }),
        Some(("postgresql" | "postgres", _)) => Ok(Location::Postgres(url)),
        _ => Err(StoreError::UnknownUrl),
    }
}

#[cfg(test)]
mod tests {
    use super::{Location, StoreError, location};

    #[test]
    fn knows_its_databases() {
        assert!(
            matches!(location("sqlite:/a/b.db"), Ok(Location::Sqlite(path)) if path == *"/a/b.db")
        );
        assert!(matches!(location("postgres://h/d"), Ok(Location::Postgres(_))));
        assert!(matches!(location("postgresql:///d?host=/run"), Ok(Location::Postgres(_))));
    }

    #[test]
    fn refuses_others_without_showing_a_password() {
        assert!(matches!(location("sqlite:b.db"), Err(StoreError::RelativePath { .. })));
        for url in ["", "/a/b.db", "mysql://u:secret@h/d"] {
            let Err(error @ StoreError::UnknownUrl) = location(url) else {
                panic!("{url} was not refused");
            };
            assert!(!error.to_string().contains("secret"));
        }
    }
}
