//! TLS as libpq does it (manual 34.19): which modes try it, whose certificate is believed, which
//! certificate is shown. OpenSSL does the work.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    SslConnector, SslContextBuilder, SslFiletype, SslMethod, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use openssl::x509::store::{X509Lookup, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use postgres_openssl::{MakeTlsConnector, set_postgresql_alpn};

use super::keyword::Parameters;
use super::settings::choice;
use crate::error::{Error, Result};

/// How much of TLS is asked for (`sslmode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    /// Never.
    Disable,
    /// Only if the server refuses a plain connection.
    Allow,
    /// If the server has it.
    Prefer,
    /// Always; the certificate is checked if there is a root certificate.
    Require,
    /// Always, with a certificate of a known authority.
    VerifyCa,
    /// And the certificate names the host.
    VerifyFull,
}

/// Whose certificates are believed (`sslrootcert`).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Root {
    /// Those of the operating system.
    System,
    /// Those in a file; `given` if the user named it.
    File { path: PathBuf, given: bool },
    /// No home directory, so no file.
    None,
}

/// Whether our certificate is shown (`sslcertmode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CertificateMode {
    Disable,
    Allow,
    Require,
}

/// Everything about TLS. Has no `Debug`: it may hold the password of a key.
#[derive(Clone)]
pub(super) struct TlsSettings {
    /// What is asked for.
    pub mode: Mode,
    /// TLS from the first byte, for servers from 17 on (`sslnegotiation=direct`).
    pub direct: bool,
    root: Root,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    key_password: Option<String>,
    certificate_mode: CertificateMode,
    revoked: Option<PathBuf>,
    revoked_directory: Option<PathBuf>,
    names_server: bool,
    oldest: Option<SslVersion>,
    newest: Option<SslVersion>,
}

const MODES: &[(&str, Mode)] = &[
    ("disable", Mode::Disable),
    ("allow", Mode::Allow),
    ("prefer", Mode::Prefer),
    ("require", Mode::Require),
    ("verify-ca", Mode::VerifyCa),
    ("verify-full", Mode::VerifyFull),
];

const CERTIFICATE_MODES: &[(&str, CertificateMode)] = &[
    ("disable", CertificateMode::Disable),
    ("allow", CertificateMode::Allow),
    ("require", CertificateMode::Require),
];

const VERSIONS: &[(&str, SslVersion)] = &[
    ("TLSv1", SslVersion::TLS1),
    ("TLSv1.1", SslVersion::TLS1_1),
    ("TLSv1.2", SslVersion::TLS1_2),
    ("TLSv1.3", SslVersion::TLS1_3),
];

impl TlsSettings {
    /// Reads the settings; files not named are looked for in `.postgresql` below `home`.
    pub fn read(parameters: &Parameters, home: Option<&Path>) -> Result<TlsSettings> {
        let default = |name: &str| home.map(|home| home.join(".postgresql").join(name));
        let given = |name: &str| parameters.get(name).map(PathBuf::from);
        let root = match parameters.get("sslrootcert") {
            Some("system") => Root::System,
            Some(path) => Root::File {
                path: PathBuf::from(path),
                given: true,
            },
            None => {
                default("root.crt").map_or(Root::None, |path| Root::File { path, given: false })
            }
        };
        let mode = choice(parameters, "sslmode", MODES)?;
        let default_mode = if root == Root::System {
            Mode::VerifyFull
        } else {
            Mode::Prefer
        };
        let negotiation = &[("postgres", false), ("direct", true)];
        let read = TlsSettings {
            mode: mode.unwrap_or(default_mode),
            direct: choice(parameters, "sslnegotiation", negotiation)?.unwrap_or(false),
            root,
            certificate: given("sslcert").or_else(|| default("postgresql.crt")),
            key: given("sslkey").or_else(|| default("postgresql.key")),
            key_password: parameters.get("sslpassword").map(String::from),
            certificate_mode: choice(parameters, "sslcertmode", CERTIFICATE_MODES)?
                .unwrap_or(CertificateMode::Allow),
            // As in libpq the default list is looked for only where neither is given.
            revoked: given("sslcrl").or_else(|| match given("sslcrldir") {
                Some(_) => None,
                None => default("root.crl"),
            }),
            revoked_directory: given("sslcrldir"),
            names_server: choice(parameters, "sslsni", &[("0", false), ("1", true)])?
                .unwrap_or(true),
            oldest: choice(parameters, "ssl_min_protocol_version", VERSIONS)?,
            newest: choice(parameters, "ssl_max_protocol_version", VERSIONS)?,
        };
        read.refuse_weak_mode(parameters)?;
        Ok(read)
    }

