//! Lists: keyset pages with an opaque cursor.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Problem, pasted};

/// `?limit=` and `?cursor=`, as every list takes them.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PageQuery {
    /// 1 to 100, default 20.
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Where a page starts: behind this id, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub Uuid);

impl Cursor {
    /// Before everything: the first page.
    pub const START: Self = Self(Uuid::max());

    fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.as_bytes())
    }

    fn decode(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| Uuid::from_slice(&bytes).ok()).map(Self)
    }
}

impl PageQuery {
    /// The limit and the cursor.
    ///
    /// # Errors
    /// 422 that names the parameter.
    pub fn parse(&self) -> Result<(u64, Cursor), Problem> {
        let limit = match self.limit.as_deref() {
            None => 20,
            Some(text) => match text.parse::<u64>() {
                Ok(limit @ 1..=100) => limit,
                _ => return Err(Problem::invalid("?limit", "must be a whole number from 1 to 100")),
            },
        };
        let cursor = match self.cursor.as_deref() {
            None => Cursor::START,
            Some(text) => Cursor::decode(&pasted::token(text)).ok_or_else(|| {
                Problem::invalid("?cursor", "must be the `next_cursor` of the page before, unchanged")
            })?,
        };
        Ok((limit, cursor))
    }
}

/// One page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// Pass it as `?cursor=` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Cuts a page from up to `limit + 1` rows: the one too many tells that there is a next page.
    pub fn cut(mut rows: Vec<T>, limit: u64, id: impl Fn(&T) -> Uuid) -> Self {
        let more = rows.len() as u64 > limit;
        rows.truncate(limit as usize);
        let next_cursor = rows.last().filter(|_| more).map(|last| Cursor(id(last)).encode());
        Self { items: rows, next_cursor }
    }

    /// The same page of something else.
    pub fn map<U>(self, present: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(present).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_next_page_starts_behind_the_last_row() {
        let ids: Vec<Uuid> = (1..=4).map(Uuid::from_u128).collect();
        let page = Page::cut(ids.clone(), 3, |id| *id);
        assert_eq!(page.items, ids[..3]);
        let query = PageQuery { limit: None, cursor: page.next_cursor };
        assert_eq!(query.parse().unwrap(), (20, Cursor(ids[2])));
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        assert!(Page::cut(vec![Uuid::nil()], 1, |id| *id).next_cursor.is_none());
    }

    #[test]
    fn bad_limits_and_cursors_name_the_parameter() {
        for (limit, cursor, pointer) in [
            (Some("0"), None, "?limit"),
            (Some("101"), None, "?limit"),
            (Some("-1"), None, "?limit"),
            (Some("ten"), None, "?limit"),
            (None, Some(""), "?cursor"),
            (None, Some("AAAA"), "?cursor"),
            (None, Some("§"), "?cursor"),
        ] {
            let query = PageQuery { limit: limit.map(Into::into), cursor: cursor.map(Into::into) };
            assert_eq!(query.parse().unwrap_err().errors[0].pointer, pointer);
        }
    }
}
