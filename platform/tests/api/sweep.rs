//! The sweep: every operation of the OpenAPI document, called by everybody who must not, and then by its rightful
//! caller. An operation that is missing from the table fails the test, so a new route can't be forgotten.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Row;

use crate::support::{Answer, CONFIRMATION_CODE, RESET_CODE, TestApp, User, video::MP4, video::announcement};

const NOBODYS: &str = "0190a1b2-0000-7000-8000-000000000000";
const VIDEOS: &str = "/api/v1/videos";
const LIBRARY: &str = "/api/v1/admin/library/videos";
const PASSWORD: &str = "a test's password";

/// Who may call an operation: the lowest role that may.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    Anyone,
    Member(&'static str),
    Operator,
}

/// An operation, prepared so that its rightful caller succeeds.
struct Case {
    who: Who,
    /// The path with the rightful caller's id, another tenant's, or one that nobody has.
    path: Box<dyn Fn(&str) -> String>,
    own: String,
    foreign: Option<String>,
    body: Option<Value>,
    status: u16,
    /// The rightful caller's token, where it is not the fixture's person with that role.
    token: Option<String>,
    /// Its answer is of all tenants, as operators read them.
    across: bool,
}

impl Case {
    fn new(who: Who, path: &str, body: Option<Value>, status: u16) -> Self {
        let path = path.to_owned();
        Self {
            who,
            path: Box::new(move |_| path.clone()),
            own: String::new(),
            foreign: None,
            body,
            status,
            token: None,
            across: false,
        }
    }

    /// An operation on one object: `template` has `{id}` in its place.
    fn on(who: Who, template: &str, own: &str, foreign: &str, body: Option<Value>, status: u16) -> Self {
        let template = template.to_owned();
        Self {
            path: Box::new(move |id| template.replace("{id}", id)),
            own: own.to_owned(),
            foreign: Some(foreign.to_owned()),
            ..Self::new(who, "", body, status)
        }
    }

    fn with_token(mut self, token: String) -> Self {
        self.token = Some(token);
        self
    }

    /// An operator's list of all tenants' things.
    fn across(path: &str) -> Self {
        Self { across: true, ..Self::new(Who::Operator, path, None, 200) }
    }
}

