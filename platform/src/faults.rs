//! Points right behind an external call, where the crash tests kill the process.
//!
//! `FFP_FAULT=cognito.sign_up` ends the process the first time it passes that point, `FFP_FAULT=cognito.find#2` the
//! second time. At level TRACE the log tells every pass, so that a test sees which points a flow has. Builds without
//! the `dev` feature have none of this.

/// Passes a point.
#[cfg(not(feature = "dev"))]
pub fn after(_point: &'static str) {}

/// Passes a point; dies there if `FFP_FAULT` names it and this pass.
#[cfg(feature = "dev")]
pub fn after(point: &'static str) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    };
    static FAULT: LazyLock<Option<(String, usize)>> =
        LazyLock::new(|| std::env::var("FFP_FAULT").ok().map(|text| parse(&text)));
    static PASSES: AtomicUsize = AtomicUsize::new(0);
    tracing::trace!(point, "passed");
    if let Some((fatal, pass)) = &*FAULT
        && fatal == point
        && PASSES.fetch_add(1, Ordering::Relaxed) + 1 == *pass
    {
        // As a kill would: nothing is flushed, dropped or answered.
        tracing::warn!(point, "fault injected");
        std::process::abort();
    }
}

/// A point and which pass of it, from 1.
#[cfg(feature = "dev")]
fn parse(text: &str) -> (String, usize) {
    let (point, pass) = text.split_once('#').unwrap_or((text, "1"));
    (point.to_owned(), pass.parse().unwrap_or(1))
}

#[cfg(all(test, feature = "dev"))]
mod tests {
    use super::parse;

    #[test]
    fn a_fault_is_a_point_and_which_pass_of_it() {
        assert_eq!(parse("ses.send"), ("ses.send".to_owned(), 1));
        assert_eq!(parse("cognito.find#2"), ("cognito.find".to_owned(), 2));
    }
}
