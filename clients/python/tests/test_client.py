"""What a client does with an archive, with the installed package on a real server."""

import asyncio
import datetime
import pathlib
import runpy
import sys
from collections.abc import Iterator

import grpc
import pytest
from dateline.v1 import admin_service_pb2 as admin
from dateline.v1 import archive_service_pb2 as service
from dateline.v1 import change_feed_service_pb2 as feed_service
from dateline.v1 import resources_pb2 as pb
from dateline.v1.admin_service_pb2_grpc import AdminServiceStub
from dateline.v1.archive_service_pb2_grpc import ArchiveServiceStub
from dateline.v1.change_feed_service_pb2_grpc import ChangeFeedServiceStub
from dateline_client import errors
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

EXAMPLE = pathlib.Path(__file__).parents[1] / "examples/record_and_read.py"
# For each call; a debug build on a busy machine is slow.
DEADLINE_S = 30


def instant(hour: int) -> Timestamp:
    time = Timestamp()
    time.FromDatetime(datetime.datetime(2026, 3, 1, hour, tzinfo=datetime.timezone.utc))
    return time


def observation(source: str, hour: int, text: str, **fields: object) -> service.RecordObservationRequest:
    request = service.RecordObservationRequest(
        parent=source,
        article_id="ferry",
        content=pb.Content(headline="Ferry sinks", blocks=[pb.Block(paragraph=pb.Paragraph(text=text))]),
        observe_time=instant(hour),
    )
    request.MergeFrom(service.RecordObservationRequest(**fields))  # type: ignore[arg-type]
    return request


def text_of(response: service.GetArticleResponse) -> str:
    return response.article.revision.content.blocks[0].paragraph.text


def changes(
    events: Iterator[feed_service.SubscribeResponse], count: int
) -> tuple[list[feed_service.Change], str]:
    """Returns the next changes, and the token to continue after them."""
    received: list[feed_service.Change] = []
    while len(received) < count:
        delivery = next(events).delivery
        received.extend(delivery.changes)
        token = delivery.bookmark.resume_token
    return received, token


def test_an_observation_creates_revises_or_confirms(archive: ArchiveServiceStub, source: str) -> None:
    outcomes = [
        archive.RecordObservation(observation(source, hour, text), timeout=DEADLINE_S).outcome
        for hour, text in [(8, "12 people"), (9, "92 people"), (10, "92 people")]
    ]
    assert outcomes == [
        service.OBSERVATION_OUTCOME_CREATED,
        service.OBSERVATION_OUTCOME_REVISED,
        service.OBSERVATION_OUTCOME_UNCHANGED,
    ]


def test_a_repeated_request_is_carried_out_once(archive: ArchiveServiceStub, source: str) -> None:
    request = observation(source, 8, "12 people", request_id="first")
    first = archive.RecordObservation(request, timeout=DEADLINE_S)
    again = archive.RecordObservation(request, timeout=DEADLINE_S)
    assert (first.replayed, again.replayed) == (False, True)
    assert again.snapshot == first.snapshot


def test_an_article_is_read_as_of_both_time_axes(archive: ArchiveServiceStub, source: str) -> None:
    name = f"{source}/articles/ferry"
    archive.RecordObservation(observation(source, 8, "12 people"), timeout=DEADLINE_S)
    known = archive.RecordObservation(observation(source, 20, "92 people"), timeout=DEADLINE_S).snapshot
    archive.RecordObservation(observation(source, 11, "40 people"), timeout=DEADLINE_S)

    noon = pb.AsOf(observe_time=instant(12))
    as_known_then = pb.AsOf(observe_time=instant(12), next_seq=known.next_seq, log_digest=known.log_digest)
    newest = archive.GetArticle(service.GetArticleRequest(name=name), timeout=DEADLINE_S)
    assert text_of(newest) == "92 people"
    assert text_of(archive.GetArticle(service.GetArticleRequest(name=name, as_of=noon), timeout=DEADLINE_S)) == "40 people"
    then = archive.GetArticle(service.GetArticleRequest(name=name, as_of=as_known_then), timeout=DEADLINE_S)
    assert text_of(then) == "12 people"
    assert then.snapshot == known


