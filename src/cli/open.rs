//! `open`: opens the page of an article in the browser.
//!
//! The server that has the archive shows its pages. If no server has it, this process shows them itself, until it is asked
//! to stop.

use serde_json::json;
use url::Url;

use super::args::open::OpenArgs;
use super::connect::Session;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::pages::Pages;
use super::signals::Signals;
use crate::client::as_of;
use crate::model::ArticleName;
use crate::web::paths::{page_of, point_query, revision_of};
use crate::wire::pb;

pub(super) async fn run(session: &Session, args: &OpenArgs, out: &mut Output) -> Result<(), Failure> {
    // Before the pages are announced, so that no signal after that is lost.
    let stopping = Signals::listen()?.token();
    let path = path(session, args).await?;
    let root = session.web_url().await.ok_or_else(|| {
        let message = "the server shows no web pages, or only to its own machine";
        Failure::new(Exit::NotFound, message)
            .hint("its operator can restart it with --web-listen, such as `dateline serve --web-listen 127.0.0.1:8480`")
    })?;
    let url = root.join(&path).map_err(|error| Failure::new(Exit::Failed, error))?;
    let shown = if out.json { json!({ "url": url.as_str() }).to_string() } else { url.to_string() };
    out.line(shown)?;
    let opened = if args.print { Ok(()) } else { browse(url).await };
    let Some(pages) = session.pages() else { return opened };
    if let Err(failure) = opened {
        out.note(format_args!("dateline: {}; open the address yourself", failure.message));
    }
    announce(pages, out);
    stopping.cancelled().await;
    Ok(())
}

/// Says for how long the pages are shown, and to whom.
fn announce(pages: &Pages, out: &Output) {
    let seen = pages.visitors_see();
    out.note(format_args!("dateline: showing the pages until you press Ctrl-C; users of this machine see: {seen}"));
}

/// The path of the page that the arguments name. Fails if it does not exist.
async fn path(session: &Session, args: &OpenArgs) -> Result<String, Failure> {
    let Some(article) = &args.article else { return Ok("/".to_owned()) };
    let (at, known_at) = (args.as_of.at(), args.as_of.known_at());
    let resolved = article.resolve(session, at, known_at).await?;
    let name = ArticleName::parse(&resolved).map_err(|error| Failure::new(Exit::Failed, error))?;
    let Some(number) = args.revision else {
        let request = pb::GetArticleRequest {
            name: resolved,
            as_of: as_of(at, known_at),
            view: pb::ArticleView::Basic.into(),
            min_next_seq: 0,
        };
        session.archive().get_article(request).await?;
        return Ok(page_of(&name) + &point_query(at, known_at));
    };
    let request = pb::GetRevisionRequest {
        name: format!("{resolved}/revisions/{number}"),
        view: pb::ArticleView::Basic.into(),
        ..pb::GetRevisionRequest::default()
    };
    session.archive().get_revision(request).await?;
    Ok(revision_of(&name, number.get()))
}

/// Opens an address in the browser that the user has chosen. One that runs in the terminal is waited for.
async fn browse(url: Url) -> Result<(), Failure> {
    let opened = tokio::task::spawn_blocking(move || webbrowser::open(url.as_str())).await;
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("no browser could be started: {error}"))
            .hint("BROWSER names the command of one; --print prints the address alone")
    };
    opened.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
}
