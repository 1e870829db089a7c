//! https: which certificates are trusted, and how a redirect back to http is reported.
//!
//! tls/ has a certificate authority of our own, and the key and certificate of a server for `news.example`,
//! `www.news.example` and 93.184.216.34, valid for a hundred years from 2026. They were made with OpenSSL: `ecparam
//! -name prime256v1 -genkey`, `req -x509`, `x509 -req`.

use std::sync::Arc;

use dateline::internals::fetch::{FetchError, Fetcher, Options};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::server::{Answer, Server};
use super::web::Web;
use super::{error, options, page};

const AUTHORITY: &[u8] = include_bytes!("tls/authority.der");
const CERTIFICATE: &[u8] = include_bytes!("tls/news.example.der");
const KEY: &[u8] = include_bytes!("tls/news.example.key.der");

/// Makes a TLS server identify itself as `news.example`.
pub(crate) fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY));
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![CertificateDer::from(CERTIFICATE)], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn trusting(web: &Arc<Web>) -> Fetcher {
    Fetcher::new(Options { authorities: vec![CertificateDer::from(AUTHORITY)], ..options(web) })
}

#[tokio::test]
async fn a_page_is_fetched_over_https() {
    let server = Server::start_secure(acceptor()).await;
    server.html("/", "secure");
    let web = Web::of(&server);
    web.server_at("93.184.216.34", &server);
    let fetcher = trusting(&web);
    assert_eq!(page(&fetcher, "https://news.example/").await.body.as_ref(), b"secure");
    assert_eq!(page(&fetcher, "https://93.184.216.34/").await.body.as_ref(), b"secure");
    assert_eq!(web.connected(), ["9.9.9.1:443", "93.184.216.34:443"]);
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_without_a_trusted_certificate() {
    let server = Server::start_secure(acceptor()).await;
    let web = Web::of(&server);
    web.site("other.example", &server);
    let trusting = trusting(&web);
    // Without our authority, the fetcher uses the machine's certificates, or has none.
    let doubting = Fetcher::new(options(&web));
    for (fetcher, address, told) in [
        (&doubting, "https://news.example/", "ca-certificates"),
        (&trusting, "https://other.example/", "other.example"),
        (&trusting, "https://9.9.9.1/", "9.9.9.1"),
    ] {
        let error = error(fetcher, address).await;
        assert!(matches!(error, FetchError::Tls { .. }) && !error.is_transient(), "{error:?}");
        assert!(error.to_string().contains(told), "{error}");
    }
    assert_eq!(server.targets(), [""; 0]);
}

#[tokio::test]
async fn a_mismatch_of_http_and_https_is_reported() {
    let plain = Server::start().await;
    let secure = Server::start_secure(acceptor()).await;
    let web = Web::new();
    web.site("news.example", &plain);
    web.site("www.news.example", &secure);
    let fetcher = trusting(&web);
    let hurried = Options { connect_timeout: std::time::Duration::from_millis(200), ..options(&web) };
    let hurried = Fetcher::new(Options { authorities: vec![CertificateDer::from(AUTHORITY)], ..hurried });
    // The server waits for the end of a request's head, which TLS never sends.
    let error_plain = error(&hurried, "https://news.example/").await;
    assert!(matches!(error_plain, FetchError::Timeout { .. } | FetchError::Tls { .. }), "{error_plain:?}");
    let error_secure = error(&fetcher, "http://www.news.example/").await;
    assert!(matches!(error_secure, FetchError::Protocol { .. } | FetchError::CutOff { .. }), "{error_secure:?}");
}

#[tokio::test]
async fn a_redirect_back_to_http_is_followed_and_marked() {
    let secure = Server::start_secure(acceptor()).await;
    let plain = Server::start().await;
    let web = Web::new();
    web.site("news.example", &secure);
    web.site("old.example", &plain);
    secure.route("/", |_| Answer::redirect(302, "http://old.example/"));
    plain.html("/", "x");
    let page = page(&trusting(&web), "https://news.example/").await;
    assert_eq!(
        page.redirects.iter().map(dateline::internals::fetch::Redirect::is_downgrade).collect::<Vec<_>>(),
        [true]
    );
}
