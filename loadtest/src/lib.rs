//! Load scenarios and the performance report. Speaks HTTP only; what it measures is a program of its own.

pub mod bench;
pub mod load;
pub mod report;
#[cfg(feature = "scenarios")]
pub mod scenarios;
pub mod seeded;
