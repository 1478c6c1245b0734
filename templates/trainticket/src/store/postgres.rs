//! PostgreSQL: one connection, made anew when the server has dropped it.
//!
//! An instance sleeps between requests, sometimes for hours, and learns only by its next request
//! that the server has restarted meanwhile. Every function reads before it writes, so it is enough
//! that a read is tried again; a write, which may have happened although its answer was lost, never
//! is.

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::config::Host;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row};

use super::StoreError;
use super::rows::{Columns, FromRow, malformed};
use super::sql::{Statement, TABLES, Value};

/// How long to try to connect, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps our tables apart from others of the same names.
const USE_SCHEMA: &str = "-c search_path=trainticket";

/// The lock, of an arbitrary number, is held until the connection ends: two that prepare at once
/// would both insert the seeds.
const CLAIM: &str = "SELECT pg_advisory_lock(2020092701)";
const MAKE_SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS trainticket";

pub(super) struct Postgres {
    config: Config,
    client: Mutex<Client>,
}

impl Postgres {
    /// Connects to a database whose tables exist.
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let config = configuration(url)?;
        let client = Mutex::new(connect(&config).await?);
        Ok(Self { config, client })
    }

    /// Connects to a database and makes the tables that are missing, when nobody else who does so
    /// is connected any more.
    pub(super) async fn create(url: &str) -> Result<Self, StoreError> {
        let database = Self::open(url).await?;
        let client = database.client.lock().await;
        for statements in [CLAIM, MAKE_SCHEMA, TABLES] {
            let made = client.batch_execute(statements).await;
            made.map_err(|source| refused("make the tables", source))?;
        }
        drop(client);
        Ok(database)
    }

    pub(super) async fn query<T: FromRow>(
        &self,
        action: &'static str,
        statement: &Statement<'_>,
    ) -> Result<Vec<T>, StoreError> {
        let mut client = self.client().await?;
        let parameters = parameters(statement);
        let mut answer = client.query_typed(statement.text, &parameters).await;
        if answer.as_ref().is_err_and(is_connection_lost) {
            *client = connect(&self.config).await?;
            answer = client.query_typed(statement.text, &parameters).await;
        }
        let rows = answer.map_err(|source| refused(action, source))?;
        rows.iter().map(|row| T::from_row(row)).collect()
    }

    /// Executes all statements or none; returns how many rows each changed.
    pub(super) async fn execute(
        &self,
        action: &'static str,
        statements: &[Statement<'_>],
    ) -> Result<Vec<u64>, StoreError> {
        let mut client = self.client().await?;
        let execute = async {
            let mut changed = Vec::with_capacity(statements.len());
            if let [statement] = statements {
                // Alone it is a transaction by itself, without two more round trips.
                changed.push(client.execute_typed(statement.text, &parameters(statement)).await?);
                return Ok(changed);
            }
            let transaction = client.transaction().await?;
            for statement in statements {
                let parameters = parameters(statement);
                changed.push(transaction.execute_typed(statement.text, &parameters).await?);
            }
            transaction.commit().await?;
            Ok(changed)
        };
        execute.await.map_err(|source| refused(action, source))
    }

    /// Removes what deleted rows left behind, which a scan would still read.
    pub(super) async fn tidy(&self) -> Result<(), StoreError> {
        let client = self.client().await?;
        let vacuumed =
            client.batch_execute("VACUUM ANALYZE orders, accounts, prepared_orders").await;
        vacuumed.map_err(|source| refused("vacuum the tables", source))
    }

    /// The connection, or a new one if it is known to be lost.
    async fn client(&self) -> Result<MutexGuard<'_, Client>, StoreError> {
        let mut client = self.client.lock().await;
        if client.is_closed() {
            *client = connect(&self.config).await?;
        }
        Ok(client)
    }
}

fn configuration(url: &str) -> Result<Config, StoreError> {
    let mut config: Config = url.parse().map_err(|source| StoreError::MalformedUrl { source })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    // What the URL says comes later and therefore wins.
    let options = match config.get_options() {
        Some(more) => format!("{USE_SCHEMA} {more}"),
        None => USE_SCHEMA.to_owned(),
    };
    config.options(options);
    Ok(config)
}

async fn connect(config: &Config) -> Result<Client, StoreError> {
    let connected = config.connect(NoTls).await;
    let (client, connection) =
        connected.map_err(|source| StoreError::Connect { address: address(config), source })?;
    // Ends with the connection. Its error reaches whoever uses the client next.
    tokio::spawn(connection);
    Ok(client)
}

/// Where the server is, without the password that the URL may hold.
fn address(config: &Config) -> String {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(directory) => directory.display().to_string(),
        })
        .collect();
    hosts.join(", ")
}

/// Whether the server is gone, rather than of another opinion. Class 57P is what it says when an
/// administrator stops it or it is starting.
fn is_connection_lost(error: &tokio_postgres::Error) -> bool {
    error.code().is_none_or(|code| code.code().starts_with("57P"))
}

fn refused(action: &'static str, source: tokio_postgres::Error) -> StoreError {
    StoreError::Query { action, source: Box::new(source) }
}

/// With the types known, a statement takes one round trip instead of two.
fn parameters<'a>(statement: &'a Statement<'_>) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    let parameter = |value: &'a Value<'_>| -> (&'a (dyn ToSql + Sync), Type) {
        match value {
            Value::Text(text) => (text, Type::TEXT),
            Value::Integer(number) => (number, Type::INT4),
            Value::BigInteger(number) => (number, Type::INT8),
        }
    };
    statement.values.iter().map(parameter).collect()
}

impl Columns for Row {
    fn text(&self, column: usize) -> Result<String, StoreError> {
        self.try_get(column).map_err(malformed)
    }

    fn integer(&self, column: usize) -> Result<i32, StoreError> {
        self.try_get(column).map_err(malformed)
    }

    fn big_integer(&self, column: usize) -> Result<i64, StoreError> {
        self.try_get(column).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::{address, configuration};

    #[test]
    fn the_schema_of_the_url_wins() {
        let config = configuration("postgresql://u@h/d?options=-c%20search_path%3Dmine").unwrap();
        let options = config.get_options().unwrap();
        assert_eq!(options, "-c search_path=trainticket -c search_path=mine");
    }

    #[test]
    fn addresses_hold_no_password() {
        let config = configuration("postgresql://u:secret@db.example:5433/d").unwrap();
        assert_eq!(address(&config), "db.example");
        let config = configuration("postgresql:///d?host=/var/run/postgresql").unwrap();
        assert_eq!(address(&config), "/var/run/postgresql");
    }
}
