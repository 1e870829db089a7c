"""Receives every change from the beginning, and continues where it stopped; see README.md next to this file.

Usage: python follow.py [ADDRESS] [TOKEN_FILE]      (default unix:./archive/socket, follow.token)

The token is written after the changes before it have been handled. Stop the program or the server at any time: the next
run continues from the last token, so no change is missed.
"""

import pathlib
import sys
import time

import grpc

from dateline.v1 import change_feed_service_pb2 as feed
from dateline.v1.change_feed_service_pb2_grpc import ChangeFeedServiceStub


def handle(change: feed.Change) -> None:
    kind = feed.ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_").lower()
    late = "" if change.is_newest else " (late)"
    print(f"{change.seq}: {kind} {change.article}: {change.revision.content.headline}{late}", flush=True)


def keep(token_file: pathlib.Path, token: str) -> None:
    # The file is written under another name first, because a half-written token would be useless.
    new_file = token_file.with_suffix(".new")
    new_file.write_text(token)
    new_file.replace(token_file)


def follow(stub: ChangeFeedServiceStub, token_file: pathlib.Path) -> None:
    if token_file.exists():
        start = feed.FeedStart(resume_token=token_file.read_text())
    else:
        start = feed.FeedStart(beginning=True)
    for event in stub.Subscribe(feed.SubscribeRequest(start=start)):
        if event.HasField("delivery"):
            for change in event.delivery.changes:
                handle(change)
            keep(token_file, event.delivery.bookmark.resume_token)
        elif event.HasField("bookmark"):
            keep(token_file, event.bookmark.resume_token)
        elif event.HasField("caught_up"):
            print("caught up", flush=True)


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "unix:./archive/socket"
    token_file = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "follow.token")
    with grpc.insecure_channel(address) as channel:
        stub = ChangeFeedServiceStub(channel)
        while True:
            try:
                follow(stub, token_file)
            except grpc.RpcError as error:
                # UNAVAILABLE is temporary: the server is restarting or shutting down. Any other error needs a person.
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                time.sleep(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
