//! The product through HTTP: behind the local edge, as the application's database role, with a second business
//! always present.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, unreachable_pub)]
// Tests look behind the walls as a superuser; the product never does.
#![allow(clippy::disallowed_types)]

mod admin;
mod attacks;
mod bad_input;
mod bad_requests;
mod bad_uploads;
mod browser_uploads;
mod fuzz;
mod gate;
mod hot_reads;
mod identity;
mod identity_jobs;
mod invitations;
mod members;
mod openapi;
mod outages;
mod pasted;
mod plans;
mod quotas;
mod support;
mod sweep;
mod throttle;
mod throttle_networks;
mod throttle_public;
mod throttle_store;
mod typed_logins;
mod typed_text;
mod unsafe_database;
mod usage;
mod videos;
