"""Audio files with pictures, tags and codecs that encoders do not write, built by hand."""

import base64
import io
import struct

import av
import numpy as np
from fakes.audio_files import music, with_sndfile

from flamingo_common.audio import ogg

SECONDS = 2.0


def encoded(container, codec, rate_hz=44_100, layout="mono", seconds=SECONDS):
    """Return the music as FFmpeg encodes it; its Vorbis is always stereo."""
    layout = "stereo" if codec == "vorbis" else layout
    file = io.BytesIO()
    with av.open(file, "w", format=container) as sink:
        stream = sink.add_stream(codec, rate=rate_hz, layout=layout)
        stream.codec_context.options = {"strict": "experimental"}
        if codec.startswith("wma"):
            stream.bit_rate = 128_000
        samples = np.repeat(music(seconds, rate_hz), av.AudioLayout(layout).nb_channels)
        frame = av.AudioFrame.from_ndarray(samples[None], "flt", layout)
        frame.sample_rate, frame.pts = rate_hz, 0
        resampler = av.AudioResampler(stream.codec_context.format.name, layout, rate_hz)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            sink.mux(stream.encode(part))
    return file.getvalue()


def jpeg(size):
    return b"\xff\xd8\xff\xe0" + bytes(max(size - 6, 0)) + b"\xff\xd9"


def syncsafe(size):
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3(pictures):
    """Return an ID3v2 tag with these pictures."""
    bodies = [
        b"\0image/jpeg\0" + bytes([number % 21]) + b"%d\0" % number + data
        for number, data in enumerate(pictures)
    ]
    frames = b"".join(b"APIC" + syncsafe(len(body)) + b"\0\0" + body for body in bodies)
    return b"ID3\x04\0\0" + syncsafe(len(frames)) + frames


def ape(pictures):
    """Return an APE tag with these pictures."""
    items = b""
    for number, data in enumerate(pictures):
        value = b"cover.jpg\0" + data
        items += struct.pack("<II", len(value), 2) + b"Cover Art (%d)\0" % number + value
    sizes = struct.pack("<III", 2000, len(items) + 32, len(pictures))
    ends = [b"APETAGEX" + sizes + struct.pack("<I8x", flags) for flags in (0xA0 << 24, 0x80 << 24)]
    return ends[0] + items + ends[1]


def flac_picture(data):
    kind = struct.pack(">II", 3, 10) + b"image/jpeg"
    return kind + struct.pack(">IIIIII", 0, 1, 1, 24, 0, len(data)) + data


def flac(pictures, seconds=SECONDS):
    data = with_sndfile("FLAC", "PCM_16", seconds=seconds)
    at, is_last = 42, bool(data[4] & 0x80)
    while not is_last:
        is_last, at = bool(data[at] & 0x80), at + 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    blocks = b""
    for number, picture in enumerate(pictures):
        block = flac_picture(picture)
        kind = 6 | (0x80 if number == len(pictures) - 1 else 0)
        blocks += bytes([kind]) + len(block).to_bytes(3, "big") + block
    kind = b"\0" if pictures else b"\x80"
    return b"fLaC" + kind + b"\0\0\x22" + data[8:42] + blocks + data[at:]


def chunk(name, data, order="<"):
    return name + struct.pack(order + "I", len(data)) + data + b"\0" * (len(data) & 1)


def wav(pictures):
    data = with_sndfile("WAV", "PCM_16", seconds=SECONDS)
    body = data[12:36] + chunk(b"id3 ", id3(pictures)) + data[36:]
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def aiff(pictures):
    data = with_sndfile("AIFF", "PCM_16", seconds=SECONDS)
    body = chunk(b"ID3 ", id3(pictures), ">") + data[12:]
    return b"FORM" + struct.pack(">I", 4 + len(body)) + b"AIFF" + body


def box(kind, *content):
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def m4a(pictures):
    """Return an M4A whose `moov`, as usual of encoders, is at its end."""
    data = encoded("ipod", "aac")
    covers = [box(b"data", struct.pack(">II", 13, 0), picture) for picture in pictures]
    handler = box(b"hdlr", bytes(8), b"mdirappl", bytes(9))
    meta = box(b"meta", bytes(4), handler, box(b"ilst", box(b"covr", *covers)))
    at = data.index(b"moov") - 4
    return data[:at] + box(b"moov", data[at + 8 :], box(b"udta", meta))


def element(name, *content):
    body = b"".join(content)
    return bytes.fromhex(name) + (1 << 56 | len(body)).to_bytes(8, "big") + body


def matroska(pictures):
    data = encoded("matroska", "libopus", 48_000)
    files = [
        element(
            "61a7",
            element("466e", b"cover.jpg"),
            element("4660", b"image/jpeg"),
            element("46ae", number.to_bytes(4, "big")),
            element("465c", picture),
        )
        for number, picture in enumerate(pictures, 1)
    ]
    segment, cluster = data.index(bytes.fromhex("18538067")), data.index(bytes.fromhex("1f43b675"))
    endless = b"\x01" + b"\xff" * 7
    start = data[: segment + 4] + endless + data[segment + 12 : cluster]
    return start + element("1941a469", *files) + data[cluster:]


