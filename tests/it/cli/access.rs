//! `token`, `login`, `whoami` and `audit`, with a server that tells its callers apart.

use std::os::unix::fs::PermissionsExt;

use super::server::Server;
use super::{Cli, Done};

fn url_of(server: &Server) -> String {
    format!("http://{}", server.address.trim_start_matches("http://"))
}

/// A command with a token from a file, at the server's address.
fn with_token(cli: &Cli, server: &Server, token: &str, arguments: &[&str]) -> Done {
    let file = cli.file("token", token);
    let mut command = cli.command(&[arguments, &["--server", &url_of(server)]].concat());
    command.env("DATELINE_TOKEN_FILE", file).output().unwrap().into()
}

#[test]
fn a_server_on_a_port_wants_rules_and_then_tokens() {
    let cli = Cli::new();
    cli.fails(&["serve", "--listen", "127.0.0.1:0"], 2, "access rules");
    let token = cli.ok(&["token", "create", "crawler", "--may", "read,write", "--source", "press", "--expires", "90d"]);
    let token = token.trim();
    assert!(token.starts_with("dln_"), "{token}");
    let rules = cli.archive().join("access.toml");
    assert_eq!(rules.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!std::fs::read_to_string(&rules).unwrap().contains(token));
    let listed = cli.ok(&["token", "list"]);
    assert!(listed.starts_with("crawler  expires 20") && listed.contains("  read, write: press\n"), "{listed}");
    cli.fails(&["token", "create", "crawler", "--may", "read", "--source", "*"], 4, "already");
    cli.fails(&["token", "create", "x", "--may", "read", "--source", "a*b"], 2, "sources[0]");
    cli.fails(&["token", "create", "x", "--may", "reed", "--source", "*"], 2, "reed");

    let server = Server::start(&cli, &["--listen", "127.0.0.1:0"]);
    // The owner of the files needs no token: the archive's socket is the owner's.
    assert_eq!(cli.add("ferry", "Ferry returns", "It did.", &[]).code, 0);
    assert!(cli.ok(&["whoami"]).starts_with("owner\n"));
    let url = url_of(&server);
    cli.fails(&["show", "press/ferry", "--server", &url], 7, "wants to know who calls");
    let shown = with_token(&cli, &server, token, &["show", "press/ferry"]);
    assert!(shown.code == 0 && shown.out.contains("It did."), "{shown:?}");
    let denied = with_token(&cli, &server, token, &["withdraw", "press/ferry"]);
    assert!(denied.code == 7 && denied.err.contains("permission mark is denied"), "{denied:?}");
    assert!(with_token(&cli, &server, token, &["whoami"]).out.starts_with("crawler  expires 20"));
    let changes = cli.ok(&["watch", "--from", "beginning", "--until-caught-up", "--json"]);
    assert!(changes.contains("\"principal\":\"owner\""), "{changes}");

    // A token that is kept is sent to its server alone, and nowhere that others could read it.
    let login = cli.feed(&["login", &url], format!("{token}\n"));
    assert_eq!((login.code, login.err.as_str()), (0, ""), "{login:?}");
    assert!(cli.ok(&["whoami", "--server", &url]).starts_with("crawler"));
    assert_eq!(cli.feed(&["login", &url], "hunter2").code, 2);
    assert_eq!(cli.feed(&["login", "http://archive.example"], token).code, 2);
    cli.ok(&["logout", &url]);
    cli.fails(&["whoami", "--server", &url], 7, "wants to know who calls");
    cli.fails(&["logout", &url], 3, "no token is kept");

    cli.ok(&["token", "revoke", "crawler"]);
    let revoked = with_token(&cli, &server, token, &["show", "press/ferry"]);
    assert!(revoked.code == 7 && revoked.err.contains("may have been revoked"), "{revoked:?}");
    assert_eq!(server.terminate(), Some(0));
    let audit = cli.ok(&["audit"]);
    assert!(audit.contains("crawler  127.0.0.1  WithdrawArticle  sources/-  PERMISSION_DENIED"), "{audit}");
    assert!(
        audit.contains("owner  RevokeToken  OK") && audit.contains("-  127.0.0.1  GetArticle  UNAUTHENTICATED"),
        "{audit}"
    );
    let denied = cli.ok(&["audit", "--denied", "--principal", "crawler"]);
    assert_eq!(denied.lines().count(), 1, "{denied}");
    assert!(!audit.contains("dln_"));
}

#[test]
fn rules_that_cannot_be_used_keep_a_server_from_starting() {
    let cli = Cli::new();
    cli.add("ferry", "Ferry returns", "It did.", &[]);
    let rules = cli.archive().join("access.toml");
    std::fs::write(&rules, "[[principal]]\nnmae = \"x\"\n").unwrap();
    std::fs::set_permissions(&rules, std::fs::Permissions::from_mode(0o600)).unwrap();
    cli.fails(&["serve", "--listen", "127.0.0.1:0"], 2, "line 2");
    std::fs::write(&rules, "").unwrap();
    std::fs::set_permissions(&rules, std::fs::Permissions::from_mode(0o644)).unwrap();
    cli.fails(&["serve", "--listen", "127.0.0.1:0"], 2, "chmod 600");
    // The owner still reads the archive.
    assert!(cli.ok(&["show", "press/ferry"]).contains("It did."));
}
