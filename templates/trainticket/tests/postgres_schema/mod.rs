//! PostgreSQL for tests: the one that `DATABASE_URL` names, or none.

use std::env;
use std::io::{self, Write};

/// A schema of one test's own.
pub(crate) struct PostgresSchema {
    /// The database's URL, which names this schema and uses its name as that of the application.
    pub(crate) url: String,
    name: String,
    client: tokio_postgres::Client,
}

impl PostgresSchema {
    /// Makes a schema, or says that the test is skipped.
    pub(crate) async fn make(test: &str) -> Option<Self> {
        let url = env::var("DATABASE_URL").unwrap_or_default();
        if !url.starts_with("postgres") {
            let _ = writeln!(
                io::stderr(),
                "SKIPPED: PostgreSQL was not tested ({test}); set DATABASE_URL=postgresql://… to do so"
            );
            return None;
        }
        let (client, connection) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let name = format!("trainticket_{test}_{}", std::process::id());
        client.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
        let separator = if url.contains('?') { '&' } else { '?' };
        let options = format!("options=-c%20search_path%3D{name}&application_name={name}");
        Some(Self { url: format!("{url}{separator}{options}"), name, client })
    }

    /// Removes the schema and everything in it.
    pub(crate) async fn drop(self) {
        self.client.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.name)).await.unwrap();
    }
}
