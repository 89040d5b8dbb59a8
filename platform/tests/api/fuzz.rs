//! temporary
use crate::support::TestApp;
#[tokio::test]
async fn serve_and_wait() {
    if std::env::var("FUZZ_WAIT").is_err() { return }
    let app = TestApp::start().await;
    let owner = app.register_business(&app.fresh_email("fuzz"), "Fuzzed").await;
    let me = app.with_token(&owner.id_token);
    let v = me.add_published_video("One").await;
    let dir = std::env::var("FUZZ_WAIT").unwrap();
    std::fs::write(format!("{dir}/base"), &app.base).unwrap();
    std::fs::write(format!("{dir}/owner"), &owner.id_token).unwrap();
    std::fs::write(format!("{dir}/op"), app.operator().token).unwrap();
    std::fs::write(format!("{dir}/video"), v.id()).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(840)).await;
}
