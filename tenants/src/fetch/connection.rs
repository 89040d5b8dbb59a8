//! One connection to PostgreSQL: messages out in one piece, and what may come back.

use std::{io, sync::Arc, time::Instant};

use bytes::{Buf, BytesMut};
use postgres_protocol::message::{
    backend::{DataRowBody, ErrorResponseBody, Message},
    frontend,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::{fallible_iterator::FallibleIterator, types::Type};

use super::{
    Parameter,
    address::Socket,
    rows::{Column, Rows, next_value},
};
use crate::{
    Actor, Error, TenantId, error,
    guard::guard,
    sabotage::{self, Leak},
};

/// Who asks and how: for this transaction only, and before anything else in it.
///
/// Policies and statements both name the tenant, which the planner takes for two independent conditions: it expects a
/// row or two of a tenant that has thousands, and would rather fetch and sort them all by a bitmap than walk an index
/// to the page's end. What is read here is one row or one page: it always walks. Where one tenant has much more than the
/// others, a plan for any values looks dear to it for the same reason, and it would plan each read anew, which takes
/// longer than the read. These statements are written to have one good plan.
const SETTINGS: &str = "select pg_catalog.set_config('transaction_read_only', 'on', true), \
                        pg_catalog.set_config('enable_bitmapscan', 'off', true), \
                        pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true), \
                        pg_catalog.set_config('app.tenant_id', $1, true), \
                        pg_catalog.set_config('app.member_id', $2, true), pg_catalog.set_config('app.role', $3, true)";
/// Free bytes to read into; an answer of 20 rows has about ten thousand.
const READ: usize = 16 * 1024;
/// Values in PostgreSQL's binary form.
const BINARY: [i16; 1] = [1];

/// Why a connection gave no rows.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refused; the connection goes on.
    Refused {
        /// SQLSTATE.
        code: String,
        /// The server's words.
        message: String,
    },
    /// The connection is gone, or the server is stopping or starting.
    Lost(String),
    /// It was used wrongly, which it survives, or it said something unexpected and is not used again.
    Broken(String),
}

/// A prepared statement.
struct Prepared {
    text: &'static str,
    name: String,
    parameters: Vec<Type>,
    columns: Arc<[Column]>,
}

/// A connection that is used by one caller at a time.
pub(super) struct Connection {
    socket: Box<dyn Socket>,
    /// Bytes that are yet to be sent.
    output: BytesMut,
    input: BytesMut,
    /// How many times the server is yet to say that it is ready.
    owed: u32,
    /// False once it can't be known what state the server is in.
    is_sound: bool,
    statements: Vec<Prepared>,
    /// How many statements were ever named.
    named: u32,
    /// When it was last given back.
    pub(super) rested: Instant,
}

impl Connection {
    /// Over a stream that is logged in.
    pub(super) async fn new(socket: Box<dyn Socket>) -> Result<Self, Failure> {
        let mut connection = Self {
            socket,
            output: BytesMut::new(),
            input: BytesMut::with_capacity(READ),
            owed: 0,
            is_sound: true,
            statements: Vec::new(),
            named: 0,
            rested: Instant::now(),
        };
        connection.prepare(SETTINGS).await?;
        Ok(connection)
    }

