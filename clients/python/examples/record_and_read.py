"""Records two observations of an article, reads it as it was between them, and receives both changes.

Usage: python record_and_read.py [ADDRESS]       (default unix:./archive/socket)
"""

import sys
import uuid

import grpc
from dateline.v1.archive_service_pb2 import GetArticleRequest, ObservationOutcome, RecordObservationRequest
from dateline.v1.archive_service_pb2_grpc import ArchiveServiceStub
from dateline.v1.change_feed_service_pb2 import ChangeKind, FeedStart, SubscribeRequest
from dateline.v1.change_feed_service_pb2_grpc import ChangeFeedServiceStub
from dateline.v1.resources_pb2 import ArticleFilter, AsOf, Block, Content, Paragraph
from dateline_client import errors
from google.protobuf.timestamp_pb2 import Timestamp


def instant(text: str) -> Timestamp:
    time = Timestamp()
    time.FromJsonString(text)
    return time


def record(archive: ArchiveServiceStub, article: str, time: str, text: str) -> None:
    response = archive.RecordObservation(
        RecordObservationRequest(
            parent="sources/harbour-times",
            article_id=article,
            content=Content(headline="Ferry sinks off the cape", blocks=[Block(paragraph=Paragraph(text=text))]),
            observe_time=instant(time),
            # With an id, the request can be sent again after a lost connection: it is carried out once.
            request_id=f"{article}-{time}",
        )
    )
    print(f"{ObservationOutcome.Name(response.outcome)}: {response.revision.name}")


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "unix:./archive/socket"
    article = f"ferry-{uuid.uuid4().hex[:8]}"
    name = f"sources/harbour-times/articles/{article}"
    with grpc.insecure_channel(address) as channel:
        archive = ArchiveServiceStub(channel)
        record(archive, article, "2026-03-01T08:00:00Z", "The night ferry sank with 12 people on board.")
        record(archive, article, "2026-03-01T21:30:00Z", "The night ferry sank with 92 people on board.")

        noon = AsOf(observe_time=instant("2026-03-01T12:00:00Z"))
        response = archive.GetArticle(GetArticleRequest(name=name, as_of=noon))
        print(f"at noon: {response.article.revision.content.blocks[0].paragraph.text}")

        feed = ChangeFeedServiceStub(channel).Subscribe(
            SubscribeRequest(
                start=FeedStart(beginning=True),
                filter=ArticleFilter(articles=[name]),
                end_when_caught_up=True,
            )
        )
        for event in feed:
            for change in event.delivery.changes:
                print(f"{ChangeKind.Name(change.kind)}: {change.revision.content.headline}")

        try:
            archive.GetArticle(GetArticleRequest(name="sources/harbour-times/articles/nowhere"))
        except grpc.RpcError as error:
            details = errors.details(error)
            print(f"{error.code().name} {details.reason}: {details.metadata['article']}")


if __name__ == "__main__":
    main()