def test_a_subscriber_receives_each_change_once_and_resumes(
    archive: ArchiveServiceStub, feed: ChangeFeedServiceStub, source: str
) -> None:
    def request(start: feed_service.FeedStart) -> feed_service.SubscribeRequest:
        return feed_service.SubscribeRequest(
            start=start, filter=pb.ArticleFilter(sources=[source]), view=feed_service.FEED_VIEW_FULL
        )

    archive.RecordObservation(observation(source, 8, "12 people"), timeout=DEADLINE_S)
    events = feed.Subscribe(request(feed_service.FeedStart(beginning=True)), timeout=DEADLINE_S)
    created, _ = changes(events, 1)
    assert [change.kind for change in created] == [feed_service.CHANGE_KIND_CREATED]
    # The stream is open while this one is recorded.
    archive.RecordObservation(observation(source, 9, "92 people"), timeout=DEADLINE_S)
    revised, token = changes(events, 1)
    assert [change.kind for change in revised] == [feed_service.CHANGE_KIND_REVISED]
    assert revised[0].revision.content.blocks[0].paragraph.text == "92 people"
    assert revised[0].seq > created[0].seq
    events.cancel()

    archive.RecordObservation(observation(source, 10, "93 people"), timeout=DEADLINE_S)
    events = feed.Subscribe(request(feed_service.FeedStart(resume_token=token)), timeout=DEADLINE_S)
    resumed, _ = changes(events, 1)
    assert [change.revision.number for change in resumed] == [3]
    events.cancel()


def test_a_change_that_cannot_be_processed_is_parked_and_resolved(
    archive: ArchiveServiceStub, feed: ChangeFeedServiceStub, source: str
) -> None:
    name = f"subscriptions/{source.removeprefix('sources/')}"
    request = feed_service.CreateSubscriptionRequest(
        subscription_id=name.removeprefix("subscriptions/"),
        subscription=feed_service.Subscription(filter=pb.ArticleFilter(sources=[source])),
        start=feed_service.FeedStart(beginning=True),
    )
    created = feed.CreateSubscription(request, timeout=DEADLINE_S)
    # As if the first reply was lost. The lag of the subscription grows meanwhile.
    again = feed.CreateSubscription(request, timeout=DEADLINE_S)
    assert (again.subscription.name, again.subscription.etag) == (created.subscription.name, created.subscription.etag)
    archive.RecordObservation(observation(source, 8, "12 people"), timeout=DEADLINE_S)
    events = feed.Subscribe(feed_service.SubscribeRequest(subscription=name), timeout=DEADLINE_S)
    epoch = next(events).started.epoch
    received, _ = changes(events, 1)
    parked = feed.ParkChange(
        feed_service.ParkChangeRequest(name=name, epoch=epoch, seq=received[0].seq, reason="no such field", attempts=3),
        timeout=DEADLINE_S,
    )
    assert parked.subscription.parked_count == 1
    feed.AcknowledgeSubscription(
        feed_service.AcknowledgeSubscriptionRequest(name=name, epoch=epoch, next_seq=received[0].seq + 1),
        timeout=DEADLINE_S,
    )
    events.cancel()
    listed = feed.ListParkedChanges(feed_service.ListParkedChangesRequest(name=name), timeout=DEADLINE_S)
    assert [(parked.change, parked.reason, parked.attempts) for parked in listed.parked_changes] == [
        (received[0], "no such field", 3)
    ]
    resolved = feed.ResolveParkedChanges(
        feed_service.ResolveParkedChangesRequest(name=name, seqs=[received[0].seq]), timeout=DEADLINE_S
    )
    assert resolved.subscription.parked_count == 0


def test_an_import_reports_each_message_and_continues_after_a_rejected_one(
    archive: ArchiveServiceStub, source: str
) -> None:
    observations = [
        observation(source, 8, "12 people"),
        observation(source, 9, "92 people", article_id="not/an/id"),
        observation(source, 10, "93 people"),
    ]
    responses = list(
        archive.ImportObservations(
            (
                service.ImportObservationsRequest(offset=offset, requests=[item])
                for offset, item in enumerate(observations)
            ),
            timeout=DEADLINE_S,
        )
    )
    assert [response.offset for response in responses] == [0, 1, 2]
    assert [response.WhichOneof("result") for response in responses] == ["recorded", "error", "recorded"]
    assert responses[1].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


