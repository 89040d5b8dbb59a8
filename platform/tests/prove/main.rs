//! `platform prove-isolation` at a sound deployment: API, worker, edge, database and emulator, attacked with everything
//! there is. `platform/tests/sabotage` does the same at deployments with a leak.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, unreachable_pub)]
// Tests look behind the walls as a superuser; the product never does.
#![allow(clippy::disallowed_types)]

mod deployment;
#[allow(dead_code, reason = "the crash tests use the rest of it")]
#[path = "../crash/process.rs"]
mod process;
#[allow(dead_code, unused_imports, reason = "the API tests use the rest of it")]
#[path = "../api/support/mod.rs"]
mod support;

use deployment::Deployment;

/// Every kind of attempt there is.
const GROUPS: [&str; 28] = [
    "broken-off",
    "crowd",
    "doors",
    "edge",
    "http.account",
    "http.body",
    "http.combined",
    "http.header",
    "http.idempotency",
    "http.path",
    "http.query",
    "http.unchanged",
    "jobs",
    "jobs.run",
    "memory",
    "pool",
    "rightful",
    "schema",
    "sql.functions",
    "sql.keys",
    "sql.read",
    "sql.roles",
    "sql.unset",
    "sql.write",
    "standing",
    "storage",
    "throttle",
    "tokens",
];

/// What the proof calls what it makes, in any case: tenants, and videos of the platform's library.
const LEFTOVERS: &str = "select (select count(*) from tenant where name ilike 'prove %')
    + (select count(*) from video where title ilike 'prove %' or title = 'A case')";

/// Limits that a proof of patience would run into.
const UNTHROTTLED: &str = "alter table tenant alter requests_per_minute set default 1000000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_one_tenant_reaches_another_in_ten_thousand_attempts() {
    let deployment = Deployment::start().await;
    deployment.by_hand(UNTHROTTLED).await;
    assert_eq!(deployment.count(LEFTOVERS).await, 0);
    let proof = deployment.prove(&[]).await;

    let failed = proof.failed();
    assert!(failed.is_empty(), "{} attempts did not hold: {:#?}", failed.len(), &failed[..failed.len().min(10)]);
    assert!(proof.output.status.success(), "{}", proof.said());
    assert!(proof.attempts().len() >= 10_000, "{} attempts", proof.attempts().len());
    for group in GROUPS {
        assert!(
            proof.report["groups"][group]["held"].as_u64() > Some(0),
            "nothing was tried of {group}: {}",
            proof.said()
        );
    }
    assert_eq!(proof.report["left_out"], serde_json::json!([]), "{}", proof.said());
    // What it made is gone, but for what nobody may delete.
    assert_eq!(deployment.count(LEFTOVERS).await, 0, "{}", proof.said());
    let remains = proof.remains();
    assert!(remains.iter().all(|line| line.contains("audit log")), "{remains:?}");
    println!("{}", String::from_utf8_lossy(&proof.output.stdout));
    deployment.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_address_alone_it_shows_what_http_can_and_names_what_it_left_out() {
    let deployment = Deployment::start().await;
    deployment.by_hand(UNTHROTTLED).await;
    let parts = "tokens,edge,throttle,memory,jobs,database,operations,doors,rightful";
    let arguments = ["--only", parts, "--mail-url", &support::stack().ministack.endpoint()];
    let proof = deployment.prove_with([], &arguments).await;
    assert!(proof.failed().is_empty(), "{:#?}", proof.failed());
    assert!(proof.output.status.success(), "{}", proof.said());
    let left_out = proof.report["left_out"].to_string();
    for missing in ["FFP_DATABASE_URL", "FFP_OPERATOR_TOKEN", "FFP_MEMBERS_POOL_ID"] {
        assert!(left_out.contains(missing), "{missing}: {left_out}");
    }
    // No operation deletes a tenant, so it says which remain, by their ids.
    let remains = proof.remains().join("\n");
    assert_eq!(remains.matches("Prove isolation").count(), 2, "{remains}");
    let made = "select string_agg(t.id::text, ' ') from tenant t where exists (select from member_contact c
                where c.tenant_id = t.id and c.email like 'prove-isolation-%')";
    let made = deployment.text(made).await;
    assert!(made.split(' ').count() > 10, "{made}");
    for id in made.split(' ') {
        assert!(remains.contains(id), "the tenant {id} remains unsaid: {remains}");
    }
    deployment.stop().await;
}

