//! `config`: shows the settings of `serve`, and writes a configuration file to begin with.
//!
//! What a setting does is said once, in the help of its option (`crate::config`); its default and its range come from the
//! code that uses them.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, Args, FromArgMatches};
use serde_json::Value;

use super::args::ConfigArgs;
use super::args::globals::Globals;
use super::exit::{Exit, Failure};
use super::folders::archive_directory;
use super::output::Output;
use super::serve::defaults;
use crate::config::Settings;

/// The key of the archive's directory, which is no option of `serve` alone.
const ARCHIVE: &str = "archive";
const ARCHIVE_HELP: &str = "The archive's directory; --archive and DATELINE_ARCHIVE override it [default: in the \
                            platform's data directory]";
/// The width of the comments.
const COLUMNS: usize = 100;

const HEAD: &str = "\
# The settings of `dateline serve --config FILE`. A line that begins with #key shows the default, or an example if there is
# none; remove the # to set it. `dateline serve --check-config --config FILE` checks the file.
#
# The key `cache_bytes` is also the flag --cache-bytes and the environment variable DATELINE_CACHE_BYTES, which override this
# file. Sizes are numbers of bytes, such as 1048576 or \"1MiB\" (KiB, MiB, GiB); durations have units, such as \"500ms\", \"30s\" or
# \"2m\".
";

pub(super) fn run(globals: &Globals, args: &ConfigArgs, out: &mut Output) -> Result<(), Failure> {
    let text = if args.defaults { file() } else { in_effect(globals, args)? };
    out.bytes(text.as_bytes())
}

/// A configuration file with every setting, commented out.
fn file() -> String {
    let (defaults, examples) = (defaults().given(), examples().given());
    let mut text = HEAD.to_owned();
    let mut setting = |key: &str, help: &str| {
        let help = textwrap::fill(help, textwrap::Options::new(COLUMNS).initial_indent("# ").subsequent_indent("# "));
        let (example, value) = match (defaults.get(key), examples.get(key)) {
            (Some(default), _) => ("", default),
            (None, Some(example)) => ("# Such as:\n", example),
            (None, None) => return,
        };
        text.push_str(&format!("\n{help}\n{example}#{key} = {value}\n"));
    };
    setting(ARCHIVE, ARCHIVE_HELP);
    let options = options();
    for option in options.get_arguments() {
        setting(option.get_id().as_str(), &help_of(option));
    }
    text
}

/// What an option does, which values it has, and their range.
fn help_of(option: &Arg) -> String {
    let mut help = option.get_help().map(ToString::to_string).unwrap_or_default();
    if let Some([least, greatest]) = Settings::range(option.get_id().as_str()) {
        help.push_str(&format!(". From {least} to {greatest}"));
    }
    let values: Vec<_> = option.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !values.is_empty() {
        help.push_str(&format!(". One of: {}", values.join(", ")));
    }
    help
}

/// The options of the settings, which also read the environment.
fn options() -> clap::Command {
    Settings::augment_args(clap::Command::new("serve"))
}

/// Values for the settings that have no default.
fn examples() -> Settings {
    let text = |text: &str| Some(text.to_owned());
    let path = |path: &str| Some(PathBuf::from(path));
    Settings {
        archive: path("/var/lib/dateline"),
        listen: Some(vec!["127.0.0.1:7411".to_owned(), "[::1]:7411".to_owned()]),
        tls_cert: path("/etc/dateline/server.crt"),
        tls_key: path("/etc/dateline/server.key"),
        tls_client_ca: path("/etc/dateline/clients.crt"),
        metrics_listen: text("127.0.0.1:9411"),
        web_listen: text("127.0.0.1:8480"),
        web_url: text("https://archive.example.org"),
        web_tls_cert: path("/etc/dateline/web.crt"),
        web_tls_key: path("/etc/dateline/web.key"),
        web_trusted_proxy: Some(vec!["127.0.0.1".to_owned(), "10.0.0.0/8".to_owned()]),
        otlp_endpoint: text("http://127.0.0.1:4317"),
        log_key: Some(vec![PathBuf::from("/etc/dateline/log.pem")]),
        log_origin: text("example.org/news"),
        connections_per_peer_max: Some(1_000),
        subscribers_per_peer_max: Some(100),
        witness: Some(vec!["https://witness.example/=witness.example+1a2b3c4d+BAd…".to_owned()]),
        allow_origin: Some(vec!["https://news.example".to_owned()]),
        ..Settings::default()
    }
}

/// The settings that `serve` would use, as a configuration file that says where each comes from.
fn in_effect(globals: &Globals, args: &ConfigArgs) -> Result<String, Failure> {
    let from_file = args.config.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
    let matches = options().try_get_matches_from(["serve"]);
    let environment = matches.map_err(|error| Failure::new(Exit::Usage, error.to_string().trim_end()))?;
    let from_environment =
        Settings::from_arg_matches(&environment).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let file = args.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let archive = archive_directory(globals.archive.as_deref(), from_file.archive.clone())?;
    let defaults = defaults().given();
    let (from_file, from_environment) = (from_file.given(), from_environment.given());
    let mut lines: Vec<(String, Value, String)> = vec![(
        ARCHIVE.to_owned(),
        Value::from(archive.display().to_string()),
        archive_source(globals, &from_file, &file),
    )];
    for option in options().get_arguments() {
        let key = option.get_id().as_str();
        let is_of_environment = environment.value_source(key) == Some(ValueSource::EnvVariable);
        let variable = option.get_env().map(|name| name.to_string_lossy().into_owned());
        let found =
            match (from_environment.get(key).filter(|_| is_of_environment), from_file.get(key), defaults.get(key)) {
                (Some(value), _, _) => (value, variable.unwrap_or_default()),
                (None, Some(value), _) => (value, file.clone()),
                (None, None, Some(value)) => (value, "default".to_owned()),
                (None, None, None) => continue,
            };
        lines.push((key.to_owned(), found.0.clone(), found.1));
    }
    let line = |(key, value, source)| {
        format!(
            "{:40} # {source}
",
            format!("{key} = {value}")
        )
    };
    Ok(lines.into_iter().map(line).collect())
}

/// Where the archive's directory comes from, in the order of `archive_directory`.
fn archive_source(globals: &Globals, file: &serde_json::Map<String, Value>, path: &str) -> String {
    let is_in_environment = std::env::var_os("DATELINE_ARCHIVE").is_some_and(|value| !value.is_empty());
    let source = match globals.archive {
        Some(_) => "--archive",
        None if is_in_environment => "DATELINE_ARCHIVE",
        None if file.contains_key(ARCHIVE) => path,
        None => "default",
    };
    source.to_owned()
}
