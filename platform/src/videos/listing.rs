//! Lists of videos, newest first.

use sea_orm::FromQueryResult;
use serde::Deserialize;
use tenants::{
    PLATFORM_TENANT, TenantTx,
    http::{Cursor, Page, PageQuery, Problem},
};
use utoipa::IntoParams;

use super::{Model, Scope};
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
    /// Only titles that contain this, in upper or lower case.
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
        let title = self.q.map(|q| q.trim().to_owned());
        if title.as_ref().is_some_and(|title| !(1..=100).contains(&title.chars().count())) {
            return Err(Problem::invalid("?q", "must have 1 to 100 characters, and not only spaces").into());
        }
        let (limit, after) = PageQuery { limit: self.limit, cursor: self.cursor }.parse()?;
        Ok(Filter { scope: self.scope, title, limit, after })
    }
}

/// Two keyset scans over the primary key, side by side: an OR of the two tenants would read and sort all of both.
const LIST: &str = "\
    select * from (\
      (select * from video where $1 and tenant_id = $3 and id < $4 and ($5::text is null or title ilike $5) \
        order by id desc limit $6) \
      union all \
      (select * from video where $2 and tenant_id = platform_tenant() and published_at is not null and id < $4 \
          and ($5::text is null or title ilike $5) \
        order by id desc limit $6)\
    ) both_lists order by id desc limit $6";

/// One page of the videos that the actor may see. In the platform's own tenant, whose videos are the library, that is
/// all of them, published or not.
///
/// # Errors
/// As the database says.
pub async fn list(tx: &TenantTx, filter: &Filter) -> Result<Page<Model>> {
    let is_platform = tx.tenant_id() == PLATFORM_TENANT;
    let own = is_platform || filter.scope != Some(Scope::Library);
    let library = !is_platform && filter.scope != Some(Scope::Tenant);
    let pattern = filter.title.as_deref().map(containing);
    // One more than wanted tells whether there is a next page.
    let rows = tx
        .sql(
            LIST,
            [
                own.into(),
                library.into(),
                tx.tenant_id().0.into(),
                filter.after.0.into(),
                pattern.into(),
                (filter.limit as i64 + 1).into(),
            ],
        )
        .await?;
    let videos = rows.iter().map(|row| Model::from_query_result(row, "")).collect::<Result<Vec<_>, _>>()?;
    Ok(Page::cut(videos, filter.limit, |video| video.id))
}

/// The pattern of LIKE for texts that contain `part` literally.
fn containing(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len() + 2);
    pattern.push('%');
    for character in part.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_for_like_s_own_signs_means_the_signs() {
        assert_eq!(containing("Push up"), "%Push up%");
        assert_eq!(containing("100%_\\"), "%100\\%\\_\\\\%");
    }
}
