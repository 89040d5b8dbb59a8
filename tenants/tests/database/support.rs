//! A database per test, with two businesses in it that have a row in every table, connected to as the service roles.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{Request, request::Parts},
};
use devstack::{
    postgres::Postgres,
    testdb::{Error, TestDatabase, TestServer},
};
use migrations::RolePasswords;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use tenants::{
    DatabaseConfig, LimitsConfig, MemberId, OperatorScope, PLATFORM_TENANT, Role, Tenant, TenantId, Tenants,
    http::{Caller, Operator},
    tokens::{Issuer, IssuerKind, TokenUse, Verified, Verifier, VerifierOptions},
};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// The password of every role on a throwaway server.
const PASSWORD: &str = "a password with ' and %";

/// The roles the services connect as.
pub(crate) const SERVICES: [&str; 3] = ["ffp_app", "ffp_worker", "ffp_operator"];

/// One of the two tenants of every test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Business {
    pub(crate) id: TenantId,
    number: u128,
}

/// Always present, with the same rows.
pub(crate) const ACME: Business = business(0xa);
/// Always present, with the same rows.
pub(crate) const GLOBEX: Business = business(0xb);

/// Published in the platform's own library: everybody may see it.
pub(crate) const LIBRARY_VIDEO: Uuid = Uuid::from_u128(0x0000_0000_0000_7000_9000_0000_0001_0021);
/// Not published there yet.
const LIBRARY_DRAFT: Uuid = Uuid::from_u128(0x0000_0000_0000_7000_9000_0000_0001_0020);

const fn business(letter: u128) -> Business {
    let number = 0x0000_0000_0000_7000_9000_0000_0000_0000 + (letter << 16);
    Business { id: TenantId(Uuid::from_u128(number)), number }
}

impl Business {
    /// The member with this role; there is a second athlete besides.
    pub(crate) fn member(self, role: Role) -> MemberId {
        self.row(1 + role as u128)
    }

    pub(crate) fn second_athlete(self) -> MemberId {
        self.row(9)
    }

    /// A video that athletes see.
    pub(crate) fn published_video(self) -> Uuid {
        self.row(0x21).0
    }

    /// A video that only coaches and up see.
    pub(crate) fn draft_video(self) -> Uuid {
        self.row(0x20).0
    }

    fn row(self, number: u128) -> MemberId {
        MemberId(Uuid::from_u128(self.number + number))
    }
}

/// One test's database and the product's own way into it.
pub(crate) struct TestDb {
    pub(crate) tenants: Tenants,
    /// A superuser's connection: it sees everything, to plant and to check.
    pub(crate) admin: PgConnection,
    pub(crate) database: TestDatabase,
    server: &'static TestServer,
}

impl TestDb {
    pub(crate) async fn new() -> Self {
        Self::with_connections(8).await
    }

    /// With this many connections in each pool.
    pub(crate) async fn with_connections(connections: u32) -> Self {
        static SERVER: OnceCell<TestServer> = OnceCell::const_new();
        let server = SERVER.get_or_init(async || TestServer::start(build).await.unwrap()).await;
        Self::on(server, connections).await
    }

    /// On a server of one's own, for tests that change what all databases of a server share.
    pub(crate) async fn on_own_server() -> Self {
        let server = Box::leak(Box::new(TestServer::start(build).await.unwrap()));
        Self::on(server, 8).await
    }

    async fn on(server: &'static TestServer, connections: u32) -> Self {
        let database = server.database().await.unwrap();
        let admin = PgConnection::connect(&server.postgres().admin_url(database.name())).await.unwrap();
        let tenants = tenants(server.postgres(), database.name(), connections);
        Self { tenants, admin, database, server }
    }

    pub(crate) fn url(&self, role: &str) -> String {
        self.server.postgres().url(role, PASSWORD, self.database.name())
    }