    /// Whether the server has said everything it had to say, and all is as before.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_sound && self.owed == 0 && self.output.is_empty()
    }

    /// Whether it may come to rest.
    pub(super) fn is_sound(&self) -> bool {
        self.is_sound
    }

    /// Waits until the server is through with what a caller who left had asked for.
    pub(super) async fn settle(&mut self) -> Result<(), Failure> {
        self.send().await?;
        while self.owed > 0 {
            self.next().await?;
        }
        Ok(())
    }

    /// Runs a statement as this actor in this tenant.
    pub(super) async fn run(
        &mut self,
        tenant: TenantId,
        actor: Actor,
        text: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Rows, Failure> {
        let statement = match self.find(text) {
            Some(at) => at,
            None => self.prepare(text).await?,
        };
        let mut buffers = [[0; uuid::fmt::Hyphenated::LENGTH]; 2];
        let [first, second] = &mut buffers;
        let tenant: &str = tenant.0.as_hyphenated().encode_lower(first);
        let member = actor.member.as_ref().map_or("", |id| id.as_hyphenated().encode_lower(second));
        let settings = ["on", "off", "force_generic_plan", tenant, member, actor.role.as_str()];
        // SETTINGS was prepared first.
        let asking = self.bind(0, &[&settings[3], &settings[4], &settings[5]]);
        if let Err(failure) = asking.and_then(|()| self.bind(statement, parameters)) {
            // Nothing was sent yet.
            self.output.clear();
            return Err(failure);
        }
        self.sync();
        self.send().await?;
        self.answer(settings, Arc::clone(&self.statements[statement].columns)).await
    }

    /// The rows of the second statement, if the first has set what was asked.
    async fn answer(&mut self, settings: [&str; 6], columns: Arc<[Column]>) -> Result<Rows, Failure> {
        let mut rows = Rows::new(columns);
        let (mut are_set, mut complete, mut refusal) = (false, 0, None);
        loop {
            match self.next().await? {
                Message::BindComplete => {}
                Message::DataRow(row) if complete == 0 => {
                    are_set = holds(&row, settings) || sabotage::on(Leak::HotUnsettled)
                }
                Message::DataRow(row) => rows.push(row.buffer_bytes().clone()),
                Message::CommandComplete(_) => complete += 1,
                Message::ErrorResponse(body) => refusal = Some(refused(&body)),
                Message::ReadyForQuery(_) => break,
                _ => return Err(self.unexpected()),
            }
        }
        match refusal {
            Some(failure) if failure.is_forgotten_statement() => {
                // It may have forgotten them all, that of the settings too: only a new connection knows for sure.
                self.is_sound = false;
                Err(Failure::Lost("the connection has forgotten what was prepared on it".into()))
            }
            Some(failure) => Err(failure),
            None if are_set && complete == 2 => Ok(rows),
            None => Err(self.unexpected()),
        }
    }

    fn find(&self, text: &'static str) -> Option<usize> {
        // A constant is found by where it stands; should it stand twice it is prepared twice.
        self.statements.iter().position(|prepared| std::ptr::eq(prepared.text, text))
    }

    /// Has a statement prepared and answers its place.
    async fn prepare(&mut self, text: &'static str) -> Result<usize, Failure> {
        if !self.statements.is_empty() {
            guard(text).map_err(|refusal| Failure::Broken(refusal.to_string()))?;
        }
        let name = format!("hot{}", self.named);
        self.named += 1;
        frontend::parse(&name, text, [], &mut self.output)?;
        frontend::describe(b'S', &name, &mut self.output)?;
        self.sync();
        self.send().await?;
        let mut refusal = None;
        let mut parameters: Result<Vec<Type>, Failure> = Ok(Vec::new());
        let mut columns: Result<Vec<Column>, Failure> = Ok(Vec::new());
        loop {
            match self.next().await? {
                Message::ParseComplete | Message::NoData => {}
                Message::ParameterDescription(body) => {
                    let kinds: Vec<_> = body.parameters().map(|oid| Ok(kind(oid, "a parameter"))).collect()?;
                    parameters = kinds.into_iter().collect();
                }
                Message::RowDescription(body) => {
                    let column = |field: postgres_protocol::message::backend::Field<'_>| {
                        let name = field.name().to_owned();
                        Ok(kind(field.type_oid(), &name).map(|kind| Column { name, kind }))
                    };
                    let read: Vec<_> = body.fields().map(column).collect()?;
                    columns = read.into_iter().collect();
                }
                Message::ErrorResponse(body) => refusal = Some(refused(&body)),
                Message::ReadyForQuery(_) => break,
                _ => return Err(self.unexpected()),
            }
        }
        if let Some(failure) = refusal {
            return Err(failure);
        }
        self.statements.push(Prepared { text, name, parameters: parameters?, columns: columns?.into() });
        Ok(self.statements.len() - 1)
    }

    /// Forgets a prepared statement, here at once and on the server with the next message.
    pub(super) fn forget(&mut self, text: &'static str) -> Result<(), Failure> {
        if let Some(at) = self.find(text) {
            let forgotten = self.statements.remove(at);
            frontend::close(b'S', &forgotten.name, &mut self.output)?;
        }
        Ok(())
    }

    /// Puts a statement's execution into the message.
    fn bind(&mut self, statement: usize, values: &[Parameter<'_>]) -> Result<(), Failure> {
        let prepared = &self.statements[statement];
        if values.len() != prepared.parameters.len() {
            let (given, taken) = (values.len(), prepared.parameters.len());
            return Err(Failure::Broken(format!("a statement takes {taken} parameters and got {given}")));
        }
        let values = values.iter().zip(&prepared.parameters);
        let write = |(value, kind): (&Parameter<'_>, &Type), buffer: &mut BytesMut| {
            value.to_sql_checked(kind, buffer).map(|null| match null {
                tokio_postgres::types::IsNull::Yes => postgres_protocol::IsNull::Yes,
                tokio_postgres::types::IsNull::No => postgres_protocol::IsNull::No,
            })
        };
        let bound = frontend::bind("", &prepared.name, BINARY, values, write, BINARY, &mut self.output);
        bound.map_err(|error| match error {
            frontend::BindError::Conversion(error) => Failure::Broken(format!("a parameter: {error}")),
            frontend::BindError::Serialization(error) => Failure::Broken(error.to_string()),
        })?;
        frontend::execute("", 0, &mut self.output)?;
        Ok(())
    }

    /// Ends a message that the server answers as a whole.
    fn sync(&mut self) {
        frontend::sync(&mut self.output);
        self.owed += 1;
    }

    async fn send(&mut self) -> Result<(), Failure> {
        while !self.output.is_empty() {
            if self.socket.write_buf(&mut self.output).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
        }
        Ok(self.socket.flush().await?)
    }

    /// The server's next message, without what it says unasked.
    async fn next(&mut self) -> Result<Message, Failure> {
        loop {
            match Message::parse(&mut self.input) {
                Ok(Some(
                    Message::NoticeResponse(_)
                    | Message::ParameterStatus(_)
                    | Message::NotificationResponse(_)
                    | Message::CloseComplete,
                )) => {}
                Ok(Some(Message::ReadyForQuery(body))) => {
                    self.owed = self.owed.saturating_sub(1);
                    // Neither in a transaction nor in a failed one, or a statement has escaped its own.
                    self.is_sound &= body.status() == b'I';
                    return Ok(Message::ReadyForQuery(body));
                }
                Ok(Some(message)) => return Ok(message),
                Ok(None) => self.receive().await?,
                Err(_) => return Err(self.unexpected()),
            }
        }
    }

    async fn receive(&mut self) -> io::Result<()> {
        if self.input.capacity() - self.input.len() < READ / 2 {
            self.input.reserve(READ);
        }
        match self.socket.read_buf(&mut self.input).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn unexpected(&mut self) -> Failure {
        self.is_sound = false;
        Failure::Broken("PostgreSQL answered what is no answer to a hot read".into())
    }
}

/// Whether the row's values are these.
fn holds(row: &DataRowBody, expected: [&str; 6]) -> bool {
    let mut values = row.buffer();
    expected.into_iter().all(|text| next_value(&mut values) == Some(Some(text.as_bytes()))) && !values.has_remaining()
}

fn kind(oid: u32, of: &str) -> Result<Type, Failure> {
    Type::from_oid(oid).ok_or_else(|| Failure::Broken(format!("the type of {of} is not built in: cast it")))
}

fn refused(body: &ErrorResponseBody) -> Failure {
    let (mut code, mut message) = (String::new(), String::new());
    let mut fields = body.fields();
    while let Ok(Some(field)) = fields.next() {
        let text = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => code = text(),
            b'M' => message = text(),
            _ => {}
        }
    }
    Failure::of(code, message)
}

