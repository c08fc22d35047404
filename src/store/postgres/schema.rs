//! The schema and its version. One replica migrates while the others wait.

use tokio_postgres::Client;

use super::connection::{Database, failure, noticed};
use crate::store::StoreError;

refinery::embed_migrations!("schema/migrations/postgres");

/// Takes the advisory lock of the replica that migrates. PostgreSQL releases it with the
/// connection, however that ends.
const MIGRATING: &str = "SELECT pg_advisory_lock(hashtextextended('alertbridge.migrating', 0))";

/// Returns the newest version of the schema that this program knows.
pub(super) fn known() -> i32 {
    migrations::runner()
        .get_migrations()
        .iter()
        .map(refinery::Migration::version)
        .max()
        .unwrap_or(0)
}

/// Returns the version of the database's schema, which is 0 if it has none.
pub(super) async fn found(client: &Client) -> Result<i32, StoreError> {
    let made = client
        .query_one(
            "SELECT to_regclass('refinery_schema_history') IS NOT NULL",
            &[],
        )
        .await;

    if !made.map_err(failure)?.get::<_, bool>(0) {
        return Ok(0);
    }

    let newest = client
        .query_one(
            "SELECT coalesce(max(version), 0) FROM refinery_schema_history",
            &[],
        )
        .await;

    newest.map(|row| row.get(0)).map_err(failure)
}

/// Migrates the schema.
pub(super) async fn migrate(database: &Database) -> Result<(), StoreError> {
    apart(database, async |client| {
        let known = known();
        let mut version = found(client).await?;
        if version < known {
            client.batch_execute(MIGRATING).await.map_err(failure)?;
            // Another replica may have migrated in between.
            version = found(client).await?;
        }
        if version > known {
            return Err(StoreError::Newer {
                found: version,
                known,
            });
        }
        if version < known {
            // The migrations are grouped, so that a migration and its record are one commit.
            let migrated = migrations::runner()
                .set_grouped(true)
                .run_async(client)
                .await;
            migrated
                .map_err(|error| StoreError::Failed(format!("the migration failed: {error}")))?;
        }
        Ok(())
    })
    .await
}

/// Runs something on a connection of its own, which is closed afterwards.
pub(super) async fn apart<T>(
    database: &Database,
    work: impl AsyncFnOnce(&mut Client) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let (mut client, connection) = database.connection_apart().await?;
    let connection = tokio::spawn(connection);
    let done = async {
        noticed(&client).await?;
        work(&mut client).await
    }
    .await;

    drop(client);

    // The client has already reported its error.
    let _ = connection.await;

    done
}
