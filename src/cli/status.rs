//! `status`: shows the state and size of the archive.

use crate::wire::instant;
use data_encoding::HEXLOWER;

use super::connect::Session;
use super::exit::Failure;
use super::output::Output;
use super::style;
use crate::wire::pb;

pub(super) async fn run(session: &Session, out: &mut Output) -> Result<(), Failure> {
    let status = session.admin().get_status(pb::GetStatusRequest {}).await?.into_inner();
    if out.json {
        return out.message(&status);
    }
    let snapshot = status.snapshot.clone().unwrap_or_default();
    let last = instant(snapshot.archive_time.as_ref()).map(|time| format!(", the last at {}", out.time(time)));
    let writes = match status.storage_state() {
        _ if session.is_copy() => "not possible with --read-only".to_owned(),
        pb::StorageState::Failed | pb::StorageState::Full => {
            out.painter().paint(style::BAD, &format!("rejected: {}", style::safe_line(&status.storage_message)))
        }
        pb::StorageState::Serving | pb::StorageState::Unspecified if status.queued_writes > 0 => {
            format!("accepted; {} waiting", status.queued_writes)
        }
        pb::StorageState::Serving | pb::StorageState::Unspecified => "accepted".to_owned(),
    };
    let clock = match style::safe_line(&status.clock_message) {
        message if message.is_empty() => String::new(),
        message => out.painter().paint(style::BAD, &message),
    };
    let server = session.server.as_ref().zip(instant(status.start_time.as_ref()));
    // Without a key, there is no checkpoint.
    let signed = session.client().integrity.clone().get_checkpoint(pb::GetCheckpointRequest::default()).await;
    let signed = signed.ok().and_then(|reply| reply.into_inner().checkpoint);
    let signed = signed.map(|checkpoint| {
        let root = HEXLOWER.encode(&checkpoint.root_hash);
        format!("checkpoint of {}, root {root}", super::count(checkpoint.tree_size, "change"))
    });
    let pending = instant(status.destruction_pending_since.as_ref()).map(|since| {
        let (since, is_served) = (out.time(since), session.server.is_some());
        let remedy = if is_served { "restart the server" } else { "run `dateline compact`" };
        out.painter().paint(style::BAD, &format!("still in the files since {since}; {remedy}"))
    });
    let witnesses: Vec<_> = status.witnesses.iter().map(|witness| self::witness(witness, out)).collect();
    let witnesses = Some(witnesses.join("\n          ")).filter(|witnesses| !witnesses.is_empty());
    let weakenings: Vec<_> = status
        .weakenings()
        .filter_map(|weakening| match weakening {
            pb::Weakening::Unspecified => None,
            pb::Weakening::NoAuth => Some("no authentication: everyone who connects may do everything (--no-auth)"),
            pb::Weakening::NoTls => Some("no encryption of calls from other machines (--no-tls)"),
        })
        .collect();
    let weakenings = Some(weakenings.join("\n          ")).filter(|weakenings| !weakenings.is_empty());
    let weakenings = weakenings.map(|weakenings| out.painter().paint(style::BAD, &weakenings));
    let rows = [
        ("Archive", session.directory().map(|path| path.display().to_string())),
        ("Id", Some(HEXLOWER.encode(&status.archive_id))),
        ("Articles", Some(status.article_count.to_string())),
        ("Changes", Some(format!("{}{}", snapshot.next_seq, last.unwrap_or_default()))),
        ("Signed", signed),
        ("Witnesses", witnesses),
        ("Webhooks", webhooks(&status, out)),
        ("Clock", Some(clock).filter(|clock| !clock.is_empty())),
        ("Destroyed", pending),
        ("On disk", Some(size(status.disk_bytes))),
        ("Writes", Some(writes)),
        ("Server", server.map(|(url, since)| format!("{url}, since {}", out.time(since)))),
        ("Pages", session.web_url_in(&status).map(|url| url.to_string())),
        ("Open", weakenings),
        ("Version", Some(format!("{}, format {}", status.version, status.format_version))),
    ];
    let painter = out.painter();
    for (label, value) in rows {
        if let Some(value) = value {
            out.line(format_args!("{}{value}", painter.paint(style::FAINT, &style::pad(label, 10))))?;
        }
    }
    Ok(())
}

/// How many webhooks there are, and how many of them send nothing.
fn webhooks(status: &pb::GetStatusResponse, out: &Output) -> Option<String> {
    let (count, stopped) = (status.webhook_count, status.stopped_webhook_count);
    match (count, stopped) {
        (0, _) => None,
        (count, 0) => Some(count.to_string()),
        (count, stopped) => {
            let stopped = format!("{stopped} of them paused or disabled; `dateline webhook list` says why");
            Some(format!("{count}, {}", out.painter().paint(style::BAD, &stopped)))
        }
    }
}

/// What became of the last request to a witness.
fn witness(witness: &pb::WitnessStatus, out: &Output) -> String {
    let name = style::safe_line(&witness.name);
    let cosigned = instant(witness.cosign_time.as_ref())
        .map(|time| format!("cosigned {} at {}", super::count(witness.cosigned_tree_size, "change"), out.time(time)));
    let error = Some(style::safe_line(&witness.error)).filter(|error| !error.is_empty());
    let error = error.map(|error| out.painter().paint(style::BAD, &error));
    let said: Vec<_> = cosigned.into_iter().chain(error).collect();
    if said.is_empty() { format!("{name}: not asked yet") } else { format!("{name}: {}", said.join("; ")) }
}

/// Formats a size, such as `12.3 MiB`, to a tenth and without floating point.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(length, _)| bytes >= *length) {
        Some((length, unit)) => format!("{}.{} {unit}", bytes / length, bytes % length * 10 / length),
        None => format!("{bytes} bytes"),
    }
}