def test_an_error_has_its_reason_and_metadata(archive: ArchiveServiceStub, source: str) -> None:
    name = f"{source}/articles/nowhere"
    with pytest.raises(grpc.RpcError) as caught:
        archive.GetArticle(service.GetArticleRequest(name=name), timeout=DEADLINE_S)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    details = errors.details(caught.value)
    assert details.reason == errors.reason(caught.value) == "ARTICLE_UNKNOWN"
    assert details.domain is not None and details.domain.startswith("dateline")
    assert details.metadata["article"] == name
    assert details.field_violations == ()
    assert details.retry_delay is None


def test_an_error_names_every_invalid_field(archive: ArchiveServiceStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        archive.RecordObservation(observation("not a source", 8, "12 people", article_id="?"), timeout=DEADLINE_S)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = errors.details(caught.value)
    assert details.reason == "FIELD_INVALID"
    assert {violation.field for violation in details.field_violations} == {"parent", "article_id"}
    assert all(violation.description for violation in details.field_violations)


def test_a_precondition_that_does_not_hold_rejects_the_write(archive: ArchiveServiceStub, source: str) -> None:
    must_not_exist = service.Precondition(must_not_exist=True)
    request = observation(source, 8, "12 people", precondition=must_not_exist)
    etag = archive.RecordObservation(request, timeout=DEADLINE_S).etag
    with pytest.raises(grpc.RpcError) as caught:
        archive.RecordObservation(request, timeout=DEADLINE_S)
    assert errors.reason(caught.value) == "ARTICLE_EXISTS"

    guarded = service.Precondition(etag=etag)
    archive.RecordObservation(observation(source, 9, "92 people", precondition=guarded), timeout=DEADLINE_S)
    with pytest.raises(grpc.RpcError) as caught:
        archive.RecordObservation(observation(source, 10, "93 people", precondition=guarded), timeout=DEADLINE_S)
    assert errors.reason(caught.value) == "REVISION_CONFLICT"


def test_an_error_that_is_not_from_the_service_has_no_reason() -> None:
    # Nothing listens on port 1.
    with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(grpc.RpcError) as caught:
        AdminServiceStub(channel).GetStatus(admin.GetStatusRequest(), timeout=DEADLINE_S)
    assert errors.details(caught.value) == errors.Details()
    assert errors.details(grpc.RpcError()) == errors.Details()


def test_the_delay_before_a_retry_is_read() -> None:
    status = Status()
    retry = RetryInfo()
    retry.retry_delay.FromTimedelta(datetime.timedelta(seconds=1.5))
    status.details.add().Pack(retry)
    assert errors.status_details(status) == errors.Details(retry_delay=datetime.timedelta(seconds=1.5))


def test_the_stubs_work_with_asyncio(address: str, source: str) -> None:
    async def record_and_receive() -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            archive = ArchiveServiceStub(channel)
            await archive.RecordObservation(observation(source, 8, "12 people"), timeout=DEADLINE_S)
            events = ChangeFeedServiceStub(channel).Subscribe(
                feed_service.SubscribeRequest(
                    start=feed_service.FeedStart(beginning=True),
                    filter=pb.ArticleFilter(sources=[source]),
                    end_when_caught_up=True,
                ),
                timeout=DEADLINE_S,
            )
            kinds = [change.kind async for event in events for change in event.delivery.changes]
            assert kinds == [feed_service.CHANGE_KIND_CREATED]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                request = service.GetArticleRequest(name=f"{source}/articles/nowhere")
                await archive.GetArticle(request, timeout=DEADLINE_S)
            assert errors.reason(caught.value) == "ARTICLE_UNKNOWN"

    asyncio.run(record_and_receive())


def test_the_example_runs(address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), address])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "at noon: The night ferry sank with 12 people on board."
    assert lines[3:5] == ["CHANGE_KIND_CREATED: Ferry sinks off the cape", "CHANGE_KIND_REVISED: Ferry sinks off the cape"]
    assert lines[5] == "NOT_FOUND ARTICLE_UNKNOWN: sources/harbour-times/articles/nowhere"
