#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use super::*;

/// What a deployment must set.
fn complete() -> HashMap<&'static str, String> {
    let key = SigningKey::generate_rsa().unwrap();
    [
        ("AWS_REGION", "eu-central-1"),
        ("FFP_DATABASE_URL", "postgres://ffp_app:a@db:5432/ffp"),
        ("FFP_WORKER_DATABASE_URL", "postgres://ffp_worker:w@db:5432/ffp"),
        ("FFP_OPERATOR_DATABASE_URL", "postgres://ffp_operator:o@db:5432/ffp"),
        ("FFP_MEMBERS_POOL_ID", "eu-central-1_members"),
        ("FFP_MEMBERS_CLIENT_ID", "members-client"),
        ("FFP_MEMBERS_CLIENT_SECRET", "hunter2"),
        ("FFP_OPERATORS_POOL_ID", "eu-central-1_operators"),
        ("FFP_OPERATORS_CLIENT_ID", "operators-client"),
        ("FFP_VIDEOS_BUCKET", "videos"),
        ("FFP_MAIL_FROM", "FFP <no-reply@example.com>"),
        ("FFP_SIGNING_KEY_ID", key.id.as_str()),
        ("FFP_SIGNING_KEY_PEM", key.private_pem.expose_secret()),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

fn read(settings: &HashMap<&str, String>) -> Result<Config, ConfigError> {
    Config::read(&|name| settings.get(name).cloned())
}

fn with(changes: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
    let mut settings = complete();
    settings.extend(changes.iter().map(|(name, value)| (*name, (*value).to_owned())));
    read(&settings)
}

fn names(error: &ConfigError) -> Vec<&str> {
    error.0.iter().map(|bad| bad.name.as_str()).collect()
}

#[test]
fn what_must_be_set_is_enough_and_the_rest_has_defaults() {
    let config = with(&[]).unwrap();
    assert_eq!(config.http.addr.to_string(), "127.0.0.1:8080");
    assert_eq!(config.http.public_url.as_str(), "http://127.0.0.1:8080/");
    assert_eq!(config.http.metrics_addr.to_string(), "127.0.0.1:9464");
    assert!(config.http.origin_secrets.is_empty() && config.http.cors_origins.is_empty());
    assert_eq!((config.database.app_connections, config.database.worker_connections), (16, 8));
    assert_eq!(config.identity.auth_floor.as_millis(), 600);
    assert_eq!(config.videos.limit_business, 100 << 30);
    assert_eq!(config.videos.limit_individual, 10 << 30);
    assert_eq!(config.worker_concurrency, 4);
    assert_eq!((config.limits.instances, config.limits.gate_slots), (1, 3));
    assert!(config.limits.valkey_url.is_none());
    assert_eq!(config.limits.valkey_timeout.as_millis(), 100);
    assert_eq!((config.http.burst_per_minute, config.identity.login_attempts), (300, 10));
    let members = &config.identity.issuers[0];
    assert_eq!(members.issuer, "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_members");
    assert_eq!(members.jwks_url.as_str(), format!("{}/.well-known/jwks.json", members.issuer));
    assert_eq!(members.audience, "members-client");
}

#[test]
fn the_sender_of_mail_is_an_address_that_mail_services_take() {
    for good in ["no-reply@example.com", "FFP <no-reply@example.com>"] {
        assert_eq!(with(&[("FFP_MAIL_FROM", good)]).unwrap().mail_from, good);
    }
    for bad in
        ["FFP", "no..reply@example.com", "FFP <no-reply@localhost>", "FFP <no-reply@example.com", "ffp@bücher.example"]
    {
        assert_eq!(names(&with(&[("FFP_MAIL_FROM", bad)]).unwrap_err()), ["FFP_MAIL_FROM"], "{bad}");
    }
}

#[test]
fn everything_that_is_missing_is_reported_at_once_and_nothing_else() {
    let error = read(&HashMap::new()).unwrap_err();
    let mut wanted: Vec<_> = complete().into_keys().collect();
    let mut reported = names(&error);
    wanted.sort_unstable();
    reported.sort_unstable();
    assert_eq!(reported, wanted);
    assert!(error.0.iter().all(|bad| bad.wrong == "is missing" && !bad.right.is_empty()), "{error}");
}

#[test]
fn an_empty_value_is_a_missing_one() {
    let error = with(&[("FFP_VIDEOS_BUCKET", " ")]).unwrap_err();
    assert_eq!(names(&error), ["FFP_VIDEOS_BUCKET"]);
}

#[test]
fn everything_that_is_bad_is_reported_at_once_with_what_would_be_right() {
    let bad = [
        ("AWS_ENDPOINT_URL", "localhost"),
        ("FFP_HTTP_ADDR", "8080"),
        ("FFP_METRICS_ADDR", "metrics:9464"),
        ("FFP_ORIGIN_SECRETS", "a-long-enough-secret,short"),
        ("FFP_CORS_ORIGINS", "https://good.example,*"),
        ("FFP_DRAIN_DELAY_SECONDS", "-1"),
        ("FFP_BURST_PER_MINUTE", "0"),
        ("FFP_DATABASE_CONNECTIONS", "0"),
        ("VALKEY_URL", "http://cache:6379"),
        ("FFP_VALKEY_TIMEOUT_MS", "0"),
        ("FFP_AUTH_FLOOR_MS", "fast"),
        ("FFP_LOGIN_ATTEMPTS", "0"),
        ("FFP_SIGNING_KEY_PEM", "hunter2"),
        ("FFP_STORAGE_LIMIT_BUSINESS", "100 GB"),
        ("FFP_WORKER_CONCURRENCY", "1000"),
    ];
    let error = with(&bad).unwrap_err();
    assert_eq!(names(&error), bad.map(|(name, _)| name));
    assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("short,"), "{error}");
}

