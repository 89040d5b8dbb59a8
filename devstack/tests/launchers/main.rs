//! The launchers against the real programs: what survives, what stops, and what is said when something is in the way.
#![allow(clippy::unwrap_used)]

mod helper;
mod ministack;
mod postgres;
mod redis;
