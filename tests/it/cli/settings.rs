//! `serve --check-config` and `config`.

use std::os::unix::fs::PermissionsExt;

use super::Cli;

#[test]
fn a_configuration_that_a_server_starts_with_is_valid_and_checking_it_changes_nothing() {
    let cli = Cli::new();
    let dir = cli.path("certificates").to_str().unwrap().to_owned();
    cli.ok(&["cert", "ca", &dir]);
    cli.ok(&["cert", "server", &dir, "--host", "127.0.0.1"]);
    let key = cli.path("log.pem").to_str().unwrap().to_owned();
    cli.ok(&["key", "new", &key]);
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\ntls_cert = \"{dir}/server.pem\"\ntls_key = \"{dir}/server.key\"\nlog_key = [{key:?}]\n"
    );
    let config = cli.file("dateline.toml", text);
    let check = ["serve", "--check-config", "--config", &config];
    cli.fails(&check, 2, "could read and change the whole archive");
    assert!(!cli.archive().exists(), "nothing is created");
    cli.ok(&["token", "create", "crawler", "--may", "read", "--source", "*"]);
    let server = super::server::Server::start(&cli, &["--config", &config]);
    let before = crate::fixture::bytes_of(&cli.archive());
    let valid = cli.ok(&check);
    assert_eq!(valid, format!("the configuration is valid; the archive is {}\n", cli.archive().display()));
    assert!(crate::fixture::bytes_of(&cli.archive()) == before, "the archive of a running server is left alone");
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn everything_that_is_wrong_with_a_configuration_is_reported_at_once() {
    let cli = Cli::new();
    cli.add("a", "Ferry returns", "It did.", &[]);
    let (rules, keys) = (cli.archive().join("access.toml"), cli.archive().join("webhook-keys.toml"));
    for (file, text, mode) in [(&rules, "", 0o644), (&keys, "key = 1", 0o600)] {
        std::fs::write(file, text).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let text = "listen = [\"7411\"]\nmetrics_listen = \"192.0.2.1:9411\"\nweb_url = \"a.example\"\nweb_listen = \"192.0.2.1:1\"\notlp_endpoint = \"collector\"\n\
                web_tls_cert = \"/nowhere/web.pem\"\nweb_trusted_proxy = [\"::1\", \"10.0.0.0/33\"]\n\
                tls_cert = \"/nowhere.pem\"\ntls_key = \"/nowhere.key\"\nlog_key = [\"/nowhere/log.pem\"]\n\
                witness = [\"x\"]\nlog_filter = \"x=y=z\"\nurls_max = 1000\ncontent_bytes_max = \"2MiB\"\n";
    let config = cli.file("dateline.toml", text);
    let done = cli.run(&["serve", "--check-config", "--config", &config]);
    assert_eq!((done.code, done.out.as_str()), (2, ""), "{done:?}");
    for problem in [
        "--listen: \"7411\" is not an address with a port",
        "--metrics-listen: cannot listen on 192.0.2.1",
        "--web-listen: cannot listen on 192.0.2.1",
        "--web-url: \"a.example\" is not the address of a site",
        "--otlp-endpoint: \"collector\" is not the URL of a collector",
        "/nowhere.pem cannot be read",
        "the log key /nowhere/log.pem cannot be used",
        "--witness: \"x\" is not a witness",
        "--log-filter: ",
        "--urls-max: 1000 is not between 0 and 256",
        "--content-bytes-max: 2MiB is not between 1 and 1536KiB",
        "chmod 600",
        "--web-tls-cert: the private key is missing; name its file with --web-tls-key",
        "--web-trusted-proxy: \"10.0.0.0/33\" is not an address or a network, such as 10.0.0.0/8",
        "webhook-keys.toml: keys are written as [[key]]",
        "the server would not start: 15 problems in its configuration",
    ] {
        assert!(done.err.contains(problem), "no {problem} in\n{}", done.err);
    }
    let elsewhere = cli.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("letter.txt"), "").unwrap();
    let elsewhere = elsewhere.to_str().unwrap();
    cli.fails(&["serve", "--check-config", "--archive", elsewhere], 2, "is not a Dateline archive");
    cli.fails(&["serve", "--check-config", "--config", "/nowhere.toml"], 2, "cannot read the configuration file");
    std::fs::remove_file(cli.archive().join("db/wal/secret")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", cli.archive().join("db/wal/secret")).unwrap();
    cli.fails(&["serve", "--check-config"], 2, "is a symbolic link");
}

/// The lines of a file of defaults that become settings when their `#` is removed.
fn uncommented(file: &str) -> String {
    let settings = file.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with([' ', '#']));
    settings.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_file_of_defaults_has_every_setting_and_changes_none() {
    let cli = Cli::new();
    let file = cli.ok(&["config", "--defaults"]);
    let (settings, is_toml) = (uncommented(&file), |text: &str| text.parse::<toml::Table>());
    let settings = is_toml(&settings).unwrap();
    assert!(is_toml(&file).unwrap().is_empty(), "every setting is commented out");

    // The settings that the file of a server may have, as an error names them all.
    let unknown = cli.run(&["serve", "--check-config", "--config", &cli.file("unknown.toml", "x = 1\n")]);
    let (_, known) = unknown.err.split_once("expected one of ").unwrap();
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    assert!(known.len() > 30, "{known:?}");
    let mut written: Vec<&str> = settings.keys().map(String::as_str).collect();
    let mut expected = known.clone();
    written.sort_unstable();
    expected.sort_unstable();
    assert_eq!(written, expected);

    // The values that have a default are what a server does without the file.
    let flagged = cli.ok(&["config"]).parse::<toml::Table>().unwrap();
    for (key, value) in &flagged {
        assert!(key == "archive" || settings[key] == *value, "{key}: {value:?}, and not {:?}", settings[key]);
    }
    // The help of each names its default in words of its own.
    let help = cli.ok(&["serve", "--help", "--width", "0"]).split_whitespace().collect::<Vec<_>>().join(" ");
    for (key, value) in flagged.iter().filter(|(key, value)| *key != "archive" && !value.is_bool()) {
        let flag = format!("--{} <", key.replace('_', "-"));
        let Some((_, of_flag)) = help.split_once(&flag) else { continue };
        let of_flag = of_flag.split(" --").next().unwrap();
        let default =
            value.as_integer().map_or_else(|| value.as_str().unwrap().to_owned(), |number| number.to_string());
        assert!(of_flag.contains(&format!(": {default}]")), "{flag} {of_flag} does not say {default}");
    }
}

#[test]
fn the_settings_in_effect_say_where_they_come_from() {
    let cli = Cli::new();
    let config = cli.file("dateline.toml", "labels_max = 1\nurls_max = 1\nlisten = [\"[::1]:7411\"]\n");
    let mut command = cli.command(&["config", "--config", &config]);
    let done: super::Done = command.env("DATELINE_LABELS_MAX", "2").output().unwrap().into();
    let source_of = |setting: &str| {
        let line = done.out.lines().find(|line| line.starts_with(setting));
        line.unwrap_or_else(|| panic!("no {setting} in\n{}", done.out)).split_once(" # ").unwrap().1.to_owned()
    };
    assert_eq!(source_of("labels_max = 2 "), "DATELINE_LABELS_MAX");
    assert_eq!(source_of("urls_max = 1 "), config);
    assert_eq!(source_of("listen = [\"[::1]:7411\"]"), config);
    assert_eq!(source_of("page_size_max = 1000"), "default");
    assert_eq!(source_of("archive = "), "DATELINE_ARCHIVE");
    cli.fails(&["config", "--config", "/nowhere.toml"], 2, "cannot read the configuration file");
    let invalid = cli.command(&["config"]).env("DATELINE_CACHE_BYTES", "much").output().unwrap();
    assert_eq!(invalid.status.code(), Some(2));
}

#[test]
fn the_manual_has_a_page_for_each_command_with_all_its_options() {
    let cli = Cli::new();
    let manual = cli.path("manual");
    std::fs::create_dir(&manual).unwrap();
    cli.ok(&["man", manual.to_str().unwrap()]);
    let page = |name: &str| std::fs::read_to_string(manual.join(name)).unwrap();
    let help = cli.ok(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    // What a command does may take further lines, which are indented more.
    let names = commands.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let names: Vec<_> =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(page("dateline.1").contains(&format!("dateline\\-{}(1)", name.replace('-', "\\-"))), "{name}");
        page(&format!("dateline-{name}.1"));
    }
    let serve = page("dateline-serve.1");
    assert!(serve.contains("Maximum number of open connections from one address"), "{serve}");
    assert!(serve.contains("Exit status: 0 done"), "{serve}");
    cli.fails(&["man", "/nowhere"], 1, "cannot be written to /nowhere");
}
