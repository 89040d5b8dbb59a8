//! What one network can take from others: nothing. Behind an edge that proves itself, clients at different addresses of the
//! loopback network are different networks.

use std::net::IpAddr;

use futures::future::join_all;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use url::Url;

use crate::support::{Answer, CONFIRMATION_CODE, PASSWORD, TestApp, proxy::Proxy, registration, stack};

const EDGE: (&str, &str) = ("FFP_ORIGIN_SECRETS", "the-secret-of-the-edge");
const ATTEMPTS: (&str, &str) = ("FFP_LOGIN_ATTEMPTS", "4");
const ME: &str = "/api/v1/me";
const LIBRARY: &str = "/api/v1/admin/library/videos";
const REGISTER: &str = "/api/v1/auth/register";
const RESEND: &str = "/api/v1/auth/resend";
const FORGOT: &str = "/api/v1/auth/forgot-password";

/// Somebody at 127.0.0.`last`.
struct At<'a> {
    app: &'a TestApp,
    http: Client,
}

impl<'a> At<'a> {
    fn new(app: &'a TestApp, last: u8) -> Self {
        let http = Client::builder().local_address(IpAddr::from([127, 0, 0, last])).no_proxy().build().unwrap();
        Self { app, http }
    }

    async fn send(&self, method: Method, path: &str, token: &str, body: Option<&Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.app.base));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::read(request.send().await.unwrap()).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(Method::GET, path, token, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, "", Some(body)).await
    }

    /// Asks until it is told off; how often it was not, and answered so.
    async fn until_told_off(&self, method: Method, path: &str, token: &str, status: u16) -> (usize, Answer) {
        for served in 0..1000 {
            let answer = self.send(method.clone(), path, token, None).await;
            if answer.status == 429 {
                return (served, answer.assert_problem(429, "too-many-requests"));
            }
            answer.assert(status);
        }
        panic!("nobody is told off: {method} {path}");
    }
}

