//! Crashes: the real binary dies right behind each external call of a flow, the client tries again, and then tables,
//! accounts and objects equal those of a run that nothing disturbed.
//!
//! A flow lists the points it passes (its path); the undisturbed run proves that list, so a new external call fails
//! the test until it is listed, and with that crashed at. `coverage.rs` proves that no point of the product is
//! forgotten.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]
// Tests look behind the walls as a superuser; the product never does.
#![allow(clippy::disallowed_types)]

mod cleanup;
mod coverage;
mod flow;
mod killed;
mod people;
mod picture;
mod process;
mod registration;
mod sessions;
#[allow(dead_code, reason = "the API tests use the rest of it")]
#[path = "../api/support/mod.rs"]
mod support;
mod trial;
mod uploads;
mod usage;
