//! Lists of videos, newest first.

use sea_orm::FromQueryResult;
use serde::Deserialize;
use tenants::{
    TenantTx,
    http::{Cursor, Page, PageQuery, containing, searched},
};
use utoipa::IntoParams;

use super::{Model, Scope, columns};
use crate::Result;

/// Which videos are listed.
#[derive(Debug)]
pub struct Filter {
    /// Only the library or only the tenant's own; both if none.
    pub scope: Option<Scope>,
    /// Only titles that contain this, in whatever case.
    pub title: Option<String>,
    /// How many, 100 at most.
    pub limit: u64,
    /// Behind which one.
    pub after: Cursor,
}

/// Which videos a member lists.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only the platform's library or only the business's own; both if left out.
    pub scope: Option<Scope>,
    /// Only titles that contain this, in upper or lower case and however its accents are typed.
    #[param(min_length = 1, max_length = 100)]
    pub q: Option<String>,
    /// How many.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100, default = 20)]
    pub limit: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl ListQuery {
    /// Checks each parameter.
    pub(super) fn parse(self) -> Result<Filter> {
        let title = self.q.as_deref().map(searched).transpose()?;
        let (limit, after) = PageQuery { limit: self.limit, cursor: self.cursor }.parse()?;
        Ok(Filter { scope: self.scope, title, limit, after })
    }
}

const LIST: &str = concat!(
    "select ",
    columns!(),
    " from video where tenant_id = $1 and id < $2 and ($3::text is null or title_search like (select search_form($3))) order by id desc limit $4"
);

/// One page of the videos that the tenant owns itself, for those who watch nothing: operators, of the library.
///
/// # Errors
/// As the database says.
pub async fn list(tx: &TenantTx, filter: &Filter) -> Result<Page<Model>> {
    let pattern = filter.title.as_deref().map(containing);
    // One more than wanted tells whether there is a next page.
    let limit = filter.limit as i64 + 1;
    let values = [tx.tenant_id().0.into(), filter.after.0.into(), pattern.into(), limit.into()];
    let rows = tx.sql(LIST, values).await?;
    let videos = rows.iter().map(|row| Model::from_query_result(row, "")).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::cut(videos, filter.limit, |video| video.id))
}