    pub(crate) fn admin_url(&self) -> String {
        self.server.postgres().admin_url(self.database.name())
    }

    /// Another process's way into the same database, with limits of the test's own.
    pub(crate) fn another(&self, connections: u32, limits: &LimitsConfig) -> Tenants {
        limited(SERVICES.map(|role| self.url(role)), connections, limits)
    }

    /// A bare connection as a role, with no tenant set.
    pub(crate) async fn connect(&self, role: &str) -> PgConnection {
        PgConnection::connect(&self.url(role)).await.unwrap()
    }

    /// Runs statements as the superuser.
    pub(crate) async fn execute(&mut self, sql: &str) {
        self.admin.execute(AssertSqlSafe(sql.to_owned())).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// A number that the superuser reads.
    pub(crate) async fn count(&mut self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.admin).await.unwrap()
    }

    /// The tenant as a handler has it, for a caller with this role.
    pub(crate) async fn member(&self, business: Business, role: Role) -> Tenant {
        self.caller(business, business.member(role), role).await
    }

    /// The tenant as a handler has it.
    pub(crate) async fn caller(&self, business: Business, member_id: MemberId, role: Role) -> Tenant {
        caller_of(&self.tenants, business, member_id, role).await
    }

    /// An operator as a handler has one.
    pub(crate) async fn operator(&self) -> OperatorScope {
        let token = Verified {
            kind: IssuerKind::Operator,
            issuer: "https://operators.invalid".into(),
            subject: Uuid::from_u128(0x0b).to_string(),
            tenant_id: None,
            email: None,
            groups: Vec::new(),
            issued_at: 0,
            expires_at: i64::MAX,
            auth_time: None,
            token_use: TokenUse::Id,
        };
        Operator::from_request_parts(&mut parts(Arc::new(token)), &self.tenants).await.unwrap().scope
    }
}

/// The tenant as a handler of this process has it.
pub(crate) async fn caller_of(tenants: &Tenants, business: Business, member_id: MemberId, role: Role) -> Tenant {
    let subject = format!("subject of {member_id}");
    let caller = Caller { tenant_id: business.id, member_id, role, subject };
    Tenant::from_request_parts(&mut parts(caller), tenants).await.unwrap()
}

fn parts(extension: impl Clone + Send + Sync + 'static) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.extensions.insert(extension);
    parts
}

/// The product's pools for a database.
pub(crate) fn tenants(postgres: &Postgres, database: &str, connections: u32) -> Tenants {
    let url = |role| postgres.url(role, PASSWORD, database);
    tenants_at(url("ffp_app"), url("ffp_worker"), url("ffp_operator"), connections)
}

pub(crate) fn tenants_at(app_url: String, worker_url: String, operator_url: String, connections: u32) -> Tenants {
    limited([app_url, worker_url, operator_url], connections, &LimitsConfig::default())
}

fn limited([app_url, worker_url, operator_url]: [String; 3], connections: u32, limits: &LimitsConfig) -> Tenants {
    let config = DatabaseConfig {
        app_url: app_url.into(),
        worker_url: worker_url.into(),
        operator_url: operator_url.into(),
        app_connections: connections,
        worker_connections: connections,
        operator_connections: connections,
        hot_connections: connections,
    };
    // No token is verified here, so nobody asks for its keys.
    let issuer = Issuer {
        issuer: "https://members.invalid".into(),
        jwks_url: "https://members.invalid/jwks.json".parse().unwrap(),
        audience: "client".into(),
        kind: IssuerKind::Member,
    };
    Tenants::new(&config, limits, Verifier::new(vec![issuer], VerifierOptions::default()).unwrap()).unwrap()
}