def matroska_of(codec, private, packets):
    """Return a Matroska file with one mono track at 44.1 kHz."""
    audio = element("e1", element("b5", struct.pack(">d", 44_100)), element("9f", b"\1"))
    fields = {"d7": b"\1", "73c5": b"\1", "83": b"\2", "86": codec, "63a2": private}
    track = element("ae", *(element(name, value) for name, value in fields.items()), audio)
    blocks = [element("a3", b"\x81\0\0\x80" + packet) for packet in packets]
    cluster = element("1f43b675", element("e7", b"\0"), *blocks)
    head = element("1a45dfa3", element("4282", b"matroska"))
    return head + element("18538067", element("1654ae6b", track), cluster)


def ogg_page(packet_parts, *, serial=7, number=0, flags=0, position=0):
    """Return a page of these packets, each shorter than 255 bytes."""
    sizes = bytes(map(len, packet_parts))
    head = b"OggS\0" + bytes([flags]) + struct.pack("<qII", position, serial, number)
    body = bytes([len(sizes)]) + sizes + b"".join(packet_parts)
    return head + struct.pack("<I", ogg.checksum(head + bytes(4) + body)) + body


def ogg_pages(serial, packets):
    """Return pages for long packets, as an encoder writes the headers."""
    pages, number = b"", 1
    for packet in packets:
        lacing = [255] * (len(packet) // 255) + [len(packet) % 255]
        for at in range(0, len(lacing), 255):
            part = bytes(lacing[at : at + 255])
            position = 0 if at + 255 >= len(lacing) else -1
            head = b"OggS\0" + bytes([at > 0]) + struct.pack("<q", position) + serial
            rest = bytes([len(part)]) + part + packet[at * 255 : at * 255 + sum(part)]
            head += struct.pack("<I", number)
            pages += head + struct.pack("<I", ogg.checksum(head + bytes(4) + rest)) + rest
            number += 1
    return pages


def page_bytes(data, at):
    return 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]])


def with_comments(data, magic, pictures, *, setup=b"", end=b""):
    """Return an Ogg file, whose second page ends its headers, with other comments."""
    texts = [b"METADATA_BLOCK_PICTURE=" + base64.b64encode(flac_picture(each)) for each in pictures]
    listed = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    comments = magic + struct.pack("<I", 1) + b"x" + struct.pack("<I", len(texts)) + listed + end
    first = page_bytes(data, 0)
    packets = [comments, setup] if setup else [comments]
    rest = data[first + page_bytes(data, first) :]
    return data[:first] + ogg_pages(data[14:18], packets) + rest


def opus(pictures):
    return with_comments(encoded("ogg", "libopus", 48_000), b"OpusTags", pictures)


def vorbis(pictures):
    data = encoded("ogg", "vorbis")
    first = page_bytes(data, 0)
    page = data[first : first + page_bytes(data, first)]
    setup = page[page.index(b"\x05vorbis") :]
    return with_comments(data, b"\x03vorbis", pictures, setup=setup, end=b"\1")


def wma(pictures):
    data = encoded("asf", "wmav2")
    name = "WM/Picture\0".encode("utf-16le")
    values = []
    for picture in pictures:
        kind = "image/jpeg\0\0".encode("utf-16le")
        value = b"\x03" + struct.pack("<I", len(picture)) + kind + picture
        values.append(struct.pack("<HHHHI", 0, 0, len(name), 1, len(value)) + name + value)
    library = struct.pack("<H", len(values)) + b"".join(values)
    tags = bytes.fromhex("941c23449894d149a1411d134e457054")
    inner = tags + struct.pack("<Q", 24 + len(library)) + library
    extension = bytes.fromhex("b503bf5f2ea9cf118ee300c00c205365")
    reserved = bytes.fromhex("11d2d3abbaa9cf118ee600c00c2053650600")
    outer = extension + struct.pack("<Q", 46 + len(inner)) + reserved
    outer += struct.pack("<I", len(inner)) + inner
    size, count = struct.unpack_from("<QI", data, 16)
    head = data[:16] + struct.pack("<QI", size + len(outer), count + 1)
    return head + data[28:size] + outer + data[size:]


WITH_PICTURES = {
    "flac": flac,
    "wav": wav,
    "aiff": aiff,
    "m4a": m4a,
    "matroska": matroska,
    "opus": opus,
    "vorbis": vorbis,
    "wma": wma,
    "mp3 with id3": lambda pictures: id3(pictures) + encoded("mp3", "libmp3lame"),
    "mp3 with ape": lambda pictures: encoded("mp3", "libmp3lame") + ape(pictures),
    "wavpack": lambda pictures: encoded("wv", "wavpack") + ape(pictures),
    "tta": lambda pictures: encoded("tta", "tta") + ape(pictures),
    "aac": lambda pictures: id3(pictures) + encoded("adts", "aac"),
}
