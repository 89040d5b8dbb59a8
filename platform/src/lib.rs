//! The product: features, the JSON API, the worker. One folder or file for each feature; `router.rs` lists every
//! route, `app.rs` is what handlers are given, `main.rs` the commands.

pub mod app;
pub mod cognito;
pub mod commands;
pub mod config;
#[cfg(feature = "dev")]
pub mod dev;
mod error;
pub mod faults;
pub mod identity;
pub mod invitations;
pub mod jobs;
pub mod mail;
pub mod members;
pub mod openapi;
pub mod router;
pub mod secrets;
pub mod server;
pub mod storage;
pub mod telemetry;
pub mod tenant;
pub mod videos;

pub use app::Platform;
pub use error::{Error, Result};
