//! Points right behind an external call, where the crash tests kill the process.
//!
//! `FFP_FAULT=cognito.sign_up` ends the process the first time it passes that point. Builds without the `dev` feature
//! have none of this.

/// Passes a point.
#[cfg(not(feature = "dev"))]
pub fn after(_point: &'static str) {}

/// Passes a point; dies there if `FFP_FAULT` names it.
#[cfg(feature = "dev")]
pub fn after(point: &'static str) {
    use std::sync::OnceLock;
    static FAULT: OnceLock<Option<String>> = OnceLock::new();
    let fault = FAULT.get_or_init(|| std::env::var("FFP_FAULT").ok());
    if fault.as_deref() == Some(point) {
        // As a kill would: nothing is flushed, dropped or answered.
        tracing::warn!(point, "fault injected");
        std::process::abort();
    }
}
