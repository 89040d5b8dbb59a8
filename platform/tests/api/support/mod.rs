//! What every test stands on: PostgreSQL, the AWS emulator and the edge, two businesses with their people, and a
//! database for each test.
//!
//! The businesses are made once, through the API, in the database that all others are copied from; their accounts and
//! tokens are the same in every test. A test that changes a password or removes an account makes its own people.

mod app;
pub mod proxy;
pub mod stack;
mod user;
pub mod video;

pub use app::TestApp;
pub use stack::{CONFIRMATION_CODE, PASSWORD, RESET_CODE, aws, registration, stack};
pub use user::{Answer, Business, User};
