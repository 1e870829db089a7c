"""Follows every change from the beginning on, and goes on where it stopped; see README.md beside this file.

Usage: python follow.py [ADDRESS] [TOKEN_FILE]      (default 127.0.0.1:7411, follow.token)

The token is written after the changes before it were dealt with. Stop the program, or the server, at any time: the next
run goes on behind the last token, so that no change is missing.
"""

import pathlib
import sys
import time

import grpc

from dateline.v1 import change_feed_service_pb2 as feed
from dateline.v1.change_feed_service_pb2_grpc import ChangeFeedServiceStub


def deal_with(change: feed.Change) -> None:
    kind = feed.ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_").lower()
    late = "" if change.is_newest else " (late)"
    print(f"{change.seq}: {kind} {change.article}: {change.revision.content.headline}{late}", flush=True)


def keep(token_file: pathlib.Path, token: str) -> None:
    # Under another name first: a token that is half written would be worth nothing.
    half = token_file.with_suffix(".new")
    half.write_text(token)
    half.replace(token_file)


def follow(stub: ChangeFeedServiceStub, token_file: pathlib.Path) -> None:
    if token_file.exists():
        start = feed.FeedStart(resume_token=token_file.read_text())
    else:
        start = feed.FeedStart(beginning=True)
    for event in stub.Subscribe(feed.SubscribeRequest(start=start)):
        if event.HasField("batch"):
            for change in event.batch.changes:
                deal_with(change)
            keep(token_file, event.batch.bookmark.resume_token)
        elif event.HasField("bookmark"):
            keep(token_file, event.bookmark.resume_token)
        elif event.HasField("caught_up"):
            print("caught up", flush=True)


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7411"
    token_file = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "follow.token")
    with grpc.insecure_channel(address) as channel:
        stub = ChangeFeedServiceStub(channel)
        while True:
            try:
                follow(stub, token_file)
            except grpc.RpcError as error:
                # UNAVAILABLE passes: the server restarts, or shuts down. Anything else is for a person to look at.
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                time.sleep(1)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
