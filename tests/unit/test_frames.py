"""Frames between engine and isolated step: whole and sound, or refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.conditions import Asked
from engine.events import AttemptFinished
from engine.model import AttemptOutcome
from engine.ports import Job
from engine.produced import Encoded, OutputFile
from engine.workers.isolation import frames
from engine.workers.isolation.frames import Frame, FrameFault, Frames, pack
from engine.workers.isolation.orders import read_result, result_frame

FINISHED = AttemptFinished(
    4,
    2,
    AttemptOutcome.OK,
    10.0,
    11.5,
    note="a note",
    writes=(("a", Encoded("json", b"1", "one")), ("b", Encoded("json+", b"", "none"))),
    files=(OutputFile("/t", "/target", "abc", 3),),
)


def packed(head: dict[str, object], *blobs: bytes) -> bytes:
    """Give a frame in one piece."""
    return b"".join(pack(head, blobs))


@given(st.lists(st.lists(st.binary(max_size=40), max_size=3), max_size=4), st.integers(1, 60))
def test_frames_come_out_as_they_went_in(all_blobs: list[list[bytes]], size: int) -> None:
    """However the bytes are cut on their way."""
    sent = [Frame({"kind": str(at)}, tuple(blobs)) for at, blobs in enumerate(all_blobs)]
    data = b"".join(packed(frame.head, *frame.blobs) for frame in sent)
    reader = Frames()
    found = []
    for at in range(0, len(data), size):
        found += list(reader.feed(data[at : at + size]))
    assert found == sent
    assert not reader.partial


def test_a_cut_frame_is_none() -> None:
    """Up to its last byte nothing of it is given, and that it was begun is known."""
    reader = Frames()
    assert list(reader.feed(packed({"kind": "a"}, b"blob")[:-1])) == []
    assert reader.partial


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_found(place: int, change: int) -> None:
    """Whichever byte it is, the frame is refused or never whole; no other content comes out."""
    data = bytearray(packed({"kind": "result"}, b"some bytes", b"of two values"))
    data[place % len(data)] ^= change
    with contextlib.suppress(FrameFault):
        assert list(Frames().feed(bytes(data))) == []


def test_what_is_too_big_is_refused_before_it_is_there() -> None:
    """The sizes in front are enough: nothing is collected."""
    huge = b"\0\0\0\x09" + (1 << 40).to_bytes(8, "big") + bytes(32)
    with pytest.raises(FrameFault, match=r"too big: 1099512 MB; 256 MB go"):
        list(Frames().feed(huge))


def test_what_is_too_big_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender sees it too, and can still say so."""
    monkeypatch.setattr(frames, "BLOBS_BYTES_MAX", 9)
    with pytest.raises(FrameFault, match="too big"):
        packed({"kind": "a"}, b"0123456789")


def test_a_result_reads_as_it_was_written() -> None:
    """All of it, but position, number and start, which are the engine's own to know."""
    head, blobs = result_frame(FINISHED)
    (frame,) = Frames().feed(packed(head, *blobs))
    assert read_result(frame, Job(4, 2, report=False), 10.0) == FINISHED
    assert read_result(frame, Job(7, 1, report=True), 9.0)[:4] == (7, 1, "ok", 9.0)
    asked = Asked("n > 0", holds=False, values=(("n", "0"),))
    skipped = FINISHED._replace(skip="why", writes=(), files=(), asked=asked, policy="drawn")
    head, blobs = result_frame(skipped)
    assert read_result(Frame(head, tuple(blobs)), Job(4, 2, report=False), 10.0) == skipped


@pytest.mark.parametrize(
    "spoil",
    [
        lambda head: head.pop("error"),
        lambda head: head.update(outcome="fine"),
        lambda head: head["writes"].pop(),
        lambda head: head.update(files=[["too", "short"]]),
        lambda head: head.update(finished_at="noon"),
        lambda head: head.update(writes=5),
        lambda head: head.update(asked=["n > 0", True]),
    ],
)
def test_a_result_of_another_form_is_refused(spoil: Callable[[dict[str, object]], None]) -> None:
    """Nothing is guessed."""
    head, blobs = result_frame(FINISHED)
    spoil(head)
    with pytest.raises(FrameFault, match="its result cannot be read"):
        read_result(Frame(head, tuple(blobs)), Job(4, 2, report=False), 10.0)
