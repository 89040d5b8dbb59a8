//! Encryption, as the database URL asks for it: libpq's modes, as far as sqlx knows them, with rustls over aws-lc-rs.

use std::sync::Arc;

use sqlx::postgres::PgSslMode;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
        client::{
            WebPkiServerVerifier,
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        },
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    },
};

/// Files in PEM that a URL names, each optional.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// `sslrootcert`: authorities besides the usual ones.
    pub(super) authorities: Option<String>,
    /// `sslcert`: our own certificate.
    pub(super) certificate: Option<String>,
    /// `sslkey`: its key.
    pub(super) key: Option<String>,
}

/// How to encrypt.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) host: ServerName<'static>,
    /// Whether a server that can't is left alone.
    pub(super) is_required: bool,
}

impl Tls {
    /// None where the mode is never to encrypt.
    ///
    /// # Errors
    /// A sentence on the file or the host that is not what it should be.
    pub(super) fn new(mode: PgSslMode, host: &str, files: &Files) -> Result<Option<Self>, String> {
        let trust = match mode {
            PgSslMode::Disable | PgSslMode::Allow => return Ok(None),
            PgSslMode::Prefer | PgSslMode::Require => Trust::Anybody,
            PgSslMode::VerifyCa => Trust::Authority,
            PgSslMode::VerifyFull => Trust::Host,
        };
        // By name: with two providers compiled in, rustls would not know which is meant.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for authority in certificates(files.authorities.as_deref())? {
            roots.add(authority).map_err(|error| format!("sslrootcert: {error}"))?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = Check { trust, verifier: verifier.build().map_err(|error| error.to_string())? };
        let config = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &files.key {
            None => config.with_no_client_auth(),
            Some(key) => {
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("sslkey: {error}"))?;
                let certificate = certificates(files.certificate.as_deref())?;
                config.with_client_auth_cert(certificate, key).map_err(|error| format!("sslcert: {error}"))?
            }
        };
        let host = ServerName::try_from(host.to_owned()).map_err(|error| format!("the host: {error}"))?;
        let is_required = !matches!(mode, PgSslMode::Prefer);
        Ok(Some(Self { connector: TlsConnector::from(Arc::new(config)), host, is_required }))
    }
}

fn certificates(path: Option<&str>) -> Result<Vec<CertificateDer<'static>>, String> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| format!("{path} holds no certificates: {error}"))
}

/// Whom a server's certificate must convince of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Nobody: the line is encrypted, to whoever answers.
    Anybody,
    /// An authority, for whatever host.
    Authority,
    /// An authority, for this host.
    Host,
}

#[derive(Debug)]
struct Check {
    trust: Trust,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.trust == Trust::Anybody {
            return Ok(ServerCertVerified::assertion());
        }
        match self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.trust == Trust::Authority => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
