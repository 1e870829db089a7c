//! Random use of a webhook, against what a receiver may conclude from what it was sent.
//!
//! The receiver is a model of one that follows docs/WEBHOOKS.md: it keeps the position after the last change that it has
//! dealt with, and the ids of the messages that it accepted. Then every message either begins at that position, or is one that
//! it knows; unless the server was interrupted while a message was on its way.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use dateline::internals::wire::pb;
use tempfile::TempDir;

use super::receiver::{Manner, Received, Receiver};
use super::{NAME, SHORT, Sending, Setup};
use crate::feed::dice::{Dice, seed};

/// How many operations each run has.
const OPERATIONS: usize = 60;

/// How a receiver may treat a message, other than by accepting it.
const TROUBLE: [Manner; 6] = [
    Manner::Status(500),
    Manner::Status(410),
    Manner::RetryAfter(503, 7),
    Manner::Redirect,
    Manner::HalfAHead,
    Manner::Silent,
];

/// What happened between two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// The receiver begins again at this position: the webhook was created, or moved.
    From(u64),
    /// Whatever was on its way may come again, together with later changes.
    Interrupted,
}

/// A run.
struct Run {
    dice: Dice,
    directory: TempDir,
    sending: Sending,
    receiver: Receiver,
    /// What happened, each with the number of messages before it.
    marks: Vec<(usize, Mark)>,
    /// All keys that the webhook has had.
    keys: Vec<String>,
    exists: bool,
}

impl Run {
    async fn new(seed: u64) -> Self {
        let directory = TempDir::new().unwrap();
        let sending = Sending::new(directory.path(), Setup::within(SHORT)).await;
        let receiver = Receiver::new(&[]).await;
        Self { dice: Dice::new(seed), directory, sending, receiver, marks: Vec::new(), keys: Vec::new(), exists: false }
    }

    fn mark(&mut self, mark: Mark) {
        self.marks.push((self.receiver.so_far().len(), mark));
    }

    /// Waits until no message is on its way.
    async fn quiet(&mut self) -> pb::Subscription {
        let is_quiet = |subscription: &pb::Subscription| {
            let webhook = subscription.webhook.as_ref().unwrap();
            let waits = webhook.next_attempt_time.is_some() || webhook.state() != pb::WebhookState::Active;
            waits || subscription.lag_changes == 0
        };
        self.sending.once(is_quiet).await
    }

    async fn create(&mut self) {
        self.mark(Mark::From(0));
        let created = self.sending.create(&self.receiver.url).await.subscription.unwrap();
        self.keys.extend(created.webhook.unwrap().keys.into_iter().map(|key| key.public_key));
        self.exists = true;
    }

    async fn set_state(&mut self, state: pb::WebhookState) {
        self.mark(Mark::Interrupted);
        self.sending.set_state(state).await.unwrap();
        self.mark(Mark::Interrupted);
    }

    async fn step(mut self) -> Self {
        match self.dice.below(100) {
            0..30 => {
                let count = 1 + self.dice.below(4);
                self.sending.record(usize::try_from(count).unwrap()).await;
            }
            30..50 => {
                let manner = *self.dice.one_of(&TROUBLE);
                self.receiver.will(manner);
            }
            50..60 => {
                let seconds = *self.dice.one_of(&[1, 6, 330, 2_000, 90_000]);
                self.sending.pass(Duration::from_secs(seconds));
            }
            60..65 => {
                let Self { sending, directory, .. } = self;
                let clock = sending.stop().await;
                let sending = Sending::new(directory.path(), Setup { clock, ..Setup::within(SHORT) }).await;
                self = Self { sending, directory, ..self };
                self.mark(Mark::Interrupted);
            }
            _ if !self.exists => self.create().await,
            65..72 => self.set_state(pb::WebhookState::Paused).await,
            72..84 => self.set_state(pb::WebhookState::Active).await,
            84..88 => drop(self.sending.test().await.unwrap()),
            88..92 => {
                let request = pb::RotateWebhookKeyRequest { name: NAME.to_owned(), ..Default::default() };
                let rotated = self.sending.client.feed.rotate_webhook_key(request).await.unwrap().into_inner();
                let webhook = rotated.subscription.unwrap().webhook.unwrap();
                self.keys.extend(webhook.keys.into_iter().map(|key| key.public_key));
            }
            92..97 => {
                self.quiet().await;
                let seq = self.dice.below(self.sending.server.archive.tail().next_seq.0 + 1);
                self.mark(Mark::From(seq));
                self.sending.seek(seq).await;
            }
            _ => {
                self.quiet().await;
                let request = pb::DeleteSubscriptionRequest { name: NAME.to_owned(), ..Default::default() };
                self.sending.client.feed.delete_subscription(request).await.unwrap();
                self.exists = false;
            }
        }
        self
    }

    /// Lets the receiver accept everything, and checks what it was sent.
    async fn finish(mut self, seed: u64) {
        if !self.exists {
            self.create().await;
        }
        self.receiver.will_accept();
        // An attempt that was on its way may still be refused, and would be made again later.
        loop {
            self.set_state(pb::WebhookState::Active).await;
            if self.quiet().await.lag_changes == 0 {
                break;
            }
        }
        let (tail, received) = (self.sending.server.archive.tail().next_seq.0, self.receiver.so_far());
        let found = check(&received, &self.marks, tail);
        assert!(found.is_empty(), "seed {seed}: {found:#?}\n{:?}\n{}", self.marks, shown(&received));
        for message in &received {
            assert!(self.keys.iter().any(|key| message.is_signed_by(key)), "seed {seed}: {message:?}");
        }
        self.sending.stop().await;
    }
}

