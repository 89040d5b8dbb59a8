//! One raw connection as a service's role: who it acts as, and what a statement comes to.

use futures::TryStreamExt;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection, Either, PgConnection, Row, ValueRef,
    postgres::{PgConnectOptions, PgRow},
};
use uuid::Uuid;

use super::{Attempt, Disguise, Ledger, Party, Verdict};
use crate::{Error, Result, Role, TenantId};

/// SQLSTATEs that say "try again": the product changed the same row meanwhile.
const COLLISIONS: [&str; 3] = ["40001", "40P01", "55P03"];
/// SQLSTATEs of a statement that makes no sense: syntax, casts, functions, columns, types, parameters that there are not.
/// It fails before any wall is asked, whatever ids it has, so it proves nothing.
const MALFORMED: [&str; 7] = ["42601", "42846", "42883", "42703", "42804", "42P02", "42P18"];
/// The class of SQLSTATEs that say that a value can't be what it is given for.
const BAD_VALUE: &str = "22";

/// Who a transaction acts as inside a tenant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Act {
    /// `app.role`.
    pub(super) role: &'static str,
    /// Whose id `app.member_id` is.
    member: Option<Role>,
}

impl Act {
    /// What a service acts as: the application everything, the others what their policies name.
    pub(super) fn all_of(service: &str) -> Vec<Self> {
        let member = |role: Role| Self { role: role.as_str(), member: Some(role) };
        let nobody = |role| Self { role, member: None };
        let mut acts = vec![member(Role::Owner), nobody("system"), nobody("operator")];
        if service == "ffp_app" {
            acts.extend([member(Role::Admin), member(Role::Coach), member(Role::Athlete)]);
        }
        acts
    }

    /// The three settings for a party, as one statement.
    pub(super) fn enter(self, party: &Party) -> String {
        let member = self.member.and_then(|role| party.member(role).or(party.members.first().map(|(id, _)| *id)));
        settings(party.tenant, self.role, &member.map(|id| id.to_string()).unwrap_or_default())
    }
}

/// The statement that `TenantTx` begins with.
pub(super) fn settings(tenant: TenantId, role: &str, member: &str) -> String {
    format!(
        "select set_config('app.tenant_id', '{tenant}', true), set_config('app.member_id', '{member}', true), \
         set_config('app.role', '{role}', true)"
    )
}

/// What a statement came to.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Each row's values as text.
    pub(super) rows: Vec<String>,
    /// Rows that the statements touched or answered.
    pub(super) touched: u64,
    /// SQLSTATE, and message with detail.
    pub(super) error: Option<(String, String)>,
}

impl Outcome {
    /// Everything about it, for comparing.
    pub(super) fn text(&self) -> String {
        match &self.error {
            Some((code, message)) => format!("{code} {message}"),
            None => format!("{} rows: {}", self.touched, self.rows.join(" | ")),
        }
    }

    /// The first value of the only row.
    pub(super) fn scalar(&self) -> Option<&str> {
        match self.rows.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    pub(super) fn code(&self) -> Option<&str> {
        self.error.as_ref().map(|(code, _)| code.as_str())
    }

    /// Whether the statement made no sense, so that no wall was asked.
    pub(super) fn is_malformed(&self) -> bool {
        self.code().is_some_and(|code| MALFORMED.contains(&code))
    }

    /// Whether it came no further than to its own values.
    pub(super) fn is_stuck(&self) -> bool {
        self.is_malformed() || self.code().is_some_and(|code| code.starts_with(BAD_VALUE))
    }

    fn collided(&self) -> bool {
        self.code().is_some_and(|code| COLLISIONS.contains(&code))
    }

    /// The beginning of it, for a reader.
    pub(super) fn brief(&self) -> String {
        let text = self.text();
        match text.char_indices().nth(300) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    }
}

/// What an attempt may come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expect {
    /// The same as with nobody's ids.
    Same,
    /// One row that says zero, none or false: it counts what the statement must not reach.
    Nothing,
    /// Refused.
    Refused,
    /// Refused, or nothing found and nothing touched; which of these may depend on what there is.
    Shut,
}

