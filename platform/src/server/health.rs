//! Whether this process should be sent requests.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use tenants::Tenants;
use tokio::sync::Mutex;

/// How long an answer of the database stands: anybody may ask, and each question is a query.
const REMEMBERED: Duration = Duration::from_secs(1);

/// The state of a server, shared by its routes and by what starts and stops it. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<Parts>);

struct Parts {
    tenants: Tenants,
    phase: RwLock<Phase>,
    last: Mutex<Option<(Instant, Result<(), String>)>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// Not yet admitted to serve, and why.
    Starting(String),
    Serving,
    Draining,
}

impl Health {
    /// A server that has not looked at its database yet.
    pub fn starting(tenants: Tenants) -> Self {
        let phase = RwLock::new(Phase::Starting("the database has not been checked yet".to_owned()));
        Self(Arc::new(Parts { tenants, phase, last: Mutex::new(None) }))
    }

    /// Still starting, for this reason.
    pub fn waiting(&self, reason: &str) {
        self.set(Phase::Starting(reason.to_owned()));
    }

    /// The database was checked: requests are served.
    pub fn serve(&self) {
        self.set(Phase::Serving);
    }

    /// Requests are still served, and nobody should send more.
    pub fn drain(&self) {
        self.set(Phase::Draining);
    }

    fn set(&self, phase: Phase) {
        *self.0.phase.write().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn phase(&self) -> Phase {
        self.0.phase.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why the features' routes can't be used yet, if so.
    pub(super) fn not_started(&self) -> Option<String> {
        match self.phase() {
            Phase::Starting(reason) => Some(reason),
            Phase::Serving | Phase::Draining => None,
        }
    }

    /// Whether to send requests here.
    ///
    /// # Errors
    /// Why not: starting, draining, or the database is away or behind.
    pub async fn ready(&self) -> Result<(), String> {
        match self.phase() {
            Phase::Starting(reason) => return Err(reason),
            Phase::Draining => return Err("this instance is shutting down".to_owned()),
            Phase::Serving => {}
        }
        // Those who ask at once wait for one question.
        let mut last = self.0.last.lock().await;
        if let Some((asked, answer)) = &*last
            && asked.elapsed() < REMEMBERED
        {
            return answer.clone();
        }
        let answer = self.0.tenants.ready().await;
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}
