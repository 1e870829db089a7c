//! `cert`: makes an authority of one's own, and certificates of servers and clients that it signs.
//!
//! For one's own machines, and to try TLS. An organisation that has an authority uses that.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::ToSpan;
use jiff::civil::Date;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};

use super::args::cert::CertCommand;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::times;

const AUTHORITY_NAME: &str = "Dateline authority";
const AUTHORITY_YEARS: i64 = 10;
/// Some clients reject certificates of servers that are valid for longer than 398 days.
const CERTIFICATE_DAYS: i64 = 397;

pub(super) fn run(command: &CertCommand, out: &mut Output) -> Result<(), Failure> {
    let today = today()?;
    let (certificate, key) = match command {
        CertCommand::Ca { dir } => {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| cannot(dir, error))?;
            let key = KeyPair::generate().map_err(unusable)?;
            let certificate = authority(today)?.self_signed(&key).map_err(unusable)?;
            Files::new(dir, "ca").write(&certificate.pem(), &key)?
        }
        CertCommand::Server { dir, host } => {
            let params = CertificateParams::new(host.clone()).map_err(unusable)?;
            sign(params, ExtendedKeyUsagePurpose::ServerAuth, "server", dir, today)?
        }
        CertCommand::Client { dir, name, uri } => {
            if name.is_empty() || name.starts_with('.') || name.contains('/') {
                let message = format!("--name: {name:?} cannot be a part of file names; give a name such as crawler");
                return Err(Failure::new(Exit::Usage, message));
            }
            let mut params = CertificateParams::default();
            let names = uri.iter().map(|uri| Ok(SanType::URI(Ia5String::try_from(uri.as_str())?)));
            params.subject_alt_names = match names.collect::<Result<Vec<_>, rcgen::Error>>().map_err(unusable)? {
                uris if uris.is_empty() => {
                    vec![SanType::DnsName(Ia5String::try_from(name.as_str()).map_err(unusable)?)]
                }
                uris => uris,
            };
            params.distinguished_name.push(DnType::CommonName, name.as_str());
            sign(params, ExtendedKeyUsagePurpose::ClientAuth, name, dir, today)?
        }
    };
    out.line(format_args!("{}\n{}", certificate.display(), key.display()))
}

/// What the certificate of the authority says.
fn authority(today: Date) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, AUTHORITY_NAME);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(params, today, today.checked_add(AUTHORITY_YEARS.years()).map_err(unusable)?)
}

/// Makes a certificate for one use, signed by the authority in `dir`, and writes it there.
fn sign(
    params: CertificateParams,
    usage: ExtendedKeyUsagePurpose,
    name: &str,
    dir: &Path,
    today: Date,
) -> Result<(PathBuf, PathBuf), Failure> {
    let authority_key = dir.join("ca.key");
    let pem = std::fs::read_to_string(&authority_key).map_err(|error| {
        cannot(&authority_key, error).hint(format!("make an authority first: dateline cert ca {}", dir.display()))
    })?;
    let authority_key = KeyPair::from_pem(&pem).map_err(unusable)?;
    let mut params = valid(params, today, today.checked_add(CERTIFICATE_DAYS.days()).map_err(unusable)?)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(unusable)?;
    let certificate = params.signed_by(&key, &Issuer::new(authority(today)?, authority_key)).map_err(unusable)?;
    Files::new(dir, name).write(&certificate.pem(), &key)
}

/// Valid from the day before, for machines whose clock is behind.
fn valid(mut params: CertificateParams, today: Date, until: Date) -> Result<CertificateParams, Failure> {
    let midnight = |date: Date| {
        let [month, day] = [date.month(), date.day()].map(|part| u8::try_from(part).map_err(unusable));
        Ok::<_, Failure>(date_time_ymd(date.year().into(), month?, day?))
    };
    params.not_before = midnight(today.yesterday().map_err(unusable)?)?;
    params.not_after = midnight(until)?;
    Ok(params)
}

/// Today, in UTC.
fn today() -> Result<Date, Failure> {
    let now = times::now().to_string();
    now.get(..10).unwrap_or_default().parse().map_err(unusable)
}

/// The two files of a certificate, which must not exist.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(dir: &Path, name: &str) -> Self {
        Self { certificate: dir.join(format!("{name}.pem")), key: dir.join(format!("{name}.key")) }
    }

    fn write(self, certificate: &str, key: &KeyPair) -> Result<(PathBuf, PathBuf), Failure> {
        create(&self.key, 0o600, &key.serialize_pem())?;
        create(&self.certificate, 0o644, certificate)?;
        Ok((self.certificate, self.key))
    }
}

/// Creates a file. One that exists is never replaced: it may be the only copy of a key.
fn create(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|error| cannot(path, error))
}

fn cannot(path: &Path, error: io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{}: {error}", path.display()))
}

fn unusable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, format!("the certificate cannot be made: {error}"))
}