fn shown(received: &[Received]) -> String {
    let line = |message: &Received| format!("{} {:?} {:?}\n", message.id(), message.seqs(), message.manner);
    received.iter().map(line).collect()
}

/// What is wrong with the messages that a receiver got.
fn check(received: &[Received], marks: &[(usize, Mark)], tail: u64) -> Vec<String> {
    let mut found = Vec::new();
    let (mut place, mut accepted, mut bodies) = (0, HashSet::new(), HashMap::new());
    let mut refused: Option<&Received> = None;
    for (number, message) in received.iter().enumerate() {
        let mut last_before = None;
        for (_, mark) in marks.iter().filter(|(before, _)| *before == number) {
            if let Mark::From(seq) = mark {
                (place, refused) = (*seq, None);
                (accepted, bodies) = Default::default();
                last_before = number.checked_sub(1).and_then(|last| received.get(last)).map(Received::id);
            }
        }
        // A message that was on its way at an interruption may arrive after it, and the next one repeats it.
        let near = |before: usize| number == before || number == before + 1;
        let is_interrupted = marks.iter().any(|(before, mark)| near(*before) && *mark == Mark::Interrupted);
        let seqs = message.seqs();
        let (Some(first), Some(last)) = (seqs.first().copied(), seqs.last().copied()) else {
            if message.json()["type"] != "dateline.test" {
                found.push(format!("message {number} is empty"));
            }
            continue;
        };
        // An attempt that was due may have been on its way when the webhook was moved.
        if first != place && last_before == Some(message.id()) {
            continue;
        }
        if !seqs.iter().copied().eq(first..=last) {
            found.push(format!("message {number} has gaps, or is out of order"));
        }
        if first > place {
            found.push(format!("message {number} begins at {first}, and nothing was accepted from {place} on"));
        }
        if first < place && !accepted.contains(message.id()) && !is_interrupted {
            found.push(format!("message {number} repeats changes under another id"));
        }
        if refused.is_some_and(|refused| refused.id() != message.id()) && !is_interrupted {
            found.push(format!("message {number} is not the one that was refused before it"));
        }
        if bodies.insert(message.id().to_owned(), &message.body).is_some_and(|body| *body != message.body) {
            found.push(format!("message {number} has the id of another one"));
        }
        if message.manner == Manner::Status(204) {
            accepted.insert(message.id().to_owned());
            (place, refused) = (place.max(last + 1), None);
        } else {
            refused = Some(message);
        }
    }
    if place != tail {
        found.push(format!("everything below {place} was accepted, and the log ends at {tail}"));
    }
    found
}

#[tokio::test]
async fn every_change_arrives_in_order_and_twice_only_as_a_repeat() {
    let first = seed(17);
    for seed in first..first + 6 {
        let mut run = Run::new(seed).await;
        for _ in 0..OPERATIONS {
            run = run.step().await;
        }
        run.finish(seed).await;
    }
}

/// A check that finds nothing proves nothing.
#[tokio::test]
async fn the_check_finds_what_is_lost_repeated_or_out_of_order() {
    let receiver = Receiver::new(&[]).await;
    let directory = TempDir::new().unwrap();
    let mut sending = Sending::new(directory.path(), Setup::default()).await;
    sending.create(&receiver.url).await;
    for _ in 0..3 {
        sending.record(1).await;
        sending.once_caught_up().await;
    }
    let marks = [(0, Mark::From(0))];
    let sound = receiver.so_far();
    assert_eq!((sound.len(), check(&sound, &marks, 3)), (3, Vec::new()));
    let first_of = |received: &[Received]| check(received, &marks, 3).first().cloned().unwrap_or_default();
    let [one, two, three] = [0, 1, 2].map(|index: usize| sound[index].clone());
    let refused = |message: &Received| {
        let mut refused = message.clone();
        refused.manner = Manner::Status(500);
        refused
    };
    for (received, expected) in [
        (vec![one.clone(), three.clone()], "message 1 begins at 2, and nothing was accepted from 1 on"),
        (vec![one.clone(), two.clone()], "everything below 2 was accepted, and the log ends at 3"),
        (vec![two.clone(), one.clone(), three.clone()], "message 0 begins at 1"),
        (vec![one.clone(), two.clone(), two.clone(), three.clone()], ""),
        (vec![one.clone(), refused(&two), two.clone(), three.clone()], ""),
        (vec![one.clone(), refused(&two), three.clone()], "message 2 begins at 2"),
    ] {
        assert!(first_of(&received).starts_with(expected), "{expected}: {}", first_of(&received));
        assert!(!expected.is_empty() || first_of(&received).is_empty(), "{}", first_of(&received));
    }
    let renamed = |message: &Received, id: &str| message.clone().with_id(id);
    let again = vec![one.clone(), two.clone(), renamed(&two, "msg_other"), three.clone()];
    assert_eq!(first_of(&again), "message 2 repeats changes under another id");
    let interrupted = [(0, Mark::From(0)), (2, Mark::Interrupted)];
    assert!(check(&again, &interrupted, 3).is_empty());
    let reused = vec![one.clone(), renamed(&two, one.id()), three];
    assert_eq!(first_of(&reused), "message 1 has the id of another one");
    sending.stop().await;
}