/// What each of the three asks for that have a mail sent.
fn mails(email: &str) -> [(&'static str, Value, u16); 3] {
    let addressed = json!({"email": email});
    [(REGISTER, registration(email, None), 201), (RESEND, addressed.clone(), 202), (FORGOT, addressed, 202)]
}

#[tokio::test]
async fn one_network_cannot_keep_anybody_from_registering() {
    let (app, _time) = TestApp::start_by_hand(&[EDGE, ATTEMPTS]).await;
    let (mallory, ann) = (At::new(&app, 2), At::new(&app, 3));
    let email = app.fresh_email("wanted");
    for (path, body, _) in mails(&email) {
        let answers = join_all((0..20).map(|_| mallory.post(path, &body))).await;
        assert!(answers.iter().any(|answer| answer.status == 429), "{path}");
    }
    for (path, body, status) in mails(&email) {
        ann.post(path, &body).await.assert(status);
    }
    ann.post("/api/v1/auth/confirm", &json!({"email": email, "code": CONFIRMATION_CODE})).await.assert(204);
    ann.post("/api/v1/auth/login", &json!({"email": email, "password": PASSWORD})).await.assert(200);
}

#[tokio::test]
async fn many_networks_together_may_mail_an_address_so_often_and_no_more() {
    let (app, _time) = TestApp::start_by_hand(&[EDGE, ATTEMPTS]).await;
    let email = app.fresh_email("many");
    for network in 2..5 {
        let from = At::new(&app, network);
        for _ in 0..2 {
            from.post(FORGOT, &json!({"email": email})).await.assert(202);
        }
        assert_eq!(from.post(FORGOT, &json!({"email": email})).await.assert(429).body["limit"], 2);
    }
    let another = At::new(&app, 5);
    assert_eq!(another.post(FORGOT, &json!({"email": email})).await.assert(429).body["limit"], 6);
    another.post(FORGOT, &json!({"email": app.fresh_email("another")})).await.assert(202);
}

#[tokio::test]
async fn a_mail_that_failed_through_our_fault_does_not_count() {
    let aws = Proxy::to(stack().ministack.port()).await;
    let (app, _time) = TestApp::start_by_hand_changed(|variables| {
        let mut url = Url::parse(&variables["AWS_ENDPOINT_URL"]).unwrap();
        url.set_port(Some(aws.port())).unwrap();
        variables.insert("AWS_ENDPOINT_URL".to_owned(), url.to_string());
        variables.insert(ATTEMPTS.0.to_owned(), ATTEMPTS.1.to_owned());
    })
    .await;
    let anyone = app.anonymous();
    let email = app.fresh_email("unlucky");
    aws.close();
    join_all(mails(&email).map(|(path, body, _)| {
        let anyone = &anyone;
        async move {
            for _ in 0..3 {
                anyone.post(path, &body).await.assert_problem(503, "unavailable");
            }
        }
    }))
    .await;
    aws.open().await;
    for (path, body, status) in mails(&email) {
        anyone.post(path, &body).await.assert(status);
    }
}

#[tokio::test]
async fn a_flood_without_a_valid_token_is_told_off_wherever_it_goes() {
    let app = TestApp::start_with(&[EDGE, ("FFP_BURST_PER_MINUTE", "5")]).await;
    let owner = app.acme().details("owner");
    let (signed, signature) = owner.id_token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    let floods = [
        (Method::GET, ME, "", 401),
        (Method::GET, ME, "nonsense", 401),
        (Method::GET, ME, &forged, 401),
        (Method::GET, ME, &owner.access_token, 401),
        (Method::GET, ME, &app.operator().token, 403),
        (Method::DELETE, ME, "", 405),
        (Method::GET, LIBRARY, "", 401),
        (Method::GET, LIBRARY, &forged, 401),
        (Method::GET, LIBRARY, &owner.id_token, 403),
        (Method::GET, "/api/v1/nothing", "", 404),
        (Method::GET, "/nothing", "nonsense", 404),
    ];
    for (number, (method, path, token, status)) in floods.into_iter().enumerate() {
        let from = At::new(&app, 10 + u8::try_from(number).unwrap());
        let (served, refused) = from.until_told_off(method, path, token, status).await;
        assert!(served >= 5, "{path}: {served}");
        assert_eq!((&refused.body["limit"], &refused.body["used"]), (&json!(5), &json!(5)));
        assert_eq!(refused.header("retry-after"), refused.body["reset_seconds"].to_string());
    }
}

#[tokio::test]
async fn whoever_is_at_work_does_not_notice_what_others_send_from_their_address() {
    let app = TestApp::start_with(&[EDGE, ("FFP_BURST_PER_MINUTE", "1")]).await;
    let (office, elsewhere) = (At::new(&app, 2), At::new(&app, 3));
    let (owner, operator) = (&app.acme().details("owner").id_token, &app.operator().token);
    office.get(ME, owner).await.assert(200);
    office.get(LIBRARY, operator).await.assert(200);
    office.until_told_off(Method::GET, ME, "nonsense", 401).await;
    for _ in 0..20 {
        office.get(ME, owner).await.assert(200);
        office.get(LIBRARY, operator).await.assert(200);
        for path in ["/health", "/livez", "/readyz"] {
            office.get(path, "").await.assert(200);
        }
    }
    office.until_told_off(Method::GET, LIBRARY, "nonsense", 401).await;
    elsewhere.get(ME, "nonsense").await.assert(401);
    elsewhere.get(ME, &app.globex().details("owner").id_token).await.assert(200);
}

#[tokio::test]
async fn of_a_network_with_nothing_left_a_token_that_is_new_is_not_even_verified() {
    let app = TestApp::start_with(&[EDGE, ("FFP_BURST_PER_MINUTE", "1")]).await;
    let (office, elsewhere) = (At::new(&app, 2), At::new(&app, 3));
    // On a machine so slow that a minute passes between the two, the next one shows it.
    for person in ["owner", "admin", "coach", "athlete", "athlete2"] {
        let token = &app.globex().details(person).id_token;
        office.until_told_off(Method::GET, ME, "nonsense", 401).await;
        let answer = office.get(ME, token).await;
        if answer.status == 429 {
            answer.assert_problem(429, "too-many-requests");
            elsewhere.get(ME, token).await.assert(200);
            office.get(ME, token).await.assert(200);
            return;
        }
        answer.assert(200);
    }
    panic!("every token was verified");
}