/// The table. Every operation has its line.
async fn case(app: &TestApp, operation: &str) -> Case {
    use Who::{Anyone, Member, Operator};
    let (acme, globex) = (app.acme(), app.globex());
    let anyone = app.anonymous();
    let waiting = async || {
        let email = app.fresh_email("sweep");
        let body = json!({"email": email, "password": PASSWORD, "full_name": "Swen Sweep"});
        anyone.post("/api/v1/auth/register", &body).await.assert(201);
        email
    };
    let invitation = async |owner: User<'_>| {
        let email = app.fresh_email("sweep");
        let made = owner.post("/api/v1/invitations", &json!({"email": email, "role": "athlete"})).await.assert(201);
        (email, made.id().to_owned())
    };
    let invitations = async || (invitation(acme.owner()).await.1, invitation(globex.owner()).await.1);
    let videos = async || {
        (
            acme.coach().add_published_video("A").await.id().to_owned(),
            globex.coach().add_published_video("G").await.id().to_owned(),
        )
    };
    let uploads = async || {
        let (ours, parts) = acme.coach().begin_video(VIDEOS, "A", &MP4).await;
        let (theirs, _) = globex.coach().begin_video(VIDEOS, "G", &MP4).await;
        (ours.id().to_owned(), theirs.id().to_owned(), json!({ "parts": parts }))
    };
    let library = async || {
        let made = app.operator().add_video_to(LIBRARY, "L").await;
        app.operator().put_empty(&format!("{LIBRARY}/{}/publication", made.id())).await.assert(200);
        (made.id().to_owned(), acme.coach().add_published_video("A").await.id().to_owned())
    };
    let (member, their_member) = (acme.member_id("athlete2"), globex.member_id("athlete2"));
    let athlete = Member("athlete");
    let (coach, admin, owner) = (Member("coach"), Member("admin"), Member("owner"));
    match operation {
        "POST /api/v1/auth/register" => {
            let email = app.fresh_email("sweep");
            Case::new(
                Anyone,
                "/api/v1/auth/register",
                Some(json!({"email": email, "password": PASSWORD, "full_name": "S"})),
                201,
            )
        }
        "POST /api/v1/auth/confirm" => {
            let body = json!({"email": waiting().await, "code": CONFIRMATION_CODE});
            Case::new(Anyone, "/api/v1/auth/confirm", Some(body), 204)
        }
        "POST /api/v1/auth/resend" => {
            Case::new(Anyone, "/api/v1/auth/resend", Some(json!({"email": waiting().await})), 202)
        }
        "POST /api/v1/auth/login" => {
            let body = json!({"email": acme.details("coach").email, "password": PASSWORD});
            Case::new(Anyone, "/api/v1/auth/login", Some(body), 200)
        }
        "POST /api/v1/auth/challenge" => {
            let body = json!({"session": "none", "challenge": "SOFTWARE_TOKEN_MFA", "answer": "123456"});
            // Without a challenge that is open there is nothing to finish: refused, by the handler and nobody before it.
            Case::new(Anyone, "/api/v1/auth/challenge", Some(body), 401)
        }
        "POST /api/v1/auth/refresh" => {
            let body = json!({"refresh_token": acme.details("coach").refresh_token});
            Case::new(Anyone, "/api/v1/auth/refresh", Some(body), 200)
        }
        "POST /api/v1/auth/logout" => {
            let person = app.register_individual(&app.fresh_email("sweep")).await;
            Case::new(Anyone, "/api/v1/auth/logout", Some(json!({"refresh_token": person.refresh_token})), 204)
        }
        "POST /api/v1/auth/forgot-password" => {
            Case::new(Anyone, "/api/v1/auth/forgot-password", Some(json!({"email": "x@example.com"})), 202)
        }
        "POST /api/v1/auth/reset-password" => {
            let person = app.register_individual(&app.fresh_email("sweep")).await;
            anyone.post("/api/v1/auth/forgot-password", &json!({"email": person.email})).await.assert(202);
            let body = json!({"email": person.email, "code": RESET_CODE, "new_password": "another password"});
            Case::new(Anyone, "/api/v1/auth/reset-password", Some(body), 204)
        }
        "POST /api/v1/auth/accept-invitation" => {
            let (email, _) = invitation(acme.owner()).await;
            app.run_jobs().await;
            let token = app.invitation_token(&email).await;
            let body = json!({"token": token, "password": PASSWORD, "full_name": "Swen Sweep"});
            Case::new(Anyone, "/api/v1/auth/accept-invitation", Some(body), 201)
        }
        "GET /api/v1/me" => Case::new(athlete, "/api/v1/me", None, 200),
        "PATCH /api/v1/me" => Case::new(athlete, "/api/v1/me", Some(json!({"full_name": "New Name"})), 200),
        "PUT /api/v1/me/password" => {
            let person = app.register_individual(&app.fresh_email("sweep")).await;
            let body = json!({"current_password": PASSWORD, "new_password": "another password"});
            Case::new(athlete, "/api/v1/me/password", Some(body), 204).with_token(person.id_token)
        }
        "DELETE /api/v1/me/sessions" => {
            let person = app.register_individual(&app.fresh_email("sweep")).await;
            Case::new(athlete, "/api/v1/me/sessions", None, 204).with_token(person.id_token)
        }
        "GET /api/v1/tenant" => Case::new(athlete, "/api/v1/tenant", None, 200),
        "PATCH /api/v1/tenant" => Case::new(owner, "/api/v1/tenant", Some(json!({"name": "Acme II"})), 200),
        "GET /api/v1/usage" => Case::new(athlete, "/api/v1/usage", None, 200),
        "GET /api/v1/members" => Case::new(coach, "/api/v1/members", None, 200),
        "GET /api/v1/members/{id}" => Case::on(coach, "/api/v1/members/{id}", member, their_member, None, 200),
        "PATCH /api/v1/members/{id}" => {
            Case::on(admin, "/api/v1/members/{id}", member, their_member, Some(json!({"role": "coach"})), 200)
        }
        "DELETE /api/v1/members/{id}" => {
            // Its job is not run: the account is every test's.
            Case::on(admin, "/api/v1/members/{id}", member, their_member, None, 204)
        }
        "GET /api/v1/invitations" => Case::new(admin, "/api/v1/invitations", None, 200),
        "POST /api/v1/invitations" => {
            let body = json!({"email": app.fresh_email("sweep"), "role": "athlete"});
            Case::new(admin, "/api/v1/invitations", Some(body), 201)
        }
        "POST /api/v1/invitations/{id}/resend" => {
            let (own, foreign) = invitations().await;
            Case::on(admin, "/api/v1/invitations/{id}/resend", &own, &foreign, None, 202)
        }
        "DELETE /api/v1/invitations/{id}" => {
            let (own, foreign) = invitations().await;
            Case::on(admin, "/api/v1/invitations/{id}", &own, &foreign, None, 204)
        }
        "GET /api/v1/videos" => Case::new(athlete, VIDEOS, None, 200),
        "POST /api/v1/videos" => Case::new(coach, VIDEOS, Some(announcement("New", &MP4)), 201),
        "GET /api/v1/videos/{id}/upload" => {
            let (own, foreign, _) = uploads().await;
            Case::on(coach, "/api/v1/videos/{id}/upload", &own, &foreign, None, 200)
        }
        "PUT /api/v1/videos/{id}/upload" => {
            let (own, foreign, parts) = uploads().await;
            Case::on(coach, "/api/v1/videos/{id}/upload", &own, &foreign, Some(parts), 200)
        }
        operation if operation.contains(" /api/v1/videos/{id}") => {
            let (own, foreign) = videos().await;
            let (method, path) = operation.split_once(' ').unwrap();
            let (who, body, status) = match (method, path.trim_start_matches("/api/v1/videos/{id}")) {
                ("GET", "" | "/stream" | "/progress") => (athlete, None, 200),
                ("POST", "/progress") => (athlete, Some(json!({"position_seconds": 1.0})), 200),
                ("PATCH", "") => (coach, Some(json!({"title": "Renamed"})), 200),
                ("DELETE", "") => (coach, None, 204),
                ("PUT", "/publication") => (coach, None, 200),
                ("DELETE", "/publication") => (coach, None, 204),
                _ => panic!("{operation} is missing from the sweep's table"),
            };
            Case::on(who, path, &own, &foreign, body, status)
        }
        "GET /api/v1/admin/library/videos" => Case::new(Operator, LIBRARY, None, 200),
        "POST /api/v1/admin/library/videos" => Case::new(Operator, LIBRARY, Some(announcement("New", &MP4)), 201),
        "GET /api/v1/admin/library/videos/{id}/upload" | "PUT /api/v1/admin/library/videos/{id}/upload" => {
            let (own, parts) = app.operator().begin_video(LIBRARY, "L", &MP4).await;
            let (foreign, _) = acme.coach().begin_video(VIDEOS, "A", &MP4).await;
            let body = operation.starts_with("PUT").then(|| json!({ "parts": parts }));
            Case::on(Operator, "/api/v1/admin/library/videos/{id}/upload", own.id(), foreign.id(), body, 200)
        }
        operation if operation.contains(" /api/v1/admin/library/videos/{id}") => {
            let (own, foreign) = library().await;
            let (method, path) = operation.split_once(' ').unwrap();
            let (body, status) = match (method, path.trim_start_matches("/api/v1/admin/library/videos/{id}")) {
                ("GET", "") => (None, 200),
                ("PATCH", "") => (Some(json!({"title": "Renamed"})), 200),
                ("DELETE", "" | "/publication") => (None, 204),
                ("PUT", "/publication") => {
                    app.operator().delete(&format!("{LIBRARY}/{own}/publication")).await.assert(204);
                    (None, 200)
                }
                _ => panic!("{operation} is missing from the sweep's table"),
            };
            Case::on(Operator, path, &own, &foreign, body, status)
        }
        "GET /api/v1/admin/tenants" => Case::across("/api/v1/admin/tenants"),
        "GET /api/v1/admin/audit" => Case::across("/api/v1/admin/audit"),
        "GET /api/v1/admin/jobs" => Case::across("/api/v1/admin/jobs"),
        operation if operation.contains(" /api/v1/admin/tenants/{id}") => {
            let (method, path) = operation.split_once(' ').unwrap();
            let (body, status) = match (method, path.trim_start_matches("/api/v1/admin/tenants/{id}")) {
                ("GET", "" | "/members") => (None, 200),
                ("PUT", "/suspension") => (Some(json!({"reason": "Unpaid"})), 200),
                ("DELETE", "/suspension") => {
                    let path = format!("/api/v1/admin/tenants/{}/suspension", acme.tenant_id());
                    app.operator().put(&path, &json!({"reason": "Unpaid"})).await.assert(200);
                    (None, 204)
                }
                ("PUT", "/throttle") => (Some(json!({"requests_per_minute": 100})), 200),
                ("PUT", "/quotas") => (Some(json!({"limits": {"plan.generate": 7}})), 200),
                ("PUT", "/storage") => (Some(json!({"limit_bytes": 5000})), 200),
                _ => panic!("{operation} is missing from the sweep's table"),
            };
            Case::new(Operator, &path.replace("{id}", acme.tenant_id()), body, status)
        }
        operation if operation.contains(" /api/v1/admin/jobs/{id}") => {
            invitation(acme.owner()).await;
            app.by_hand("update graphile_worker._private_jobs set attempts = 1, last_error = 'no'").await;
            let failed = format!("/api/v1/admin/jobs?state=failed&tenant_id={}", acme.tenant_id());
            let jobs = app.operator().get(&failed).await.assert(200);
            let path = operation.split_once(' ').unwrap().1.replace("{id}", &jobs.body["items"][0]["id"].to_string());
            Case::new(Operator, &path, None, 200)
        }
        // Public pages and probes: nothing of a tenant's is behind them.
        operation if !operation.contains("/api/v1/") => {
            Case::new(Anyone, operation.split_once(' ').unwrap().1, None, 200)
        }
        _ => panic!("{operation} is missing from the sweep's table"),
    }
}

