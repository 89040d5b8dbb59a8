//! The only crate that reaches the database, and the wall between tenants.
//!
//! [`Tenants`] owns the connection pools and never hands them out. A query runs on a [`TenantTx`] or not at all: a
//! transaction confined to one tenant by row-level security, opened by [`Tenant::read`] and [`Tenant::write`].
//! Around it live what decides who may open one: token verification ([`tokens`]), the members' standing
//! ([`Standing`]), roles and permissions ([`Permission`]), operators ([`Operator`]), and what must happen exactly
//! if a write does: audit rows and jobs. [`http`] holds what every face shares.
//!
//! No feature's noun is known here: a feature declares what it needs and this crate takes any.

mod audit;
pub mod config;
mod doctor;
mod error;
pub mod fetch;
mod gate;
mod guard;
pub mod http;
mod ids;
mod jobs;
mod operator;
mod pools;
pub mod proof;
pub mod quotas;
mod roles;
#[doc(hidden)]
pub mod sabotage;
mod scope;
mod standing;
pub mod throttle;
pub mod tokens;
mod tx;
pub mod usage;
mod worker;

pub use audit::Audit;
pub use config::{DatabaseConfig, LimitsConfig};
pub use doctor::{Defect, diagnose};
pub use error::{Error, Result, on_constraint};
pub use gate::{InGate, Place, Ticket};
pub use http::{Caller, Operator};
pub use ids::{MemberId, PLATFORM_TENANT, TenantId};
pub use jobs::{Job, JobError};
pub use operator::OperatorScope;
pub use pools::Tenants;
pub use quotas::{Allowance, Quota, Take};
pub use roles::{Permission, Role};
pub use scope::{Actor, Tenant};
pub use standing::{MemberStatus, Standing, TenantStatus};
pub use tx::TenantTx;
pub use usage::{Meter, Usage};
pub use worker::{Worker, WorkerOptions};
