//! From columns to structs. A wrong name or type is an error, never a silent `None`.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio_postgres::types::{FromSql, Type};

use crate::{Error, Result};

/// A column of a statement's answer.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Type,
}

/// What a statement answered.
#[derive(Debug)]
pub(super) struct Rows {
    columns: Arc<[Column]>,
    /// For each row its values: a length (-1 for null) and as many bytes, after one another.
    rows: Vec<Bytes>,
}

/// Something that a row is read into.
pub trait FromRow: Sized {
    /// Takes every column, in the order of the statement.
    ///
    /// # Errors
    /// As [`Row::take`].
    fn from_row(row: &mut Row<'_>) -> Result<Self>;
}

/// A row, of which the columns are taken from left to right.
#[derive(Debug)]
pub struct Row<'a> {
    columns: std::slice::Iter<'a, Column>,
    values: &'a [u8],
}

impl Rows {
    pub(super) fn new(columns: Arc<[Column]>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(super) fn push(&mut self, values: Bytes) {
        self.rows.push(values);
    }

    pub(super) fn decode<T: FromRow>(&self) -> Result<Vec<T>> {
        self.rows.iter().map(|values| Row { columns: self.columns.iter(), values }.read()).collect()
    }
}

impl<'a> Row<'a> {
    /// The next column, which must have this name, as a `T`; null only as an `Option`.
    ///
    /// # Errors
    /// Another name, another type, a null that was not expected.
    pub fn take<T: FromSql<'a>>(&mut self, name: &str) -> Result<T> {
        let odd = |what: String| Error::Internal(format!("column {name}: {what}"));
        let column = self.columns.next().ok_or_else(|| odd("the row has no more columns".into()))?;
        if column.name != name {
            return Err(odd(format!("{} stands there", column.name)));
        }
        if !T::accepts(&column.kind) {
            return Err(odd(format!("its type {} is not what is read", column.kind)));
        }
        let value = next_value(&mut self.values).ok_or_else(|| odd("the row ends within".into()))?;
        T::from_sql_nullable(&column.kind, value).map_err(|error| odd(error.to_string()))
    }

    fn read<T: FromRow>(mut self) -> Result<T> {
        let read = T::from_row(&mut self)?;
        match self.columns.next() {
            None => Ok(read),
            Some(column) => Err(Error::Internal(format!("column {}: nobody takes it", column.name))),
        }
    }
}

/// Cuts the next value off; `None` where the bytes end too early.
pub(super) fn next_value<'a>(values: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    if values.len() < 4 {
        return None;
    }
    match usize::try_from(values.get_i32()) {
        // Null.
        Err(_) => Some(None),
        Ok(length) => {
            let (value, rest) = values.split_at_checked(length)?;
            *values = rest;
            Some(Some(value))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Pair(String, Option<i32>);

    impl FromRow for Pair {
        fn from_row(row: &mut Row<'_>) -> Result<Self> {
            Ok(Self(row.take("name")?, row.take("number")?))
        }
    }

    fn rows(columns: &[(&str, Type)], values: &'static [u8]) -> Result<Vec<Pair>> {
        let column = |(name, kind): &(&str, Type)| Column { name: (*name).to_owned(), kind: kind.clone() };
        let mut rows = Rows::new(columns.iter().map(column).collect());
        rows.push(Bytes::from_static(values));
        rows.decode()
    }

    const NAME: (&str, Type) = ("name", Type::TEXT);
    const NUMBER: (&str, Type) = ("number", Type::INT4);
    const VALUES: &[u8] = b"\0\0\0\x02ab\0\0\0\x04\0\0\0\x07";

    #[test]
    fn columns_are_taken_by_name_and_type() {
        assert_eq!(rows(&[NAME, NUMBER], VALUES).unwrap(), [Pair("ab".into(), Some(7))]);
        assert_eq!(rows(&[NAME, NUMBER], b"\0\0\0\0\xff\xff\xff\xff").unwrap(), [Pair(String::new(), None)]);
    }

    #[test]
    fn whatever_does_not_fit_is_an_error_and_no_none() {
        let extra = ("extra", Type::INT4);
        for (columns, values, expected) in [
            (vec![NUMBER, NAME], VALUES, "column name: number stands there"),
            (vec![NAME, ("number", Type::INT8)], VALUES, "column number: its type int8 is not what is read"),
            (vec![NAME], VALUES, "column number: the row has no more columns"),
            (vec![NAME, NUMBER, extra], VALUES, "column extra: nobody takes it"),
            (vec![NAME, NUMBER], b"\xff\xff\xff\xff\xff\xff\xff\xff", "column name: a Postgres value was `NULL`"),
            (vec![NAME, NUMBER], b"\0\0\0\x09ab", "column name: the row ends within"),
            (vec![NAME, NUMBER], b"\0\0\0\x02ab\0\0", "column number: the row ends within"),
        ] {
            assert_eq!(rows(&columns, values).unwrap_err().to_string(), expected);
        }
    }
}
