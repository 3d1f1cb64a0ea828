"""The sound of a written film: copied from another one where the container takes it as it is, else encoded to what it takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import BlockingIOError as NoFrameYet
from av.error import EOFError as NoFrameLeft
from av.error import FFmpegError
from av.filter import Graph
from av.packet import Packet

from perse_live.film.clock import Clock
from perse_live.film.reader import Film
from perse_live.film.source import OpenFile, opened, packets

_PCM = {"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le"}
_TAKEN_AS_IT_IS = {  # what players of each container play, of what FFmpeg's muxer accepts
    "mp4": {"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"},
    "mov": {"aac", "ac3", "alac", "eac3", "mp3"} | _PCM,
    "matroska": {"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus", "vorbis"} | _PCM,
    "webm": {"opus", "vorbis"},
}
_ENCODED_AS = {"mp4": "aac", "mov": "aac", "matroska": "aac", "webm": "libopus"}
_RATES = {  # samples per second that the encoder takes
    "aac": (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000),
    "libopus": (48000, 24000, 16000, 12000, 8000),
}
_USUAL_RATE = 48000
# By channels; transparent for speech and music with both encoders
_BITS_PER_SECOND = {1: 96_000, 2: 160_000}
_LONGEST_PACKET = 10  # seconds; what claims to be longer is damaged
_MIN_GAP = 0.015  # seconds; a lost packet of any usual codec is longer, the rounding of Matroska's clock shorter


@dataclass(frozen=True)
class Sound:
    """The sound of an output."""

    packets: Iterator[tuple[Fraction, Packet[Any]]]
    """For the output's muxer, with the second of the film at which each starts."""
    warnings: tuple[str, ...] = ()
    """What was not carried over as it is: lines without a full stop."""


def open_sound(
    stack: contextlib.ExitStack, film: Film | None, output: OutputContainer, kind: str
) -> Sound:
    """Add a film's sound to an output, where there is one that can be decoded.

    stack: closes the film's file; kind: the output's container, as FFmpeg calls it.
    """
    if film is None or not film.has_sound:
        return Sound(iter(()))
    damaged = _damaged_packets(film)
    if damaged is None:
        return Sound(iter(()), (f"the sound of {film.path} cannot be decoded, and is left out",))
    file = stack.enter_context(opened(film.path))
    stream = file.audio
    assert stream is not None
    if stream.codec_context.name in _codec_names(kind) and not damaged:
        return Sound(_copied(file, stream, output.add_stream_from_template(stream), film.start))
    warnings = (
        (f"the sound of {film.path} is damaged; packets replaced by silence: {damaged}",)
        if damaged
        else ()
    )
    return Sound(_encoded(file, stream, _add_encoder(output, stream, kind), film.start), warnings)


def _codec_names(kind: str) -> set[str]:
    """What the container takes as it is, by the names of FFmpeg's decoders too."""
    taken = _TAKEN_AS_IT_IS[kind]
    return taken | {f"{name}float" for name in taken} | {f"lib{name}" for name in taken}


def _damaged_packets(film: Film) -> int | None:
    """Number of undecodable sound packets of a film, not counting the last one; None where no packet can be decoded."""
    damaged, decoded, since = 0, 0, 0
    with opened(film.path) as file:
        for packet in packets(file, Clock()):
            if packet is None or file.audio is None or packet.stream_index != file.audio.index:
                continue
            try:
                frames = packet.decode()
                decoded += len(frames)
                if frames:
                    damaged, since = damaged + since, 0
            except FFmpegError:
                since += 1
    return damaged if decoded else None


def _add_encoder(output: OutputContainer, stream: AudioStream, kind: str) -> AudioStream:
    name = _ENCODED_AS[kind]
    rates = _RATES[name]
    rate = stream.rate if stream.rate in rates else _USUAL_RATE
    channels = 1 if stream.channels == 1 else 2
    encoder = output.add_stream(name, rate=rate)
    assert isinstance(encoder, AudioStream)
    encoder.codec_context.layout = "mono" if channels == 1 else "stereo"
    encoder.codec_context.bit_rate = _BITS_PER_SECOND[channels]
    return encoder


def _copied(
    file: OpenFile, stream: AudioStream, copy: AudioStream, start: Fraction
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    last: int | None = None
    for packet in packets(file, Clock()):
        if (
            packet is None
            or packet.stream_index != stream.index
            or packet.dts is None
            or packet.pts is None
            or not packet.size
        ):
            continue
        offset = round(start / packet.time_base)
        packet.pts -= offset
        packet.dts -= offset
        # Before the first picture
        if (packet.pts + (packet.duration or 0)) * packet.time_base <= 0:
            continue
        # Muxers refuse times that do not increase, which clocks of damaged films have
        if last is not None:
            packet.dts = max(packet.dts, last + 1)
        packet.pts = max(packet.pts, packet.dts)
        last = packet.dts
        if (packet.duration or 0) * packet.time_base > _LONGEST_PACKET:
            packet.duration = 0
        time = packet.dts * packet.time_base
        packet.stream = copy
        yield time, packet


def _encoded(
    file: OpenFile, stream: AudioStream, encoder: AudioStream, start: Fraction
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    """Decoded, resampled, gaps filled with silence, and encoded."""
    graph: Graph | None = None
    layout: tuple[object, ...] | None = None
    for packet in packets(file, Clock()):
        if packet is None or packet.stream_index != stream.index:
            continue
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        for frame in frames:
            if frame.pts is None or frame.time_base is None:
                continue
            frame.pts -= round(start / frame.time_base)
            if graph is None or layout != (frame.format.name, frame.layout.name, frame.sample_rate):
                if graph is not None:
                    graph.push(None)
                    yield from _pulled(graph, encoder)
                graph = _resampler(frame, encoder, from_start=graph is None)
                layout = frame.format.name, frame.layout.name, frame.sample_rate
            graph.push(frame)
            yield from _pulled(graph, encoder)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph, encoder)
    for packet in encoder.encode(None):
        yield (packet.pts or 0) * (packet.time_base or Fraction(0)), packet


def _resampler(frame: AudioFrame, encoder: AudioStream, *, from_start: bool) -> Graph:
    """From the format of a decoded frame to the encoder's, without gaps; from_start: from time 0 on (FFmpeg's aresample)."""
    context = encoder.codec_context
    graph = Graph()
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate,
        format=frame.format.name,
        layout=frame.layout.name,
        time_base=frame.time_base,
    )
    resample = graph.add(
        "aresample",
        f"{context.sample_rate}:async=1:min_hard_comp={_MIN_GAP}" + ":first_pts=0" * from_start,
    )
    shape = graph.add(
        "aformat", f"sample_fmts={context.format.name}:channel_layouts={context.layout.name}"
    )
    graph.link_nodes(source, resample, shape, graph.add("abuffersink")).configure()
    return graph


def _pulled(graph: Graph, encoder: AudioStream) -> Iterator[tuple[Fraction, Packet[Any]]]:
    with contextlib.suppress(NoFrameYet, NoFrameLeft):
        while True:
            for packet in encoder.encode(cast("AudioFrame", graph.pull())):
                yield (packet.pts or 0) * (packet.time_base or Fraction(0)), packet