    /// Refuses modes that would make the stricter of two parameters worthless.
    fn refuse_weak_mode(&self, parameters: &Parameters) -> Result<()> {
        let weak = |name: &str, least: &str| {
            let origin = parameters
                .value(name)
                .map_or("conninfo", |value| &value.origin);
            Error::usage(format!("{origin}: the sslmode is too weak for {name}"))
                .mend(format!("use sslmode={least}"))
        };
        if self.root == Root::System && self.mode != Mode::VerifyFull {
            return Err(weak("sslrootcert", "verify-full"));
        }
        if self.direct && self.mode < Mode::Require {
            return Err(weak("sslnegotiation", "require"));
        }
        Ok(())
    }

    /// Reads the files. The error says what is wrong with which one, and how to mend it.
    pub fn check(&self) -> std::result::Result<(), Complaint> {
        if let Root::File { path, given: true } = &self.root
            && self.mode < Mode::VerifyCa
            && !path.exists()
        {
            log::warn!(
                "sslrootcert \"{}\" does not exist, the server's certificate is not verified",
                path.display()
            );
        }
        self.set_up(&mut SslContextBuilder::new(SslMethod::tls())?)
    }

    /// Makes what opens TLS sessions. The error is as [`TlsSettings::check`]'s.
    pub fn connector(&self) -> std::result::Result<MakeTlsConnector, Complaint> {
        let mut builder = SslConnector::builder(SslMethod::tls())?;
        set_postgresql_alpn(&mut builder)?;
        self.set_up(&mut builder)?;
        let (checks_host, names_server) = (self.mode == Mode::VerifyFull, self.names_server);
        let mut connector = MakeTlsConnector::new(builder.build());
        connector.set_callback(move |session, _| {
            session.set_verify_hostname(checks_host);
            session.set_use_server_name_indication(names_server);
            Ok(())
        });
        Ok(connector)
    }

    fn set_up(&self, builder: &mut SslContextBuilder) -> std::result::Result<(), Complaint> {
        builder.set_min_proto_version(Some(self.oldest.unwrap_or(SslVersion::TLS1_2)))?;
        builder.set_max_proto_version(self.newest)?;
        self.believe(builder)?;
        self.show_certificate(builder)
    }

    /// Decides whose certificates are believed. As in libpq a root certificate that is there is
    /// used in every mode, and one that is missing is an error only for the verifying modes.
    fn believe(&self, builder: &mut SslContextBuilder) -> std::result::Result<(), Complaint> {
        let file = match &self.root {
            // The connector has the operating system's certificates from the start.
            Root::System => {
                builder.set_verify(SslVerifyMode::PEER);
                return Ok(());
            }
            Root::File { path, .. } if path.exists() => path,
            _ => return self.believe_anyone(builder),
        };
        let unreadable = |_: &dyn std::error::Error| {
            Complaint::new(format!(
                "could not read root certificate file \"{}\"",
                file.display()
            ))
        };
        // A store of its own: in the builder's any public authority would be believed as well.
        let mut store = X509StoreBuilder::new()?;
        let pem = std::fs::read(file).map_err(|error| unreadable(&error))?;
        let authorities = X509::stack_from_pem(&pem).map_err(|error| unreadable(&error))?;
        if authorities.is_empty() {
            return Err(unreadable(&std::fmt::Error));
        }
        for authority in authorities {
            store.add_cert(authority)?;
        }
        self.add_revoked(&mut store)?;
        builder.set_cert_store(store.build());
        builder.set_verify(SslVerifyMode::PEER);
        Ok(())
    }

    fn believe_anyone(
        &self,
        builder: &mut SslContextBuilder,
    ) -> std::result::Result<(), Complaint> {
        if self.mode >= Mode::VerifyCa {
            let what = match &self.root {
                Root::File { path, .. } => format!(
                    "root certificate file \"{}\" does not exist",
                    path.display()
                ),
                _ => "there is no root certificate file".to_string(),
            };
            return Err(Complaint::new(what).mend(
                "name the authority's certificate with sslrootcert, use sslrootcert=system, or a weaker sslmode",
            ));
        }
        builder.set_verify(SslVerifyMode::NONE);
        Ok(())
    }

