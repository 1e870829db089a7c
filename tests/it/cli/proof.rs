//! `key` and `proof`: a proof that the command line prints is checked without the archive.

use std::os::unix::fs::PermissionsExt;

use super::{Cli, example};

#[test]
fn a_revision_is_proved_and_the_proof_checked_without_the_archive() {
    let cli = Cli::new();
    let (key, file) = (cli.path("log.pem"), cli.path("bridge.tlog-proof"));
    let (key_text, file_text) = (key.to_str().unwrap(), file.to_str().unwrap());
    cli.ok(&["add", &example("harbour-bridge.txt"), "--article", "bridge"]);
    cli.fails(&["proof", "port-kestrel-courier/bridge"], 4, "has no log key");
    cli.fails(&["key", "show"], 3, "has no log key");

    cli.ok(&["key", "new", key_text]);
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    cli.fails(&["key", "new", key_text], 1, "cannot be written");
    let with_key = |arguments: &[&str]| {
        let output = cli.command(arguments).env("DATELINE_LOG_KEY", &key).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    std::fs::write(&file, with_key(&["proof", "port-kestrel-courier/bridge"])).unwrap();
    let verifier = with_key(&["key", "show"]);
    assert!(verifier.starts_with("dateline.invalid/"), "{verifier}");
    let origin = verifier.split('+').next().unwrap();
    assert_eq!(cli.ok(&["key", "show", key_text, "--origin", origin]), verifier);
    assert!(with_key(&["status"]).contains("checkpoint of 1 change"));
    assert!(with_key(&["proof", "--checkpoint"]).starts_with(origin));

    // While a key is replaced, both sign.
    let another = cli.path("another.pem");
    cli.ok(&["key", "new", another.to_str().unwrap()]);
    let both = format!("{},{}", another.display(), key.display());
    let keys = cli.command(&["key", "show"]).env("DATELINE_LOG_KEY", &both).output().unwrap().stdout;
    let keys = String::from_utf8(keys).unwrap();
    assert!(keys.lines().count() == 2 && keys.ends_with(&verifier), "{keys}");
    let twice = cli.command(&["status"]).env("DATELINE_LOG_KEY", format!("{0},{0}", key.display())).output().unwrap();
    assert!(
        twice.status.code() == Some(2) && String::from_utf8_lossy(&twice.stderr).contains("given twice"),
        "{twice:?}"
    );

    cli.fails(&["serve", "--witness", "https://w.example=key"], 2, "--witness");
    let cosigned =
        cli.command(&["proof", "--checkpoint", "--cosigned"]).env("DATELINE_LOG_KEY", &key).output().unwrap();
    assert_eq!(cosigned.status.code(), Some(4), "{cosigned:?}");

    // Neither a rebuild nor a compaction changes what is signed.
    let root = |checkpoint: String| checkpoint.lines().nth(2).unwrap().to_owned();
    let before = root(with_key(&["proof", "--checkpoint"]));
    cli.ok(&["verify", "--rebuild"]);
    assert_eq!(root(with_key(&["proof", "--checkpoint"])), before);
    cli.ok(&["compact"]);
    assert_eq!(root(with_key(&["proof", "--checkpoint"])), before);

    // A restored archive may go on in another way, so it does not sign as the same log.
    let (backup, restored) = (cli.path("backup"), cli.path("restored"));
    let (backup, restored) = (backup.to_str().unwrap(), restored.to_str().unwrap());
    cli.ok(&["backup", backup]);
    cli.ok(&["restore", backup, "--archive", restored]);
    let of_restored = with_key(&["key", "show", "--archive", restored]);
    assert!(of_restored.starts_with(&format!("{origin}/")), "{of_restored}");
    cli.ok(&["verify", "--rebuild", "--archive", restored]);
    assert_eq!(with_key(&["key", "show", "--archive", restored]), of_restored);

    std::fs::remove_dir_all(cli.archive()).unwrap();
    let checked = cli.ok(&["proof", "--check", file_text, "--key", verifier.trim()]);
    assert!(checked.contains("port-kestrel-courier/bridge") && checked.contains("change 0 of 1"), "{checked}");
    let altered = std::fs::read_to_string(&file).unwrap().replacen("index 0", "index 1", 1);
    std::fs::write(&file, altered).unwrap();
    cli.fails(&["proof", "--check", file_text, "--key", verifier.trim()], 6, "proves nothing");
    cli.fails(&["proof", "--check", file_text, "--key", "nonsense"], 2, "--key");
    cli.fails(&["proof", "--check", file_text], 2, "--key");
}

#[test]
fn a_watch_keeps_the_checkpoint_that_it_trusts_and_refuses_another_log() {
    let cli = Cli::new();
    let (key, file, copy) = (cli.path("log.pem"), cli.path("trusted"), cli.path("copy"));
    cli.ok(&["key", "new", key.to_str().unwrap()]);
    cli.ok(&["add", &example("harbour-bridge.txt"), "--article", "bridge"]);
    let run = |arguments: &[&str]| {
        let output = cli.command(arguments).env("DATELINE_LOG_KEY", &key).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), err)
    };
    let verifier = run(&["key", "show"]).1;
    let watch = ["watch", "--until-caught-up", "--from", "beginning", "--checkpoints", file.to_str().unwrap()];
    let (status, _, message) = run(&watch);
    assert!(status == 2 && message.contains("--key"), "{message}");
    let (status, lines, message) = run(&[&watch[..], &["--key", verifier.trim()]].concat());
    assert!(status == 0 && lines.contains("bridge"), "{message}");
    let kept = || std::fs::read_to_string(&file).unwrap();
    assert!(kept().starts_with(&verifier) && kept().lines().nth(2) == Some("1"), "{}", kept());

    // A copy of the archive goes another way.
    std::fs::create_dir(&copy).unwrap();
    let copied = std::process::Command::new("cp").arg("-r").arg(cli.archive()).arg(&copy).status().unwrap();
    assert!(copied.success());
    let copy = copy.join("archive");
    let copy = ["--archive", copy.to_str().unwrap()];
    let label =
        |archive: &[&str], label: &str| run(&[&["label", "port-kestrel-courier/bridge", label], archive].concat());
    assert_eq!(label(&[], "+city").0, 0);
    assert_eq!(run(&watch).0, 0);
    assert_eq!(kept().lines().nth(2), Some("2"));
    let (status, lines, message) = run(&[&watch[..], &copy].concat());
    assert!(status == 4 && lines.is_empty(), "{message}");
    assert_eq!((label(&copy, "+port").0, label(&copy, "+city").0), (0, 0));
    let before = kept();
    let (status, lines, message) = run(&[&watch[..], &copy].concat());
    assert!(status == 4 && lines.is_empty() && message.contains("does not continue"), "{message}");
    assert_eq!(kept(), before);
}