fn operations(document: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "put", "post", "delete", "patch"] {
            if item.get(method).is_some() {
                all.push(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    all
}

#[tokio::test]
async fn every_operation_refuses_everybody_but_its_rightful_caller() {
    let document: Value = serde_json::from_str(&platform::server::document().unwrap()).unwrap();
    let operations = operations(&document);
    assert!(operations.len() >= 38, "the document lists {} operations", operations.len());
    let mut attempts = 0;
    for operation in &operations {
        attempts += sweep(operation).await;
    }
    println!("{} operations, {attempts} refusals checked", operations.len());
}

/// Calls one operation in every wrong way and then rightly; answers how many wrong ways there were.
async fn sweep(operation: &str) -> usize {
    let app = TestApp::start().await;
    let case = case(&app, operation).await;
    let method: Method = operation.split_once(' ').unwrap().0.parse().unwrap();
    let path = (case.path)(&case.own);
    let call = |user: User<'_>, path: String, body: Option<Value>| {
        let (token, method, app) = (user.token.clone(), method.clone(), &app);
        async move { app.with_token(token).send(method, &path, body.as_ref(), &[]).await }
    };
    let rightful = match (&case.token, case.who) {
        (Some(token), _) => app.with_token(token.clone()),
        (None, Who::Anyone) => app.anonymous(),
        (None, Who::Member(person)) => app.acme().person(person),
        (None, Who::Operator) => app.operator(),
    };
    let before = globex(&app).await;
    let mut attempts = 0;
    let mut expect = |answer: Answer, allowed: &[u16], what: &str| {
        attempts += 1;
        assert!(allowed.contains(&answer.status.as_u16()), "{operation}, {what}: {} {}", answer.status, answer.text);
        answer.assert_is_problem();
        assert!(!answer.text.contains(app.globex().tenant_id()), "{operation}, {what}: {}", answer.text);
        answer
    };

    if case.who != Who::Anyone {
        expect(call(app.anonymous(), path.clone(), case.body.clone()).await, &[401], "no token");
        let mut broken = rightful.token.clone();
        broken.truncate(broken.len() - 4);
        expect(call(app.with_token(broken), path.clone(), case.body.clone()).await, &[401], "a broken token");
    }
    match case.who {
        Who::Anyone => {}
        Who::Operator => {
            for person in ["athlete", "owner"] {
                expect(
                    call(app.acme().person(person), path.clone(), case.body.clone()).await,
                    &[403],
                    "a member's token",
                );
            }
        }
        Who::Member(lowest) => {
            expect(call(app.operator(), path.clone(), case.body.clone()).await, &[403], "an operator's token");
            let below = ["athlete", "coach", "admin", "owner"].into_iter().take_while(|role| *role != lowest);
            for role in below {
                expect(
                    call(app.acme().person(role), path.clone(), case.body.clone()).await,
                    &[403, 404],
                    "a too low role",
                );
            }
            if case.foreign.is_some() {
                // Another tenant's owner, with every power there, at our object.
                expect(
                    call(app.globex().owner(), path.clone(), case.body.clone()).await,
                    &[404],
                    "another tenant's token",
                );
            }
        }
    }
    if let Some(foreign) = &case.foreign {
        let theirs = call(rightful.clone(), (case.path)(foreign), case.body.clone()).await;
        let theirs = expect(theirs, &[404], "another tenant's id in the path");
        let nobodys = call(rightful.clone(), (case.path)(NOBODYS), case.body.clone()).await;
        let nobodys = expect(nobodys, &[404], "nobody's id in the path");
        assert_eq!(
            shape(theirs),
            shape(nobodys),
            "{operation}: another tenant's id is told from one that does not exist"
        );
    }
    if let Some(Value::Object(members)) = &case.body {
        for name in ["tenant_id", "member_id", "id", "video_tenant_id", "object_key"] {
            let mut body = members.clone();
            body.insert(name.into(), json!(app.globex().tenant_id()));
            let answer = call(rightful.clone(), path.clone(), Some(Value::Object(body))).await;
            attempts += 1;
            assert_eq!(answer.status, 422, "{operation}, {name} in the body: {}", answer.text);
        }
    }
    if method == Method::GET && case.who != Who::Anyone && !case.across {
        let theirs = app.globex();
        let query = format!(
            "{path}?tenant_id={t}&tenant={t}&member_id={m}",
            t = theirs.tenant_id(),
            m = theirs.member_id("owner")
        );
        let answer = call(rightful.clone(), query, None).await;
        attempts += 1;
        for secret in [theirs.tenant_id(), theirs.member_id("owner"), "globex"] {
            assert!(!answer.text.contains(secret), "{operation}, ids in the query: {}", answer.text);
        }
    }
    assert_eq!(globex(&app).await, before, "{operation} changed another tenant");

    const ACTS: &str = "select count(*) from audit where actor_role = 'operator'";
    let acts = app.count(ACTS).await;
    let answer = call(rightful, path, case.body).await;
    assert_eq!(answer.status.as_u16(), case.status, "{operation}, rightly: {}", answer.text);
    for secret in [app.globex().tenant_id(), "@globex.example"] {
        let told = answer.text.contains(secret) && !(case.across && secret == app.globex().tenant_id());
        assert!(!told, "{operation}, rightly: {}", answer.text);
    }
    assert_eq!(globex(&app).await, before, "{operation}, rightly, changed another tenant");
    if case.who == Who::Operator && method != Method::GET {
        assert_eq!(
            app.count(ACTS).await - acts,
            1,
            "{operation}: every act of an operator's is in the audit log, once"
        );
    }
    attempts
}

/// What of an answer may not differ between an id of another tenant and one that nobody has.
fn shape(answer: Answer) -> (u16, Vec<String>, Value) {
    let mut names: Vec<String> = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort();
    let mut body = answer.body;
    body.as_object_mut().unwrap().remove("request_id");
    (answer.status.as_u16(), names, body)
}

/// Every row of globex's, as text.
async fn globex(app: &TestApp) -> Vec<String> {
    let mut connection = app.superuser().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('select %L || to_jsonb(x)::text from %s x where %I = (select id from tenant where name = ''globex'')', \
         c.oid::regclass::text || ' ', c.oid::regclass, a.attname) from pg_class c join pg_attribute a on a.attrelid = c.oid \
         where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace \
         and (a.attname = 'tenant_id' or (a.attname = 'id' and c.relname = 'tenant'))",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let mut rows = Vec::new();
    for query in tables {
        let found = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap();
        rows.extend(found.iter().map(|row| row.get::<String, _>(0)));
    }
    rows.sort();
    assert!(rows.len() > 10, "globex has members, and audit rows of theirs");
    rows
}