    fn add_revoked(&self, store: &mut X509StoreBuilder) -> std::result::Result<(), Complaint> {
        let mut any = false;
        if let Some(file) = self.revoked.as_ref().filter(|file| file.exists()) {
            store
                .add_lookup(X509Lookup::file())?
                .load_crl_file(file, SslFiletype::PEM)
                .map_err(|_| {
                    Complaint::new(format!(
                        "could not read revocation list \"{}\"",
                        file.display()
                    ))
                })?;
            any = true;
        }
        if let Some(directory) = self.revoked_directory.as_ref().filter(|path| path.exists()) {
            store
                .add_lookup(X509Lookup::hash_dir())?
                .add_dir(&directory.to_string_lossy(), SslFiletype::PEM)?;
            any = true;
        }
        if any {
            store.set_flags(X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL)?;
        }
        Ok(())
    }

    /// Loads our certificate and its key, where there is one and it may be shown.
    fn show_certificate(
        &self,
        builder: &mut SslContextBuilder,
    ) -> std::result::Result<(), Complaint> {
        if self.certificate_mode == CertificateMode::Disable {
            return Ok(());
        }
        let Some(certificate) = self.certificate.as_ref().filter(|path| path.exists()) else {
            if self.certificate_mode == CertificateMode::Require {
                return Err(Complaint::new(
                    "sslcertmode=require, and there is no client certificate",
                )
                .mend("name it with sslcert"));
            }
            return Ok(());
        };
        let Some(key) = self.key.as_ref().filter(|path| path.exists()) else {
            return Err(Complaint::new(format!(
                "certificate \"{}\" is there, but not its private key",
                certificate.display()
            ))
            .mend("name the key with sslkey"));
        };
        check_key_permissions(key)?;
        builder
            .set_certificate_chain_file(certificate)
            .map_err(|_| {
                Complaint::new(format!(
                    "could not read certificate file \"{}\"",
                    certificate.display()
                ))
            })?;
        builder.set_private_key(&*self.private_key(key)?)?;
        builder.check_private_key().map_err(|_| {
            Complaint::new(format!(
                "certificate \"{}\" does not fit its private key",
                certificate.display()
            ))
        })
    }

    fn private_key(
        &self,
        path: &Path,
    ) -> std::result::Result<PKey<openssl::pkey::Private>, Complaint> {
        let complaint = || {
            Complaint::new(format!(
                "could not read private key file \"{}\"",
                path.display()
            ))
            .mend("if it is encrypted, give its password with sslpassword")
        };
        let content = std::fs::read(path).map_err(|_| complaint())?;
        // Always with a password, be it empty: OpenSSL would ask for one on the terminal.
        let password = self.key_password.as_deref().unwrap_or_default().as_bytes();
        PKey::private_key_from_pem_passphrase(&content, password)
            .or_else(|_| PKey::private_key_from_der(&content))
            .map_err(|_| complaint())
    }
}

/// Refuses a key that others may read, by libpq's rule: 0600 for our own, 0640 for root's.
fn check_key_permissions(path: &Path) -> std::result::Result<(), Complaint> {
    let Ok(metadata) = std::fs::metadata(path) else {
        return Ok(());
    };
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.is_file() && metadata.mode() & forbidden == 0 {
        return Ok(());
    }
    let complaint = format!(
        "private key file \"{}\" has group or world access",
        path.display()
    );
    Err(Complaint::new(complaint)
        .mend("its permissions must be u=rw (0600) or less, or 0640 if root owns it"))
}

/// Why TLS cannot be set up here, before anything is sent.
#[derive(Debug)]
pub(super) struct Complaint {
    /// What is wrong.
    pub message: String,
    /// What can be done.
    pub mend: Option<String>,
}

impl Complaint {
    fn new(message: impl Into<String>) -> Complaint {
        Complaint {
            message: message.into(),
            mend: None,
        }
    }

    fn mend(mut self, mend: &str) -> Complaint {
        self.mend = Some(mend.to_string());
        self
    }
}

impl From<ErrorStack> for Complaint {
    fn from(error: ErrorStack) -> Complaint {
        Complaint::new(format!("could not set up TLS: {error}"))
    }
}