/// What two businesses and the library have, as far as a proof could touch it.
const HAVE: &str = "select concat_ws(E'\\n',
    (select json_agg(json_build_array(name, status, time_zone, brand_color, requests_per_minute, quotas,
        storage_limit_bytes) order by id) from tenant where status <> 'pending'),
    (select json_agg(json_build_array(id, full_name, role, status, time_zone, units) order by id)
        from member where status not in ('removed', 'pending')),
    (select json_agg(json_build_array(id, email, role, token_hash) order by id)
        from invitation where accepted_at is null and revoked_at is null),
    (select json_agg(json_build_array(id, title, published_at) order by id) from video))";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn businesses_that_were_there_before_keep_what_they_had_also_when_it_is_stopped() {
    use reqwest::Method;
    use serde_json::json;
    let deployment = Deployment::start().await;
    let operator = support::stack().fixture.operator.as_str();
    let video = json!({"title": "A case", "content_type": "video/mp4", "size_bytes": 1000});
    for business in ["acme", "globex"] {
        let body = json!({"email": format!("owner@{business}.example"), "password": support::PASSWORD});
        let session = deployment.request(Method::POST, "/api/v1/auth/login", "", &body).await;
        let owner = session["id_token"].as_str().unwrap();
        let invited = json!({"email": format!("invited@{business}.example"), "role": "coach"});
        deployment.request(Method::POST, "/api/v1/invitations", owner, &invited).await;
        deployment.request(Method::POST, "/api/v1/videos", owner, &video).await;
    }
    deployment.request(Method::POST, "/api/v1/admin/library/videos", operator, &video).await;
    deployment
        .by_hand("update tenant set requests_per_minute = 4321, brand_color = '#abcdef' where kind = 'business'")
        .await;
    // The invitations' secrets are made when their mails are sent.
    while deployment.count("select count(*) from invitation where accepted_at is null and sent_at is null").await > 0 {
        tokio::time::sleep(process::GLANCE).await;
    }
    let had = deployment.text(HAVE).await;
    assert_eq!(had.matches("4321").count(), 2, "{had}");

    let command = format!("printf %s {operator}");
    let variables = [
        ("FFP_PROVE_EMAIL", "owner@acme.example"),
        ("FFP_PROVE_PASSWORD", support::PASSWORD),
        ("FFP_PROVE_OTHER_EMAIL", "owner@globex.example"),
        ("FFP_PROVE_OTHER_PASSWORD", support::PASSWORD),
        ("FFP_OPERATOR_TOKEN_COMMAND", &command),
    ];
    let mail_url = support::stack().ministack.endpoint();
    let arguments = ["--only", "throttle,idempotency,doors,rightful", "--mail-url", &mail_url];
    let proof = deployment.prove_with(variables, &arguments).await;
    assert!(proof.failed().is_empty(), "{:#?}", proof.failed());
    assert!(proof.output.status.success(), "{}", proof.said());
    assert!(proof.attempts().iter().any(|attempt| attempt["subject"] == "PATCH /api/v1/tenant by the attacker"));
    assert_eq!(deployment.text(HAVE).await, had, "{}", proof.said());
    // Who registered and never confirmed stays for a week, which is said.
    let pending = deployment.text("select string_agg(id::text, ' ') from tenant where status = 'pending'").await;
    let remains = proof.remains().join("\n");
    assert!(!pending.is_empty() && pending.split(' ').all(|id| remains.contains(id)), "{pending}: {remains}");

    // At the lowest limit, with the victim's raised.
    let lowered = "select count(*) from tenant where requests_per_minute = 30";
    let arguments = ["--only", "throttle", "--mail-url", &mail_url];
    let proof = deployment.prove_interrupted(variables, &arguments, lowered).await;
    assert!(!proof.output.status.success() && proof.report["ended_early"] == "stopped", "{}", proof.said());
    assert_eq!(deployment.text(HAVE).await, had, "{}", proof.said());
    deployment.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_production_is_not_attacked_without_a_further_word() {
    for (url, environment) in [("https://ffp.example", "dev"), ("http://127.0.0.1:9", "prod")] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_platform"))
            .args(["prove-isolation", "--url", url])
            .env("FFP_ENVIRONMENT", environment)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("--yes"), "{url}: {said}");
    }
}
