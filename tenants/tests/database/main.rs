//! What only a real PostgreSQL can show: that no tenant reaches another, whoever asks and however it goes wrong.
//!
//! Every test has a database of its own, made by the migrations, with two businesses in it, and works as the roles
//! that the services connect as.
#![allow(clippy::unwrap_used)]

mod attacks;
mod audit;
mod catalogue;
mod doctor;
mod doors;
mod entities;
mod fetch;
mod gate;
mod idempotency;
mod jobs;
mod operators;
mod outage;
mod planted;
mod policies;
mod proof;
mod quotas;
mod support;
mod transactions;
mod usage;
