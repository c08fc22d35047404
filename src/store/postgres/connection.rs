//! Connections to the database: their pool, their settings, and statements in flight.

use std::{error::Error as _, task::Poll, time::Duration};

use deadpool_postgres::{
    Hook, Manager, ManagerConfig, Object, Pool, PoolError, QueueMode, RecyclingMethod, Runtime,
};
use futures_util::poll;
use tokio_postgres::{
    Client, Error, Row, Socket, config::TargetSessionAttrs, error::SqlState, types::ToSql,
};

use super::{
    address::Address,
    tls::{Stream, Tls, distrust},
};
use crate::store::StoreError;

/// The most connections of one replica, besides the one that listens. That many commits share a
/// flush of the disk, which is what a decision waits for, and three replicas stay below
/// PostgreSQL's usual 100.
const MOST_CONNECTIONS: usize = 20;
/// How long an operation waits for a free or a new connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Settings by which the server notices within seconds that a client has vanished, and releases
/// what the session held, including the lock of a migration.
macro_rules! noticed {
    ($settings:literal) => {
        concat!(
            "
SET tcp_keepalives_idle = 8;
SET tcp_keepalives_interval = 3;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = '15s';",
            $settings
        )
    };
}
/// The settings of a connection outside the pool.
const SETTINGS_APART: &str = noticed!("");
/// The settings of a connection in the pool.
///
/// - The server rolls back within seconds what a vanished replica has begun, whether or not the
///   replica's machine closed the connection.
/// - A commit reaches the disk, even where the server's own setting says otherwise.
/// - Every statement has an index to use, row by row. It is planned once, and a plan made while a
///   table was empty must not read the whole table when it is full, either to search or to join it.
///   For the same reason, statements ask `(SELECT 1 … LIMIT 1) IS NULL` rather than NOT EXISTS,
///   for which all rows may be gathered beforehand. They fence with OFFSET 0 what is to be looked
///   up row by row, and select the rows that they change in an ARRAY. No statement is worth JIT
///   compilation, or more than one process.
const SETTINGS: &str = noticed!(
    "
SET default_transaction_isolation = 'read committed';
SET idle_in_transaction_session_timeout = '10s';
SET statement_timeout = '30s';
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_bitmapscan = off;
SET plan_cache_mode = force_generic_plan;
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off';
"
);

/// A connection of the pool, which returns there when it is dropped.
pub(super) type Connection = Object;

/// Access to the database.
pub(super) struct Database {
    pool: Pool,
    address: Address,
    tls: Tls,
}

impl Database {
    /// Prepares access to the database. It connects to nothing yet.
    pub(super) fn new(address: &Address) -> Result<Self, StoreError> {
        let tls = Tls::new(&address.trust)?;
        let mut address = address.clone();

        // With several hosts, and after a failover, the connection must be to the primary.
        address
            .config
            .target_session_attrs(TargetSessionAttrs::ReadWrite);

        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let pool = Pool::builder(Manager::from_config(
            address.config.clone(),
            tls.clone(),
            recycling,
        ))
        .max_size(MOST_CONNECTIONS)
        // The connection that was used last has its statements cached.
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(PATIENCE))
        .post_create(Hook::async_fn(|client, _| {
            Box::pin(async move {
                client
                    .batch_execute(SETTINGS)
                    .await
                    .map_err(deadpool_postgres::HookError::Backend)
            })
        }))
        .build()
        .map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Self { pool, address, tls })
    }

    pub(super) async fn connection(&self) -> Result<Connection, StoreError> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => self.unreachable(&error),
            PoolError::PostCreateHook(deadpool_postgres::HookError::Backend(error)) => {
                failure(error)
            }
            PoolError::Timeout(_) => StoreError::Failed(format!(
                "{}: no connection within {} s",
                self.address,
                PATIENCE.as_secs()
            )),
            other => StoreError::Failed(other.to_string()),
        })
    }

    /// Opens a connection outside the pool, for exclusive use. The caller must poll its second
    /// half, and begin with [`noticed()`].
    pub(super) async fn connection_apart(
        &self,
    ) -> Result<(Client, tokio_postgres::Connection<Socket, Stream>), StoreError> {
        let connect = self.address.config.connect(self.tls.clone());
        match tokio::time::timeout(PATIENCE, connect).await {
            Ok(connected) => connected.map_err(|error| self.unreachable(&error)),
            Err(_) => Err(StoreError::Failed(format!(
                "{}: no answer within {} s",
                self.address,
                PATIENCE.as_secs()
            ))),
        }
    }

    fn unreachable(&self, error: &Error) -> StoreError {
        let why = distrust(error).unwrap_or_else(|| words(error));
        StoreError::Failed(format!("{} cannot be reached: {why}", self.address))
    }

    /// Runs a query, or a change in a single statement, which is atomic.
    pub(super) async fn query(
        &self,
        statement: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let connection = self.connection().await?;
        let prepared = connection
            .prepare_cached(statement)
            .await
            .map_err(failure)?;

        connection
            .query(&prepared, parameters)
            .await
            .map_err(failure)
    }

    pub(super) async fn begin(&self) -> Result<Transaction, StoreError> {
        Ok(Transaction(Some(self.connection().await?)))
    }
}

