//! Web pages of an archive that this process has open, and the addresses of pages that commands print.

use std::net::Ipv4Addr;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use super::connect::Session;
use super::exit::{Exit, Failure};
use crate::model::ArticleName;
use crate::web;

/// Web pages that this process shows, until this is dropped.
pub(super) struct Pages {
    url: Url,
    visitors_see: &'static str,
    _showing: JoinSet<()>,
}

impl Pages {
    /// Shows pages to this machine, on a free port.
    pub(super) async fn show(sources: web::Sources) -> Result<Self, Failure> {
        let failed = |error| Failure::new(Exit::Failed, format!("the pages cannot be shown: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let pages = web::Server::new(listener, sources, web::Options::default()).map_err(failed)?;
        let (url, visitors_see) = (pages.url().clone(), pages.visibility());
        let mut showing = JoinSet::new();
        showing.spawn(async move { match pages.run().await {} });
        Ok(Self { url, visitors_see, _showing: showing })
    }

    /// The address of the pages, with a slash at its end.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// What everyone on this machine sees there.
    pub(super) fn visitors_see(&self) -> &'static str {
        self.visitors_see
    }
}

/// The address of a page of an article, of which `path` makes the path; `None` if the archive shows no pages.
pub(super) async fn address(
    session: &Session,
    article: &str,
    path: impl FnOnce(&ArticleName) -> String,
) -> Option<Url> {
    let name = ArticleName::parse(article).ok()?;
    session.web_url().await?.join(&path(&name)).ok()
}
