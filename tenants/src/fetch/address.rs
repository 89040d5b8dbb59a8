//! Where the server is, and logging in there.

use std::io;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::PgConnectOptions;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};
use tokio_postgres::{Config, NoTls, config::SslMode};
use url::Url;

use super::{
    connection::{Connection, Failure},
    tls::{Files, Tls},
};

/// A stream to the server.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for T {}

/// What a database URL says, in the sense that sqlx gives it: both pools are configured by the same one.
pub(super) struct Address {
    server: Server,
    tls: Option<Tls>,
    /// User, password, database and what is said at the start.
    login: Config,
}

enum Server {
    Tcp(String, u16),
    /// The path of a socket.
    Unix(String),
}

impl Address {
    /// # Errors
    /// A sentence without the URL, which holds a password.
    pub(super) fn parse(url: &SecretString, application: &str) -> Result<Self, String> {
        let options: PgConnectOptions = url.expose_secret().parse().map_err(|_| "it is not a URL of PostgreSQL")?;
        let url = Url::parse(url.expose_secret()).map_err(|_| "it is not a URL")?;
        let from_environment = |name: &str| std::env::var(name).ok();
        let in_query = |names: &[&str]| {
            url.query_pairs().filter(|(name, _)| names.contains(&name.as_ref())).last().map(|(_, value)| value.into())
        };
        let host = options.get_host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let files = Files {
            authorities: in_query(&["sslrootcert", "ssl-root-cert", "ssl-ca"])
                .or_else(|| from_environment("PGSSLROOTCERT")),
            certificate: in_query(&["sslcert", "ssl-cert"]).or_else(|| from_environment("PGSSLCERT")),
            key: in_query(&["sslkey", "ssl-key"]).or_else(|| from_environment("PGSSLKEY")),
        };
        let (server, tls) = match options.get_socket() {
            Some(path) => (Server::Unix(format!("{}/.s.PGSQL.{}", path.display(), options.get_port())), None),
            None => {
                let tls = Tls::new(options.get_ssl_mode(), &host, &files)?;
                (Server::Tcp(host, options.get_port()), tls)
            }
        };
        let in_url = url.password().map(|text| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>());
        let password = in_query(&["password"]).map(String::into_bytes).or(in_url);

        let mut login = Config::new();
        // Encryption is settled before tokio-postgres gets to speak.
        login.ssl_mode(SslMode::Disable).user(options.get_username()).application_name(application);
        login.dbname(options.get_database().unwrap_or(options.get_username()));
        if let Some(password) = password.or_else(|| from_environment("PGPASSWORD").map(String::into_bytes)) {
            login.password(password);
        }
        if let Some(options) = options.get_options() {
            login.options(options);
        }
        Ok(Self { server, tls, login })
    }

    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let mut socket = self.open().await?;
        // The client ends with its login, without a word to the server: from here on the stream is ours.
        let login = self.login.connect_raw(&mut socket, NoTls).await;
        drop(login.map_err(Failure::of_login)?);
        Connection::new(socket).await
    }

    async fn open(&self) -> io::Result<Box<dyn Socket>> {
        match &self.server {
            Server::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Server::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                match &self.tls {
                    None => Ok(Box::new(stream)),
                    Some(tls) => encrypt(stream, tls).await,
                }
            }
        }
    }
}

/// Asks for encryption, as the protocol's SSLRequest does it.
async fn encrypt(mut stream: TcpStream, tls: &Tls) -> io::Result<Box<dyn Socket>> {
    let mut request = bytes::BytesMut::new();
    postgres_protocol::message::frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    match stream.read_u8().await? {
        b'S' => Ok(Box::new(tls.connector.connect(tls.host.clone(), stream).await?)),
        b'N' if !tls.is_required => Ok(Box::new(stream)),
        _ => Err(io::Error::other("the server does not encrypt, and the URL demands it")),
    }
}
