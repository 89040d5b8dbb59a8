//! A database that would let tenants meet: the doctor names the defect, and the server refuses to start.

use std::process::{Command, Output};

use crate::support::{
    TestApp,
    stack::{environment, stack},
};

/// Runs a command of the real binary on the test's database, as a deployment would.
async fn run(app: &TestApp, subcommand: &'static str) -> Output {
    let variables = environment(&stack().basis(), &app.database_name, &app.base);
    let mut command = Command::new(env!("CARGO_BIN_EXE_platform"));
    command.arg(subcommand).env_clear().envs(variables).env("PATH", std::env::var("PATH").unwrap_or_default());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_sound_database_has_no_defects() {
    let app = TestApp::start().await;
    let doctor = run(&app, "doctor").await;
    assert!(doctor.status.success(), "{}", String::from_utf8_lossy(&doctor.stdout));
}

#[tokio::test]
async fn a_defect_is_named_by_the_doctor_and_keeps_api_and_worker_from_starting() {
    for (plant, table) in [
        ("alter table video disable row level security", "video"),
        ("alter table video_progress no force row level security", "video_progress"),
        ("drop policy tenant_wall on member", "member"),
        ("create table shoe (tenant_id uuid not null, id uuid not null, primary key (tenant_id, id))", "shoe"),
        (
            "alter table invitation drop constraint invitation_tenant_id_invited_by_fkey; \
          create unique index member_alone on member (id); \
          alter table invitation add foreign key (invited_by) references member (id)",
            "invitation",
        ),
    ] {
        let app = TestApp::start().await;
        app.by_hand(plant).await;
        let doctor = run(&app, "doctor").await;
        let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(!doctor.status.success() && said.contains(table), "{plant}: {said}");
        for subcommand in ["api", "worker"] {
            let refused = run(&app, subcommand).await;
            let said = [refused.stdout, refused.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            assert!(!refused.status.success() && said.contains(table), "{plant}, {subcommand}: {said}");
        }
    }
}
