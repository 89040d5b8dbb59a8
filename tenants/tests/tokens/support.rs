//! Two user pools, each with its key and its JWKS server, a clock that stands
//! still, and tokens of any shape.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaEncoding};
use axum::Router;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tenants::tokens::{Clock, Issuer, IssuerKind, Verifier, VerifierOptions};
use tokio::sync::Semaphore;
use url::Url;

/// The time at which tests start.
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const MEMBERS: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Members";
pub(crate) const OPERATORS: &str = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Staff";
pub(crate) const MEMBER_CLIENT: &str = "memberclient";
pub(crate) const OPERATOR_CLIENT: &str = "operatorclient";
pub(crate) const TENANT: &str = "0198b2a4-5c00-7000-8000-000000000001";
/// The kid of both pools' keys, so that only the issuer tells them apart.
pub(crate) const KID: &str = "id/key+1=";

pub(crate) static MEMBERS_KEY: LazyLock<RsaKey> = LazyLock::new(RsaKey::generate);
pub(crate) static OPERATORS_KEY: LazyLock<RsaKey> = LazyLock::new(RsaKey::generate);
/// Belongs to no pool at first.
pub(crate) static OTHER_KEY: LazyLock<RsaKey> = LazyLock::new(RsaKey::generate);

pub(crate) struct RsaKey(KeyPair);

impl RsaKey {
    fn generate() -> Self {
        Self(KeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let public = self.0.public_key();
        let n = public.modulus().big_endian_without_leading_zero();
        let e = public.exponent().big_endian_without_leading_zero();
        json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
                "n": encode(n), "e": encode(e) })
    }

    /// The public key as DER, what an HS256 forger would use as the secret.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    /// A token with this header and payload, to the letter.
    pub(crate) fn sign_text(&self, header: &str, payload: &str) -> String {
        self.sign_by(&RSA_PKCS1_SHA256, header, payload)
    }

    pub(crate) fn sign_by(&self, encoding: &'static dyn RsaEncoding, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(payload));
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", encode(signature))
    }

    /// A token as Cognito would make it with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_text(&header(), &claims.to_string())
    }
}

pub(crate) fn header() -> String {
    json!({ "kid": KID, "alg": "RS256" }).to_string()
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The claims of a member's ID token that is valid now.
pub(crate) fn member_claims() -> Value {
    json!({
        "sub": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "iss": MEMBERS, "aud": MEMBER_CLIENT,
        "token_use": "id", "iat": NOW, "auth_time": NOW - 5, "exp": NOW + 900,
        "email": "jane@example.com", "email_verified": true, "cognito:groups": ["coaches"],
        "custom:tenantId": TENANT, "custom:role": "owner",
    })
}

/// The claims of an operator's ID token that is valid now.
pub(crate) fn operator_claims() -> Value {
    json!({
        "sub": "bbbbbbbb-bbbb-4ccc-8ddd-eeeeeeeeeeee", "iss": OPERATORS, "aud": OPERATOR_CLIENT,
        "token_use": "id", "iat": NOW, "exp": NOW + 900,
    })
}

/// A member's claims with one of them replaced or added.
pub(crate) fn member_claims_with(name: &str, value: Value) -> Value {
    let mut claims = member_claims();
    claims[name] = value;
    claims
}

/// A member's claims with one of them left out.
pub(crate) fn member_claims_without(name: &str) -> Value {
    let mut claims = member_claims();
    claims.as_object_mut().unwrap().remove(name).unwrap();
    claims
}

#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(NOW)))
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn options(&self) -> VerifierOptions {
        VerifierOptions { clock: Arc::new(self.clone()), ..VerifierOptions::default() }
    }
}

impl Clock for TestClock {
    fn unix_seconds(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Serves one document, counts how often it was asked for and, apart, how often
/// anything else was.
#[derive(Clone)]
pub(crate) struct JwksServer {
    address: std::net::SocketAddr,
    answer: Arc<Mutex<(StatusCode, String)>>,
    gate: Arc<Semaphore>,
    fetches: Arc<AtomicUsize>,
    strays: Arc<AtomicUsize>,
}

impl JwksServer {
    pub(crate) async fn start(jwks: Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new((StatusCode::OK, jwks.to_string()))),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            fetches: Arc::default(),
            strays: Arc::default(),
        };
        let (serving, straying) = (server.clone(), server.clone());
        let app = Router::new().route("/pool/jwks.json", get(async move || serving.respond().await)).fallback(
            async move || {
                straying.strays.fetch_add(1, Ordering::SeqCst);
                StatusCode::NOT_FOUND
            },
        );
        tokio::spawn(async move { axum::serve(listener, app).await });
        server
    }

    /// The answer, with an address that only a redirect makes sense of.
    async fn respond(&self) -> impl IntoResponse + use<> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let _open = self.gate.acquire().await.unwrap();
        let (status, body) = self.answer.lock().unwrap().clone();
        (status, [(LOCATION, "/elsewhere")], body)
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}/pool/jwks.json", self.address).parse().unwrap()
    }

    pub(crate) fn answer(&self, status: StatusCode, body: impl ToString) {
        *self.answer.lock().unwrap() = (status, body.to_string());
    }

    /// Publishes these keys and no other.
    pub(crate) fn publish(&self, keys: &[Value]) {
        self.answer(StatusCode::OK, json!({ "keys": keys }));
    }

    /// Lets requests arrive and wait until [`JwksServer::release`].
    pub(crate) fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn release(&self) {
        self.gate.add_permits(1000);
    }

    pub(crate) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    pub(crate) fn strays(&self) -> usize {
        self.strays.load(Ordering::SeqCst)
    }

    /// Waits until so many fetches have arrived; what hangs fails after 10 s.
    pub(crate) async fn fetched(&self, count: usize) {
        eventually(|| self.fetches() >= count).await;
    }
}

/// Waits until the condition holds; what never does fails after 10 s.
pub(crate) async fn eventually(mut condition: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("waited in vain");
}

/// A verifier that trusts the members' and the operators' pool.
pub(crate) struct World {
    pub(crate) verifier: Verifier,
    pub(crate) clock: TestClock,
    pub(crate) members: JwksServer,
    pub(crate) operators: JwksServer,
}

impl World {
    pub(crate) async fn start() -> Self {
        let clock = TestClock::new();
        let members = JwksServer::start(json!({ "keys": [MEMBERS_KEY.jwk(KID)] })).await;
        let operators = JwksServer::start(json!({ "keys": [OPERATORS_KEY.jwk(KID)] })).await;
        let issuers = vec![
            issuer(MEMBERS, MEMBER_CLIENT, &members, IssuerKind::Member),
            issuer(OPERATORS, OPERATOR_CLIENT, &operators, IssuerKind::Operator),
        ];
        Self { verifier: Verifier::new(issuers, clock.options()).unwrap(), clock, members, operators }
    }
}

fn issuer(name: &str, client: &str, server: &JwksServer, kind: IssuerKind) -> Issuer {
    Issuer { issuer: name.into(), jwks_url: server.url(), audience: client.into(), kind }
}