/// Makes the server notice when a connection outside the pool is gone.
pub(super) async fn noticed(client: &Client) -> Result<(), StoreError> {
    client.batch_execute(SETTINGS_APART).await.map_err(failure)
}

/// The parameters of a statement: `$1`, `$2` and so on.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// Statements that are sent to the server together, without waiting for each other's results. They
/// run in order.
#[derive(Default)]
pub(super) struct Flight<'a>(Vec<(&'static str, Vec<Parameter<'a>>)>);

impl<'a> Flight<'a> {
    pub(super) fn add(
        &mut self,
        statement: &'static str,
        parameters: Vec<Parameter<'a>>,
    ) -> &mut Self {
        self.0.push((statement, parameters));
        self
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the rows of each statement.
    async fn fly(self, connection: &Connection) -> Result<Vec<Vec<Row>>, Error> {
        // All statements are prepared first. Otherwise the others would overtake one that has to be
        // prepared.
        let mut prepared = Vec::with_capacity(self.0.len());
        for (statement, _) in &self.0 {
            prepared.push(connection.prepare_cached(statement).await?);
        }

        let mut under_way = Vec::with_capacity(prepared.len());
        for (statement, (_, parameters)) in prepared.iter().zip(&self.0) {
            let mut answer = Box::pin(connection.query(statement, parameters));
            // A query is sent when it is first polled.
            let early = poll!(&mut answer);
            under_way.push((answer, early));
        }

        let mut answers = Vec::with_capacity(under_way.len());
        for (answer, early) in under_way {
            answers.push(match early {
                Poll::Ready(rows) => rows?,
                Poll::Pending => answer.await?,
            });
        }

        Ok(answers)
    }
}

/// Changes that are committed together. If the transaction is dropped before its end, or if a
/// statement fails, the connection is closed and the server rolls back.
pub(super) struct Transaction(Option<Connection>);

impl Transaction {
    /// Sends a flight of statements. The first flight must begin with `BEGIN`.
    pub(super) async fn send(&self, flight: Flight<'_>) -> Result<Vec<Vec<Row>>, StoreError> {
        let Some(connection) = &self.0 else {
            return Err(StoreError::Failed("the transaction is over".into()));
        };
        flight.fly(connection).await.map_err(failure)
    }

    /// Sends the last flight together with COMMIT.
    ///
    /// If the connection breaks, the result of the commit is unknown. Every operation can handle
    /// that.
    pub(super) async fn commit(
        mut self,
        mut flight: Flight<'_>,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        flight.add("COMMIT", vec![]);
        let answers = self.send(flight).await?;
        // The connection returns to the pool.
        drop(self.0.take());
        Ok(answers)
    }

    /// Rolls the transaction back.
    pub(super) async fn undo(mut self) -> Result<(), StoreError> {
        let mut flight = Flight::default();
        flight.add("ROLLBACK", vec![]);
        self.send(flight).await?;
        drop(self.0.take());
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

/// Translates an error of PostgreSQL into the operator's terms.
#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
pub(super) fn failure(error: Error) -> StoreError {
    match error.code() {
        Some(&SqlState::DISK_FULL) => StoreError::Full,
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => StoreError::Failed(
            "the database is read-only: is it a standby, or short of space?".into(),
        ),
        Some(code) if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED => {
            StoreError::Damaged(words(&error))
        }
        _ => StoreError::Failed(words(&error)),
    }
}

/// Returns the message of an error, in PostgreSQL's own words if it has some. Its detail is left
/// out, because it may quote stored data.
fn words(error: &Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", said.message(), said.code().code());
    }
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
