//! Before anything is served or worked: the database is there, its schema is current, and it keeps tenants apart.

use std::time::Duration;

use tenants::{Defect, Tenants};

/// How long until the database is asked again.
const PAUSE: Duration = Duration::from_secs(2);
/// How many questions go by between two lines of the log.
const LINES: u32 = 15;

/// A database that does not keep tenants apart. Serving from it would break the one promise everything rests on.
#[derive(Debug, thiserror::Error)]
#[error("the database is unsafe and nothing is served from it: {}", list(.0))]
pub struct UnsafeDatabase(pub Vec<Defect>);

fn list(defects: &[Defect]) -> String {
    defects.iter().map(|defect| format!("\n  {defect}")).collect()
}

/// Waits until the database answers and its schema is current, then examines it. A database that is away or behind is
/// waited for, since it may come: `waiting` hears why. A defect is not.
///
/// # Errors
/// The defects.
pub async fn check(tenants: &Tenants, waiting: impl Fn(&str)) -> Result<(), UnsafeDatabase> {
    for attempt in 0.. {
        let reason = match tenants.ready().await {
            Ok(()) => match tenants::diagnose(tenants).await {
                Ok(defects) if defects.is_empty() => return Ok(()),
                Ok(defects) => return Err(UnsafeDatabase(defects)),
                Err(error) => format!("the database could not be examined: {error}"),
            },
            Err(reason) => reason,
        };
        if attempt % LINES == 0 {
            tracing::warn!(reason, "not ready, trying again every {} s", PAUSE.as_secs());
        }
        waiting(&reason);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
