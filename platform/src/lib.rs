//! The product: features, the JSON API, the worker. One folder or file for each feature; `router.rs` lists every
//! route, `app.rs` is what handlers are given, `main.rs` the commands.

// The guard of `tenants` is a build with optimisations, which a profile may give debug assertions; what is deployed has no
// `dev`, whatever its profile.
#[cfg(all(feature = "sabotage", not(feature = "dev")))]
compile_error!("the feature `sabotage` opens the walls between tenants: only a build with `dev` has it");

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
pub mod prove;
pub mod router;
pub mod secrets;
pub mod server;
pub mod storage;
pub mod telemetry;
pub mod tenant;
pub mod usage;
pub mod videos;

pub use app::Platform;
pub use error::{Error, Result};