impl Failure {
    fn of(code: String, message: String) -> Self {
        if error::is_outage_code(&code) { Self::Lost(message) } else { Self::Refused { code, message } }
    }

    /// Of a login that failed.
    pub(super) fn of_login(failed: tokio_postgres::Error) -> Self {
        match failed.as_db_error() {
            Some(refusal) => Self::of(refusal.code().code().to_owned(), refusal.message().to_owned()),
            None => Self::Lost(format!("login: {failed}")),
        }
    }

    /// Whether the statement only has to be prepared again: a table was changed under it ("cached plan must not change
    /// result type", in the server's language).
    pub(super) fn is_stale_statement(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == error::STALE_STATEMENT)
    }

    /// Whether the connection no longer knows a statement that was prepared on it: whatever stands between here and the
    /// server has swapped it, or reset it.
    fn is_forgotten_statement(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "26000")
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused { code, message } => Self::Statement { code, message },
            Failure::Broken(what) => Self::Internal(what),
            Failure::Lost(error) => {
                tracing::warn!(error, "the database is away");
                Self::Unavailable("the database")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_outlives_its_transaction() {
        assert_eq!(SETTINGS.matches("set_config(").count(), SETTINGS.matches(", true)").count());
        assert_eq!(SETTINGS.matches("set_config(").count(), SETTINGS.matches("pg_catalog.set_config(").count());
    }
}
