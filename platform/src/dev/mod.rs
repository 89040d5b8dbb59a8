//! dev
pub mod pools;
/// x
/// # Errors
/// x
pub async fn run() -> anyhow::Result<()> { Ok(()) }