/// The whole schema with two businesses in it, made the way `platform migrate` makes it.
pub(crate) async fn build(postgres: &Postgres, database: &str) -> Result<(), Error> {
    let mut admin = PgConnection::connect(&postgres.admin_url(database)).await?;
    let password = || PASSWORD.to_owned();
    let passwords = RolePasswords { owner: password(), app: password(), worker: password(), operator: password() };
    migrations::prepare(&mut admin, &passwords).await?;
    let owner = PgPool::connect(&postgres.url("ffp_owner", PASSWORD, database)).await?;
    migrations::migrate(&owner).await?;
    owner.close().await;
    for business in [ACME, GLOBEX] {
        admin.execute(AssertSqlSafe(rows_of(business))).await?;
    }
    admin.execute(AssertSqlSafe(videos(PLATFORM_TENANT, LIBRARY_DRAFT, LIBRARY_VIDEO, "null"))).await?;
    admin.close().await?;
    Ok(())
}

/// A row in every table. A new table gets its row here; a test fails until then.
fn rows_of(business: Business) -> String {
    let tenant = business.id;
    let owner = business.member(Role::Owner);
    let athlete = business.member(Role::Athlete);
    let row = |number| business.row(number);
    let mut sql = format!(
        "insert into tenant (id, kind, name, status, storage_limit_bytes) values ('{tenant}', 'business', 'A gym', 'active', 1000000);"
    );
    let members = Role::ALL.map(|role| (business.member(role), role)).into_iter();
    for (id, role) in members.chain([(business.second_athlete(), Role::Athlete)]) {
        let role = role.as_str();
        sql += &format!(
            "insert into member (tenant_id, id, subject, full_name, role, status)
                 values ('{tenant}', '{id}', 'subject of {id}', 'A {role}', '{role}', 'active');
             insert into member_contact (tenant_id, id, email) values ('{tenant}', '{id}', '{id}@example.com');"
        );
    }
    sql += &format!(
        "insert into registration (tenant_id, id, password_check) values ('{tenant}', '{owner}', 'x');
         insert into invitation (tenant_id, id, email, role, invited_by, token_hash, expires_at)
             values ('{tenant}', '{}', 'new@example.com', 'coach', '{owner}', 'hash', now() + interval '1 day');
         insert into audit (tenant_id, id, actor_role, actor_id, action, object_kind)
             values ('{tenant}', '{}', 'owner', '{owner}', 'test.seeded', 'tenant');
         insert into idempotency (tenant_id, id, member_id, route, key, request_hash, resource_id)
             values ('{tenant}', '{}', '{owner}', 'POST /things', 'k', 'h', '{tenant}');
         insert into quota_take (tenant_id, id, member_id, quota, taken_at)
             values ('{tenant}', '{}', '{owner}', 'test.seeded', now());
         insert into gate_ticket (tenant_id, id, order_key, job_id, entered_at)
             values ('{tenant}', '{}', 'test.seeded:k', 0, now());
         insert into usage (tenant_id, id, meter, day, amount) values ('{tenant}', '{}', 'test.seeded', current_date, 1);",
        row(0x10),
        row(0x11),
        row(0x12),
        row(0x14),
        row(0x15),
        row(0x16),
    );
    sql += &videos(tenant, business.draft_video(), business.published_video(), &format!("'{owner}'"));
    sql + &format!(
        "insert into video_progress (tenant_id, id, member_id, video_tenant_id, video_id, position_seconds, recorded_at)
             values ('{tenant}', '{}', '{athlete}', '{tenant}', '{}', 1, now());",
        row(0x13),
        business.published_video(),
    )
}

fn videos(tenant: TenantId, draft: Uuid, published: Uuid, created_by: &str) -> String {
    let video = |id, status, published_at| {
        format!(
            "insert into video (tenant_id, id, title, status, content_type, size_bytes, object_key, upload_expires_at,
                                published_at, created_by)
                 values ('{tenant}', '{id}', 'Squats', '{status}', 'video/mp4', 1, 'k/{id}', now(), {published_at}, {created_by});"
        )
    };
    video(draft, "uploading", "null") + &video(published, "ready", "now()")
}
