//! What `platform migrate` is told: the schema's owner, and whoever may make roles.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{ConfigError, Reader};

/// The schema's owner, for migrations.
const OWNER_URL: &str = "FFP_OWNER_DATABASE_URL";
/// Whoever may make roles, as a URL.
const ADMIN_URL: &str = "FFP_ADMIN_DATABASE_URL";
/// The same in three parts. RDS keeps its master's user and password in a secret of its own, which it rotates, and
/// not the address.
const ADMIN_ADDRESS: &str = "FFP_ADMIN_DATABASE_ADDRESS";
const ADMIN_USER: &str = "FFP_ADMIN_DATABASE_USER";
const ADMIN_PASSWORD: &str = "FFP_ADMIN_DATABASE_PASSWORD";

/// What `platform migrate` is told.
#[derive(Clone, Debug)]
pub struct MigrateConfig {
    /// `FFP_OWNER_DATABASE_URL`: `ffp_owner`, who owns the schema.
    pub owner_url: SecretString,
    /// Set by `FFP_ADMIN_DATABASE_URL`, or by `FFP_ADMIN_DATABASE_ADDRESS`, `…_USER` and `…_PASSWORD`: makes the roles
    /// first.
    pub prepare: Option<PrepareConfig>,
}

/// What making the roles takes.
#[derive(Clone, Debug)]
pub struct PrepareConfig {
    /// Who may make roles: a superuser, or a master user with CREATEROLE.
    pub admin_url: SecretString,
    /// `ffp_owner`'s password, taken from its URL, as the others are.
    pub owner: SecretString,
    /// `ffp_app`'s password.
    pub app: SecretString,
    /// `ffp_worker`'s password.
    pub worker: SecretString,
    /// `ffp_operator`'s password.
    pub operator: SecretString,
}

impl MigrateConfig {
    /// Reads what the command needs and nothing more.
    ///
    /// # Errors
    /// Every setting that is missing or bad.
    pub fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(lookup);
        let config = Self::section(&mut reader);
        reader.finish(config)
    }

    /// Reads the section.
    pub(super) fn section(reader: &mut Reader<'_>) -> Option<Self> {
        let owner_url = reader.database_url(OWNER_URL, Some("ffp_owner"));
        let prepare = match Admin::given(reader) {
            None => Some(None),
            Some(admin) => PrepareConfig::read(reader, admin, owner_url.as_ref()).map(Some),
        };
        Some(Self { owner_url: owner_url?, prepare: prepare? })
    }
}

impl PrepareConfig {
    fn read(reader: &mut Reader<'_>, admin: Admin, owner_url: Option<&SecretString>) -> Option<Self> {
        let admin_url = admin.url(reader);
        let owner = owner_url.and_then(|url| password(reader, OWNER_URL, url));
        let mut of = |name, role| {
            let url = reader.database_url(name, Some(role))?;
            password(reader, name, &url)
        };
        let app = of("FFP_DATABASE_URL", "ffp_app");
        let worker = of("FFP_WORKER_DATABASE_URL", "ffp_worker");
        let operator = of("FFP_OPERATOR_DATABASE_URL", "ffp_operator");
        Some(Self { admin_url: admin_url?, owner: owner?, app: app?, worker: worker?, operator: operator? })
    }
}

/// How it is said who may make roles.
enum Admin {
    /// By `FFP_ADMIN_DATABASE_URL`.
    Whole,
    /// By address, user and password, or some of them.
    Apart,
    /// By both.
    Twice,
}

impl Admin {
    /// None when it is not said: the roles exist already.
    fn given(reader: &mut Reader<'_>) -> Option<Self> {
        let whole = reader.optional_secret(ADMIN_URL).is_some();
        let parts = [
            reader.optional(ADMIN_ADDRESS).is_some(),
            reader.optional(ADMIN_USER).is_some(),
            reader.optional_secret(ADMIN_PASSWORD).is_some(),
        ];
        match (whole, parts.contains(&true)) {
            (false, false) => None,
            (true, false) => Some(Self::Whole),
            (false, true) => Some(Self::Apart),
            (true, true) => Some(Self::Twice),
        }
    }

    fn url(&self, reader: &mut Reader<'_>) -> Option<SecretString> {
        match self {
            Self::Whole => reader.database_url(ADMIN_URL, None),
            Self::Apart => {
                let address = address(reader);
                let user = reader.text(ADMIN_USER, "the user that may make roles");
                let password = reader.secret(ADMIN_PASSWORD, "that user's password");
                Some(joined(&address?, &user?, &password?))
            }
            Self::Twice => {
                let wrong = format!("is set, and so is {ADMIN_ADDRESS}, {ADMIN_USER} or {ADMIN_PASSWORD}");
                reader.refuse(ADMIN_URL, wrong, "set the URL, or the three in its place");
                None
            }
        }
    }
}

/// Where the database is. The value is never repeated: somebody may have put a password into it.
fn address(reader: &mut Reader<'_>) -> Option<String> {
    const RIGHT: &str = "host:5432/database, with ?sslmode=verify-full and the like behind it";
    let address = reader.text(ADMIN_ADDRESS, RIGHT)?;
    let is_one = !address.contains("://")
        && Url::parse(&format!("postgres://{address}")).is_ok_and(|url| {
            let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
            is_bare && url.host_str().is_some_and(|host| !host.is_empty()) && !url.path().trim_matches('/').is_empty()
        });
    if !is_one {
        reader.refuse(ADMIN_ADDRESS, "is not a host with a database and nothing more", format!("set it to {RIGHT}"));
    }
    is_one.then_some(address)
}

/// A URL of its parts. Everything that could mean something in a URL is escaped: `Url::set_password` would leave a `%` as
/// it is, which whoever reads the URL takes for the beginning of an escape.
fn joined(address: &str, user: &str, password: &SecretString) -> SecretString {
    let escaped = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    format!("postgres://{}:{}@{address}", escaped(user), escaped(password.expose_secret())).into()
}

/// The password in a role's URL, which the role is to get.
fn password(reader: &mut Reader<'_>, name: &str, url: &SecretString) -> Option<SecretString> {
    let url = Url::parse(url.expose_secret()).ok()?;
    let password = url.password().map(|password| percent_decode_str(password).decode_utf8_lossy().into_owned());
    if password.is_none() {
        reader.refuse(name, "has no password", format!("put the one that {} is to have into the URL", url.username()));
    }
    password.map(SecretString::from)
}