/// One statement and what it must come to.
pub(super) struct Assault {
    pub(super) group: &'static str,
    pub(super) subject: String,
    pub(super) sql: String,
    pub(super) expect: Expect,
}

/// What the victim sees of its own rows, before any attempt of a transaction.
pub(super) struct Watch {
    /// Statements that read it, and then act as the attacker again.
    pub(super) sql: String,
    /// What they answer.
    pub(super) rows: Vec<String>,
}

/// A connection as one role.
pub(super) struct Session {
    connection: PgConnection,
    /// The role.
    pub(super) role: &'static str,
}

impl Session {
    /// Connects; the role must be the one that the URL is said to be for.
    pub(super) async fn open(role: &'static str, url: &SecretString) -> Result<Self> {
        let options: PgConnectOptions =
            url.expose_secret().parse().map_err(|_| Error::Internal(format!("the URL for {role} is not one")))?;
        let options = options.disable_statement_logging().application_name("ffp-prove-isolation");
        let connection = PgConnection::connect_with(&options).await?;
        let mut session = Self { connection, role };
        let who = session.run("select current_user::text").await;
        if who.scalar() != Some(role) {
            return Err(Error::Internal(format!("the URL for {role} connects as somebody else: {}", who.brief())));
        }
        Ok(session)
    }

    pub(super) async fn close(self) {
        // The server notices either way.
        let _ = self.connection.close().await;
    }

    /// The connection itself, for COPY.
    pub(super) fn raw(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Runs statements, several if there are several, and answers what they came to. They are made here, of names from
    /// the catalogue and parsed ids; attacking with unprepared text is the point.
    pub(super) async fn run(&mut self, sql: &str) -> Outcome {
        let mut outcome = Outcome::default();
        let mut answers = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_many(&mut self.connection);
        loop {
            match answers.try_next().await {
                Ok(Some(Either::Left(done))) => outcome.touched += done.rows_affected(),
                Ok(Some(Either::Right(row))) => outcome.rows.push(as_text(&row)),
                Ok(None) => return outcome,
                Err(error) => {
                    outcome.error = Some(refusal(&error));
                    return outcome;
                }
            }
        }
    }

    /// As [`run`](Self::run), where failing is a defect of the proof or of the database.
    pub(super) async fn must(&mut self, sql: &str) -> Result<Outcome> {
        let outcome = self.run(sql).await;
        match &outcome.error {
            None => Ok(outcome),
            Some((code, message)) => Err(Error::Internal(format!("{}: {code} {message}: {sql}", self.role))),
        }
    }

    /// Begins a transaction in a snapshot of its own.
    pub(super) async fn begin(&mut self) -> Result<()> {
        self.must("begin isolation level repeatable read").await.map(|_| ())
    }

    /// From here on every attempt starts from this state.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.must("savepoint attempt").await.map(|_| ())
    }

    /// Undoes the transaction.
    pub(super) async fn end(&mut self) -> Result<()> {
        self.must("rollback").await.map(|_| ())
    }

    /// Runs a statement from the settled state.
    pub(super) async fn attempt(&mut self, sql: &str) -> Outcome {
        self.run(&format!("rollback to savepoint attempt; {sql}")).await
    }

