//! What TLS costs: two servers, one of which encrypts, measured alternately.

use std::path::Path;
use std::time::Duration;

use dateline::internals::client::ConnectOptions;
use dateline::internals::server::{self, Tls, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::pair::{Compared, Pair};
use super::running::{Running, options};
use super::table::Table;

/// Measures publishes and cached reads.
pub(crate) async fn measure(folder: &Path, rounds: usize, length: Duration, table: &mut Table) -> anyhow::Result<()> {
    let (tls, ca) = tls(folder)?;
    let encrypting = server::Options { tls: Some(tls), ..options()? };
    let mut encrypted = Running::start_with(&folder.join("encrypted"), encrypting).await?;
    encrypted.url = encrypted.url.replace("http:", "https:");
    encrypted.connect = ConnectOptions { ca: Some(ca), ..ConnectOptions::default() };
    let servers = [encrypted, Running::start_with(&folder.join("plain"), options()?).await?];
    let mut pair = Pair::of(&servers).await?;
    let Compared { published, published_time, read, read_time } = pair.compare(&servers, rounds, length).await?;
    table.rate("durable publish, 64 clients, TLS 1.3", &published, "without TLS", "≥ 80 %");
    table.time("durable publish, 64 clients: processor time per call, with TLS and without", &published_time);
    table.rate("newest, 64 clients, cached, TLS 1.3", &read, "without TLS", "≥ 80 %");
    table.time("newest, 64 clients, cached: processor time per call, with TLS and without", &read_time);
    drop(pair);
    for server in servers {
        server.stop().await?;
    }
    Ok(())
}

/// A certificate for this address, and the authority that signed it.
fn tls(folder: &Path) -> anyhow::Result<(Tls, Vec<u8>)> {
    let (authority_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&authority_key)?.pem().into_bytes();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    let signed = params.signed_by(&key, &Issuer::new(authority, authority_key))?;
    let files = TlsFiles { certificate: folder.join("server.pem"), key: folder.join("server.key"), client_ca: None };
    std::fs::write(&files.certificate, signed.pem())?;
    std::fs::write(&files.key, key.serialize_pem())?;
    Ok((Tls::read(files)?, ca))
}
