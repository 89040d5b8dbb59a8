//! What a laptop and the tests need to run FFP without a cloud: PostgreSQL from the system's binaries, the
//! MiniStack AWS emulator in a private virtual environment, and the local edge that stands in for CloudFront.
//!
//! This crate knows no feature of the product: it starts programs, hands out addresses and checks signatures.

pub mod edge;
mod error;
mod guard;
pub mod ministack;
pub mod ports;
pub mod postgres;
pub mod programs;
pub mod redis;
pub mod testdb;
pub mod venv;

pub use error::{Error, Result};
