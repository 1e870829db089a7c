"""Archives an article, revises it, and reads it as it was in between; see README.md next to this file.

Usage: python tour.py [ADDRESS]       (default unix:./archive/socket)
"""

import sys
import uuid

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from content_digest import content_digest
from dateline.v1 import archive_service_pb2 as service
from dateline.v1 import resources_pb2 as pb
from dateline.v1.archive_service_pb2_grpc import ArchiveServiceStub


def instant(text: str) -> Timestamp:
    time = Timestamp()
    time.FromJsonString(text)
    return time


def story(headline: str, *paragraphs: str) -> pb.Content:
    blocks = [pb.Block(paragraph=pb.Paragraph(text=text)) for text in paragraphs]
    return pb.Content(headline=headline, language="en-GB", blocks=blocks)


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "unix:./archive/socket"
    with grpc.insecure_channel(address) as channel:
        archive = ArchiveServiceStub(channel)
        article = f"ferry-{uuid.uuid4().hex[:8]}"
        name = f"sources/harbour-times/articles/{article}"

        # Two observations. The second one has a different text, so it creates a revision.
        for time, text in [
            ("2026-03-01T08:00:00Z", "The night ferry sank with 12 people on board."),
            ("2026-03-01T21:30:00Z", "The night ferry sank with 92 people on board."),
        ]:
            response = archive.RecordObservation(
                service.RecordObservationRequest(
                    parent="sources/harbour-times",
                    article_id=article,
                    content=story("Ferry sinks off the cape", text),
                    observe_time=instant(time),
                    request_id=f"{article}-{time}",
                )
            )
            outcome = service.ObservationOutcome.Name(response.outcome)
            print(f"{outcome}: {response.revision.name}")

        # What did it say at noon?
        noon = archive.GetArticle(
            service.GetArticleRequest(name=name, as_of=pb.AsOf(observe_time=instant("2026-03-01T12:00:00Z")))
        )
        revision = noon.article.revision
        print(f"at noon: {revision.content.blocks[0].paragraph.text}")
        assert "12 people" in revision.content.blocks[0].paragraph.text

        # Anyone can recompute the digest.
        assert content_digest(revision.content) == revision.content_digest
        print(f"digest: {revision.content_digest.hex()[:16]}…, recomputed and equal")

        # What changed, word by word?
        diff = archive.DiffRevisions(service.DiffRevisionsRequest(name=name))
        marks = {pb_kind: mark for pb_kind, mark in [(1, "{}"), (2, "{{+{}+}}"), (3, "[-{}-]")]}
        for hunk in diff.hunks:
            print("changed: " + "".join(marks[span.kind].format(span.text) for span in hunk.spans))

        # The reason of an error is stable, so programs can rely on it.
        try:
            archive.GetArticle(service.GetArticleRequest(name="sources/harbour-times/articles/nowhere"))
        except grpc.RpcError as error:
            status = rpc_status.from_call(error)
            info = error_details_pb2.ErrorInfo()
            assert status.details[0].Unpack(info)
            print(f"error: {error.code().name} {info.reason} of {info.domain}: {error.details()}")
            assert (info.reason, info.domain) == ("ARTICLE_UNKNOWN", "dateline.v1")


if __name__ == "__main__":
    main()
