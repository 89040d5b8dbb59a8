//! Where the database is and how much of it one process may use.

use std::time::Duration;

use secrecy::SecretString;

use crate::throttle::Clock;

/// One URL for each role; the pools behind them are apart, so that jobs and operators never starve requests.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `postgres://ffp_app:…`
    pub app_url: SecretString,
    /// `postgres://ffp_worker:…`
    pub worker_url: SecretString,
    /// `postgres://ffp_operator:…`
    pub operator_url: SecretString,
    /// Connections of the application's pool; a tenant gets a quarter of them, 2 at least.
    pub app_connections: u32,
    /// Connections of the worker's pool.
    pub worker_connections: u32,
    /// Connections of the operators' pool.
    pub operator_connections: u32,
    /// Connections of the application's second pool, for the few hottest reads; a tenant gets a quarter of them, 2 at
    /// least.
    pub hot_connections: u32,
}

/// How fairness is kept between processes.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    /// `redis://…` or `rediss://…` of a Valkey or Redis that all instances share; none for one process alone.
    pub valkey_url: Option<SecretString>,
    /// How long a call of that store may take; one that takes longer counts as away.
    pub valkey_timeout: Duration,
    /// How many instances serve; each serves its share of a throttle while there is no store in common.
    pub instances: u32,
    /// Pieces of expensive work in flight at once, over all tenants and instances.
    pub gate_slots: u32,
    /// The time by which throttles in process memory refill; tests set their own.
    pub clock: Clock,
}

impl Default for LimitsConfig {
    /// One process alone, with three slots.
    fn default() -> Self {
        Self {
            valkey_url: None,
            valkey_timeout: Duration::from_millis(100),
            instances: 1,
            gate_slots: 3,
            clock: Clock::Machine,
        }
    }
}