#[test]
fn a_public_url_is_an_origin_and_nothing_more() {
    for url in ["https://app.example.com/v1", "https://app.example.com/?a", "ftp://app.example.com", "app.example.com"]
    {
        assert_eq!(names(&with(&[("FFP_PUBLIC_URL", url)]).unwrap_err()), ["FFP_PUBLIC_URL"], "{url}");
    }
    let config = with(&[("FFP_PUBLIC_URL", "https://app.example.com")]).unwrap();
    assert_eq!(config.http.public_url.as_str(), "https://app.example.com/");
}

#[test]
fn a_database_url_must_be_its_roles_own_and_is_never_repeated() {
    for url in [
        "postgres://postgres:hunter2@db/ffp",
        "mysql://ffp_app:hunter2@db/ffp",
        "postgres://ffp_app:hunter2@db",
        "hunter2",
    ] {
        let error = with(&[("FFP_DATABASE_URL", url)]).unwrap_err();
        assert_eq!(names(&error), ["FFP_DATABASE_URL"], "{url}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn keys_that_verify_tokens_come_by_https_or_from_this_machine() {
    let url = "FFP_MEMBERS_JWKS_URL";
    assert_eq!(names(&with(&[(url, "http://keys.example/jwks.json")]).unwrap_err()), [url]);
    for good in ["http://127.0.0.1:4566/pool/jwks.json", "http://[::1]/jwks.json", "https://keys.example/jwks.json"] {
        assert_eq!(with(&[(url, good)]).unwrap().identity.issuers[0].jwks_url.as_str(), good);
    }
}

#[test]
fn members_and_operators_cannot_share_a_pool() {
    let error = with(&[("FFP_OPERATORS_POOL_ID", "eu-central-1_members")]).unwrap_err();
    assert_eq!(names(&error), ["FFP_OPERATORS_POOL_ID"]);
}

fn migrate(settings: &[(&str, &str)]) -> Result<MigrateConfig, ConfigError> {
    let settings: HashMap<&str, &str> = settings.iter().copied().collect();
    MigrateConfig::read(&|name| settings.get(name).map(|value| (*value).to_owned()))
}

/// Owner and services with a password each.
const ROLES: [(&str, &str); 4] = [
    ("FFP_OWNER_DATABASE_URL", "postgres://ffp_owner:o@db/ffp"),
    ("FFP_DATABASE_URL", "postgres://ffp_app:a@db/ffp"),
    ("FFP_WORKER_DATABASE_URL", "postgres://ffp_worker:w@db/ffp"),
    ("FFP_OPERATOR_DATABASE_URL", "postgres://ffp_operator:o@db/ffp"),
];

fn migrate_by(admin: &[(&'static str, &'static str)]) -> Result<MigrateConfig, ConfigError> {
    migrate(&[&ROLES, admin].concat())
}

#[test]
fn an_administrator_may_be_given_in_three_parts_whatever_is_in_them() {
    // As RDS makes passwords: of everything printable but `/`, `@`, `"` and a space.
    let password = "p%41:#?[]&=+~!$'()*,;<>^`{|}\\";
    let address = "db.example:5432/ffp?sslmode=verify-full&sslrootcert=/etc/ssl/certs/rds.pem";
    let config = migrate_by(&[
        ("FFP_ADMIN_DATABASE_ADDRESS", address),
        ("FFP_ADMIN_DATABASE_USER", "ffp@admin"),
        ("FFP_ADMIN_DATABASE_PASSWORD", password),
    ]);
    let prepare = config.unwrap().prepare.unwrap();
    let url = url::Url::parse(prepare.admin_url.expose_secret()).unwrap();
    let decoded = |text| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
    assert_eq!((decoded(url.username()), decoded(url.password().unwrap())), ("ffp@admin".into(), password.into()));
    assert_eq!((url.host_str(), url.port(), url.path()), (Some("db.example"), Some(5432), "/ffp"));
    assert_eq!(url.query(), Some("sslmode=verify-full&sslrootcert=/etc/ssl/certs/rds.pem"));
}

#[test]
fn a_part_of_the_administrator_that_is_missing_or_too_much_is_named() {
    let address = ("FFP_ADMIN_DATABASE_ADDRESS", "db:5432/ffp");
    let (user, password) = (("FFP_ADMIN_DATABASE_USER", "ann"), ("FFP_ADMIN_DATABASE_PASSWORD", "hunter2"));
    let error = migrate_by(&[address]).unwrap_err();
    assert_eq!(names(&error), [user.0, password.0]);
    assert_eq!(names(&migrate_by(&[user, password]).unwrap_err()), [address.0]);
    let whole = ("FFP_ADMIN_DATABASE_URL", "postgres://ann:hunter2@db/ffp");
    let error = migrate_by(&[whole, password]).unwrap_err();
    assert_eq!(names(&error), [whole.0]);
    assert!(error.to_string().contains(password.0) && !error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn an_address_is_a_host_with_a_database_and_nothing_more() {
    let by = |address| {
        migrate_by(&[
            ("FFP_ADMIN_DATABASE_ADDRESS", address),
            ("FFP_ADMIN_DATABASE_USER", "ann"),
            ("FFP_ADMIN_DATABASE_PASSWORD", "secret"),
        ])
    };
    for wrong in ["db:5432", "db:5432/", "postgres://db:5432/ffp", "ann:hunter2@db:5432/ffp", "db:port/ffp", "/ffp"] {
        let error = by(wrong).unwrap_err();
        assert_eq!(names(&error), ["FFP_ADMIN_DATABASE_ADDRESS"], "{wrong}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    assert!(by("db/ffp").unwrap().prepare.is_some());
}

#[test]
fn migrations_need_the_owner_alone_unless_they_make_the_roles() {
    let owner = "postgres://ffp_owner:p%40ss@db/ffp";
    assert!(migrate(&[("FFP_OWNER_DATABASE_URL", owner)]).unwrap().prepare.is_none());

    let admin = ("FFP_ADMIN_DATABASE_URL", "postgres://postgres:root@db/ffp");
    let error = migrate(&[("FFP_OWNER_DATABASE_URL", owner), admin, ("FFP_DATABASE_URL", "postgres://ffp_app@db/ffp")]);
    let error = error.unwrap_err();
    assert_eq!(names(&error), ["FFP_DATABASE_URL", "FFP_WORKER_DATABASE_URL", "FFP_OPERATOR_DATABASE_URL"]);
    assert!(error.to_string().contains("has no password"), "{error}");

    let config = migrate(&[
        ("FFP_OWNER_DATABASE_URL", owner),
        admin,
        ("FFP_DATABASE_URL", "postgres://ffp_app:a@db/ffp"),
        ("FFP_WORKER_DATABASE_URL", "postgres://ffp_worker:w@db/ffp"),
        ("FFP_OPERATOR_DATABASE_URL", "postgres://ffp_operator:o@db/ffp"),
    ]);
    assert_eq!(config.unwrap().prepare.unwrap().owner.expose_secret(), "p@ss");
}

#[test]
fn a_log_filter_that_tracing_cannot_read_is_reported() {
    let error = telemetry(&|name| (name == "FFP_LOG").then(|| "platform=loud".to_owned())).unwrap_err();
    assert_eq!(names(&error), ["FFP_LOG"]);
    assert_eq!(telemetry(&|_| None).unwrap().filter, "info");
}

#[tokio::test]
async fn the_configuration_makes_a_platform_without_calling_anybody() {
    let platform = with(&[]).unwrap().platform().await.unwrap();
    assert_eq!(platform.directory.client_id(), "members-client");
    assert_eq!(platform.settings.public_url.as_str(), "http://127.0.0.1:8080/");
}
