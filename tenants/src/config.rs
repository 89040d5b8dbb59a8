//! Where the database is and how much of it one process may use.

use secrecy::SecretString;

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
}