    /// Makes an attempt, judges it, and answers what it came to. None when it collided with the product: the transaction is
    /// to be begun anew.
    pub(super) async fn assault(
        &mut self,
        assault: &Assault,
        watch: Option<&Watch>,
        disguise: &Disguise,
        ledger: &Ledger,
    ) -> Result<Option<Outcome>> {
        let control = match assault.expect {
            Expect::Same => Some(self.attempt(&disguise.apply(&assault.sql)).await),
            Expect::Nothing | Expect::Refused | Expect::Shut => None,
        };
        let outcome = self.attempt(&assault.sql).await;
        if outcome.collided() || control.as_ref().is_some_and(Outcome::collided) {
            return Ok(None);
        }
        let mut verdict = judge(assault, &outcome, control.as_ref(), disguise);
        // A statement that failed changed nothing. What this one did is still to be seen: nothing was undone yet.
        if let (Ok(_), Some(watch), None) = (&verdict, watch, &outcome.error) {
            let after = self.run(&watch.sql).await;
            if after.collided() {
                return Ok(None);
            }
            if after.rows != watch.rows {
                verdict = Err("what the other tenant sees of its own rows has changed".to_owned());
            }
        }
        let (verdict, detail) = match verdict {
            Ok(_) if outcome.is_malformed() => (
                Verdict::Unproved,
                format!("it makes no sense to PostgreSQL, so no wall was asked: {}", outcome.brief()),
            ),
            Ok(how) => (Verdict::Held, how),
            Err(why) => (Verdict::Leak, format!("{why}: {}", outcome.brief())),
        };
        ledger.record(Attempt::new(assault.group, &assault.subject, &assault.sql, verdict, detail));
        Ok(Some(outcome))
    }
}

/// How it held, or why it did not.
fn judge(
    assault: &Assault,
    outcome: &Outcome,
    control: Option<&Outcome>,
    disguise: &Disguise,
) -> Result<String, String> {
    if let (Expect::Shut, Some(code)) = (assault.expect, outcome.code()) {
        return Ok(code.to_owned());
    }
    let (answer, asked) = (outcome.text(), &assault.sql);
    if let Some(secret) = disguise.betrayed(&answer, asked) {
        return Err(format!("the answer holds the other tenant's {secret}"));
    }
    match assault.expect {
        Expect::Refused if outcome.error.is_none() => Err("it was not refused".to_owned()),
        Expect::Shut if outcome.touched == 0 || outcome.scalar() == Some("0") => Ok("nothing".to_owned()),
        Expect::Shut => Err("it reaches rows that are not the transaction's".to_owned()),
        Expect::Nothing if outcome.error.is_none() => match outcome.scalar() {
            Some("0" | "f" | "" | "∅") => Ok("nothing".to_owned()),
            _ => Err("it reaches rows that are not the transaction's".to_owned()),
        },
        Expect::Same => {
            let control = control.map(|control| disguise.level(&control.text())).unwrap_or_default();
            if disguise.level(&answer) == control {
                Ok(outcome.code().map_or_else(|| format!("{} rows", outcome.touched), str::to_owned))
            } else {
                Err(format!("with nobody's ids it is `{}`", control.chars().take(200).collect::<String>()))
            }
        }
        Expect::Refused | Expect::Nothing => Ok(outcome.code().unwrap_or_default().to_owned()),
    }
}

fn as_text(row: &PgRow) -> String {
    let value = |index: usize| match row.try_get_raw(index) {
        Ok(value) if value.is_null() => "∅".to_owned(),
        Ok(value) => value.as_str().unwrap_or("?").to_owned(),
        Err(_) => "?".to_owned(),
    };
    row.columns().iter().map(|column| value(column.ordinal())).collect::<Vec<_>>().join(", ")
}

/// SQLSTATE, and message with detail.
pub(super) fn refusal(error: &sqlx::Error) -> (String, String) {
    match error {
        sqlx::Error::Database(cause) => {
            let detail = cause.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().and_then(|it| it.detail());
            let message = [Some(cause.message()), detail].into_iter().flatten().collect::<Vec<_>>().join(": ");
            (cause.code().unwrap_or_default().into_owned(), message)
        }
        other => ("client".to_owned(), other.to_string()),
    }
}

/// An id that nobody has.
pub(super) fn fresh() -> Uuid {
    Uuid::now_v7()
}
