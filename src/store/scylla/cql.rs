//! Statements sent and answers read: what a failure means, what a conditional statement came to, and numbers' two forms.

use std::collections::HashMap;

use parlance_actors::ports::store::StoreError;
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::Batch;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlValue, Row};

use futures_util::{StreamExt, TryStreamExt};

/// A row's values, for batches whose statements differ.
pub(super) type Values = Vec<Option<CqlValue>>;

/// What a conditional statement came to.
#[derive(Debug)]
pub(super) enum Cas {
    /// It was done.
    Applied,
    /// It was not; what is there instead, by column. Empty where nothing is.
    Refused(Found),
}

/// The columns that a refused conditional statement shows. Servers differ in which, so that they are read by name.
#[derive(Debug, Default)]
pub(super) struct Found(HashMap<String, CqlValue>);

impl Found {
    /// A column with an unsigned number.
    pub fn number(&self, column: &str) -> Option<u64> {
        self.0.get(column).and_then(CqlValue::as_bigint).and_then(|number| u64::try_from(number).ok())
    }
}

/// CQL's integer for an unsigned one; whatever is too large stands for "no end".
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The unsigned integer of a column.
pub(super) fn uint(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(corrupt)
}

/// A value of a batch.
pub(super) fn big(number: u64) -> Option<CqlValue> {
    Some(CqlValue::BigInt(int(number)))
}

/// A column that can't be what was written.
pub(super) fn corrupt(what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(what.to_string())
}

/// A value as the blob that is kept of it.
pub(super) fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    rmp_serde::to_vec_named(value).map_err(corrupt)
}

/// The value of a blob.
pub(super) fn decode<T: serde::de::DeserializeOwned>(blob: &[u8]) -> Result<T, StoreError> {
    rmp_serde::from_slice(blob).map_err(corrupt)
}

/// A read that failed did nothing.
pub(super) fn read_failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// A write that failed: where it certainly never began, it is `Unavailable`, else `Unknown`.
///
/// "Unavailable" and "overloaded", as servers say them, are no proof for a conditional write: its last phase may say so too.
pub(super) fn write_failed(error: &ExecutionError) -> StoreError {
    let never_began = match error {
        ExecutionError::BadQuery(_)
        | ExecutionError::EmptyPlan
        | ExecutionError::PrepareError(_)
        | ExecutionError::ConnectionPoolError(_) => true,
        ExecutionError::LastAttemptError(attempt) => match attempt {
            RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_)
            | RequestAttemptError::UnableToAllocStreamId => true,
            RequestAttemptError::DbError(said, _) => matches!(
                said,
                DbError::SyntaxError
                    | DbError::Invalid
                    | DbError::Unauthorized
                    | DbError::IsBootstrapping
                    | DbError::Unprepared { .. }
            ),
            _ => false,
        },
        _ => false,
    };
    let words = error.to_string();
    if never_began { StoreError::Unavailable(words) } else { StoreError::Unknown(words) }
}

/// Reads all rows of a statement, page by page.
pub(super) async fn rows<R>(
    db: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Vec<R>, StoreError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let pager = db.execute_iter(statement.clone(), values).await.map_err(read_failed)?;
    pager.rows_stream::<R>().map_err(corrupt)?.try_collect().await.map_err(read_failed)
}

/// Reads rows of a statement, page by page, until `wanted` are there.
pub(super) async fn some_rows<R>(
    db: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
    wanted: usize,
) -> Result<Vec<R>, StoreError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let pager = db.execute_iter(statement.clone(), values).await.map_err(read_failed)?;
    pager.rows_stream::<R>().map_err(corrupt)?.take(wanted).try_collect().await.map_err(read_failed)
}

/// Reads the one row that a statement finds, if any.
pub(super) async fn row<R>(
    db: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Option<R>, StoreError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let found = db.execute_unpaged(statement, values).await.map_err(read_failed)?;
    let found = found.into_rows_result().map_err(corrupt)?;
    found.maybe_first_row::<R>().map_err(corrupt)
}

/// Writes unconditionally; to do it twice does no harm.
pub(super) async fn write(
    db: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<(), StoreError> {
    db.execute_unpaged(statement, values).await.map_err(|error| write_failed(&error))?;
    Ok(())
}

/// Writes several rows of one partition together, unconditionally.
pub(super) async fn write_batch(db: &Session, batch: &Batch, values: Vec<Values>) -> Result<(), StoreError> {
    db.batch(batch, values).await.map_err(|error| write_failed(&error))?;
    Ok(())
}

/// Runs a conditional statement. `Unknown` leaves open whether it was, or will be, done.
pub(super) async fn cas(
    db: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Cas, StoreError> {
    outcome(db.execute_unpaged(statement, values).await.map_err(|error| write_failed(&error))?)
}

/// Runs a conditional batch of one partition.
pub(super) async fn cas_batch(db: &Session, batch: &Batch, values: Vec<Values>) -> Result<Cas, StoreError> {
    outcome(db.batch(batch, values).await.map_err(|error| write_failed(&error))?)
}

fn outcome(answer: QueryResult) -> Result<Cas, StoreError> {
    // The server has said something about it that can't be read: that is not to know.
    let unknown = |error: &dyn std::fmt::Display| StoreError::Unknown(error.to_string());
    let answer = answer.into_rows_result().map_err(|error| unknown(&error))?;
    let names: Vec<String> = answer.column_specs().iter().map(|column| column.name().to_owned()).collect();
    let row = answer.first_row::<Row>().map_err(|error| unknown(&error))?;
    let values = names.into_iter().zip(row.columns).filter_map(|(name, value)| Some((name, value?)));
    let found = Found(values.collect());
    match found.0.get("[applied]").and_then(CqlValue::as_boolean) {
        Some(true) => Ok(Cas::Applied),
        Some(false) => Ok(Cas::Refused(found)),
        None => Err(StoreError::Unknown("a conditional statement's answer does not say whether it was done".into())),
    }
}
