//! The local edge seen from outside: signatures made elsewhere, attacks on them, the proxy, and objects out of a
//! real S3 emulator.
#![allow(clippy::unwrap_used)]

mod attacks;
mod botocore;
mod objects;
mod platform;
mod signing;
mod support;
mod vectors;
