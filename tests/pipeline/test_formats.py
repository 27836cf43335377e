"""Every format that people have: each file, written by a real encoder, ends as vocals or as one clear failure.

All go through one worker in one batch, as in a real run; each test looks at the outcome for one file.
"""

import struct
from collections.abc import Callable
from pathlib import Path

import av
import mutagen.id3
import numpy as np
import pyarrow as pa
import pytest
import soundfile

from pipeline.demo.mix import perform
from pipeline.demo.singer import draw_singers
from pipeline.sections import SeparateConfig
from pipeline.sound.audio import read
from pipeline.stages.separate import SeparateWorker
from pipeline.store import tables
from pipeline.store.workspace import Workspace

RATE, LENGTH_S = 44100, 1.4  # fits the network's smallest window
N = round(RATE * LENGTH_S)
LONG_NAME = "ein sehr langer Name – " + "ä" * 110 + ".flac"
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    """Return a stretch (2, N) of a rendered song, sung throughout."""
    generator = np.random.default_rng(2)
    return perform(draw_singers(["ann"], generator), 12.0, "keys", RATE, generator).mix[:, 4 * RATE : 4 * RATE + N]


def snd(subtype: str, container: str | None = None, rate: int = RATE) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, wave: np.ndarray) -> None:
        wave = wave[:, :: max(1, RATE // rate)] if rate < RATE else np.repeat(wave, rate // RATE, axis=1)
        rate_hz = RATE // max(1, RATE // rate) if rate < RATE else RATE * (rate // RATE)
        with soundfile.SoundFile(path, "w", rate_hz, len(wave), subtype, format=container) as file:
            for start in range(0, wave.shape[1], 44100):
                file.write(wave[:, start : start + 44100].T)

    return write


def ff(
    codec: str,
    sample_format: str = "fltp",
    rate: int = RATE,
    layout: str = "stereo",
    container: str | None = None,
    picture: str | None = None,
    **options: str,
) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, wave: np.ndarray) -> None:
        with av.open(str(path), "w", format=container) as out:
            stream = out.add_stream(codec, rate=rate, layout=layout, options=options)
            stream.bit_rate = 12_200 if "amr" in codec else 128_000
            if picture:
                film = out.add_stream(picture, rate=10)
                film.width = film.height = 64
                for _ in range(14):
                    out.mux(film.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
                out.mux(film.encode(None))
            source = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave, np.float32), format="fltp", layout="stereo")
            source.sample_rate = RATE
            resampler = av.AudioResampler(
                format=sample_format, layout=layout, rate=rate, frame_size=stream.codec_context.frame_size or 1024
            )
            for frame in [*resampler.resample(source), *resampler.resample(None)]:
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))

    return write


def changed(writer: Callable[[Path, np.ndarray], None], change: Callable[[bytes], bytes]) -> Callable:
    def write(path: Path, wave: np.ndarray) -> None:
        writer(path, wave)
        path.write_bytes(change(path.read_bytes()))

    return write


def with_junk_tags(path: Path, wave: np.ndarray) -> None:
    ff("libmp3lame")(path, wave)
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TIT2(encoding=3, text="歌 " * 50))
    tags.add(mutagen.id3.APIC(encoding=0, mime="image/png", type=3, desc="x", data=bytes(range(256)) * 800))
    tags.save(path)
    path.write_bytes(path.read_bytes() + b"\xff\xfb\x00TAG" + bytes(range(256)) * 20)


def lying_wav(claimed: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        at = data.index(b"data") + 4
        return data[:at] + struct.pack("<I", claimed) + data[at + 4 :]

    return change


def floats(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path, np.ndarray], None]:
    return lambda path, wave: snd("FLOAT")(path, change(wave.copy()))


def some_bad(wave: np.ndarray) -> np.ndarray:
    wave[:, ::5000] = np.nan
    wave[0, 1::5000] = np.inf
    return wave


def surround(channels: int) -> Callable[[Path, np.ndarray], None]:
    return lambda path, wave: snd("PCM_16")(path, np.vstack([wave] * 12)[:channels])


def sides(wave: np.ndarray, left: float, right: float) -> np.ndarray:
    return np.outer([left, right], wave.mean(axis=0)).astype(np.float32)


def one_huge(wave: np.ndarray) -> np.ndarray:
    wave[1, 1000] = 3.3e38
    return wave


def film(codec: str, sample_format: str = "fltp", container: str | None = None, picture: str = "mpeg4") -> Callable:
    return ff(codec, sample_format, container=container, picture=picture)


GOOD: dict[str, Callable[[Path, np.ndarray], None]] = {
    "u8.wav": snd("PCM_U8"),
    "16.wav": snd("PCM_16"),
    "24.wav": snd("PCM_24"),
    "32.wav": snd("PCM_32"),
    "float.wav": snd("FLOAT"),
    "double.wav": snd("DOUBLE"),
    "ulaw.wav": snd("ULAW"),
    "adpcm.wav": snd("IMA_ADPCM"),
    "s8.aiff": snd("PCM_S8"),
    "24.aiff": snd("PCM_24"),
    "float.aifc": snd("FLOAT", "AIFF"),
    "16.au": snd("PCM_16"),
    "16.caf": snd("PCM_16"),
    "rf64.wav": snd("PCM_16", "RF64"),
    "16.flac": snd("PCM_16"),
    "24.flac": snd("PCM_24"),
    "vorbis.ogg": snd("VORBIS"),
    "opus.opus": ff("libopus", "flt", 48000, container="ogg"),
    "cbr.mp3": ff("libmp3lame"),
    "vbr.mp3": ff("libmp3lame", **{"q": "4"}),
    "mono.mp3": ff("libmp3lame", layout="mono", rate=22050),
    "junk.mp3": with_junk_tags,
    "aac.m4a": ff("aac"),
    "aac.aac": ff("aac", container="adts"),
    "alac.m4a": ff("alac", "s16p"),
    "ac3.ac3": ff("ac3", rate=48000),
    "wma.wma": ff("wmav2", container="asf"),
    "wv.wv": ff("wavpack", "s16p", container="wv"),
    "tta.tta": ff("tta", "s16", container="tta"),
    "film.mka": ff("libopus", "flt", 48000, container="matroska"),
    "mono.wav": surround(1),
    "3ch.wav": surround(3),
    "5.1.wav": surround(6),
    "7.1.wav": surround(8),
    "5.1.flac": ff("flac", "s16", layout="5.1"),
    "8k.wav": snd("PCM_16", rate=8000),
    "11k.wav": snd("PCM_16", rate=11025),
    "88k.wav": snd("PCM_16", rate=88200),
    "176k.flac": snd("PCM_24", rate=176400),
    "192k.wav": ff("pcm_s24le", "s32", rate=192000),
    "名前 – Ünï©ode 🎤.flac": snd("PCM_16"),
    LONG_NAME: snd("PCM_16"),
    "no-suffix": snd("PCM_16", "WAV"),
    "wrong-suffix.mp3": snd("PCM_16", "FLAC"),
    "some-nan.wav": floats(some_bad),
    "dc.wav": floats(lambda wave: wave + np.float32(0.4)),
    "clipped.wav": floats(lambda wave: np.clip(8 * wave, -1, 1)),
    "over.wav": floats(lambda wave: 4 * wave),
    "loud.wav": floats(lambda wave: wave / np.abs(wave).max()),
    "claims-more.wav": changed(snd("PCM_16"), lying_wav(4 * N * 50)),
    "claims-all.wav": changed(snd("PCM_16"), lying_wav(0xFFFFFFFF)),
    "truncated.mp3": changed(ff("libmp3lame"), lambda data: data[: len(data) * 2 // 3]),
    "truncated.flac": changed(snd("PCM_16"), lambda data: data[: len(data) * 2 // 3]),
    "truncated.wav": changed(snd("PCM_16"), lambda data: data[: len(data) * 2 // 3]),
    "film.mkv": film("aac"),
    "film.mov": film("alac", "s16p"),
    "film.avi": film("libmp3lame", container="avi"),
    "film.ts": film("aac", container="mpegts"),
    "film.mp4": film("aac"),
    "film.flv": film("libmp3lame", picture="flv"),
    "clip.3gp": film("aac", container="3gp"),
    "ring.m4r": ff("aac", container="ipod"),
    "16.w64": snd("PCM_16", "W64"),
    "16.voc": snd("PCM_16", "VOC"),
    "phone.amr": ff("libopencore_amrnb", "s16", rate=8000, layout="mono"),
    "layer2.mp2": ff("mp2", "s16"),
    "24ch.wav": surround(24),
    "left.wav": floats(lambda wave: sides(wave, 1, 0)),
    "right.wav": floats(lambda wave: sides(wave, 0, 1)),
    "inverted.wav": floats(lambda wave: sides(wave, 1, -1)),
    "nearly-inverted.wav": floats(lambda wave: sides(wave, 1, -0.95)),
    "one-huge.wav": floats(one_huge),
    "torn.mp3": changed(ff("libmp3lame"), lambda data: data[: len(data) // 3] + b"\0" * 3000 + data[len(data) // 3 :]),
}
BAD: dict[str, tuple[Callable[[Path, np.ndarray], None], str]] = {
    "no-sample.wav": (lambda path, wave: snd("PCM_16")(path, wave[:, :0]), "too_short"),
    "no-sample.flac": (lambda path, wave: snd("PCM_16")(path, wave[:, :0]), "empty"),  # libsndfile would write no bytes
    "one-sample.wav": (lambda path, wave: snd("PCM_16")(path, wave[:, :1]), "too_short"),
    "one-sample.flac": (lambda path, wave: snd("PCM_16")(path, wave[:, :1]), "too_short"),
    "claims-nothing.wav": (changed(snd("PCM_16"), lying_wav(4)), "too_short"),
    "empty.mp3": (lambda path, wave: path.touch(), "empty"),
    "text.mp3": (lambda path, wave: path.write_text("la " * 999), "decode"),
    "noise.mp3": (lambda path, wave: path.write_bytes(np.random.default_rng(0).bytes(40000)), "decode"),
    "header-only.flac": (changed(snd("PCM_16"), lambda data: data[:42]), "decode"),
    "no-index.m4a": (changed(ff("aac"), lambda data: data[: len(data) // 2]), "decode"),
    "all-nan.wav": (floats(lambda wave: wave * np.nan), "decode"),
    "silent.wav": (floats(lambda wave: wave * 0), "silent"),
    "constant.wav": (floats(lambda wave: wave * 0 + np.float32(0.4)), "silent"),
    "scaled.wav": (floats(lambda wave: wave * np.float32(1e30)), "decode"),
    "one-hertz.wav": (changed(snd("PCM_16"), lambda data: data[:24] + struct.pack("<I", 1) + data[28:]), "decode"),
    "page.mp3": (lambda path, wave: path.write_text("<!doctype html><title>404"), "decode"),
    "picture.mp4": (lambda path, wave: _film_without_sound(path), "decode"),
}
SHORTER = {"truncated.mp3": 0.66, "truncated.flac": 0.66, "truncated.wav": 0.66}


def _film_without_sound(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for _ in range(5):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        out.mux(stream.encode(None))


@pytest.fixture(scope="module")
def results(song: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Write all files, run the worker over them, and return each file's row of `vocals/` or of `failures/`."""
    folder = tmp_path_factory.mktemp("formats")
    (folder / "music").mkdir()
    names = [*GOOD, *BAD]
    for name, write in [*GOOD.items(), *((name, write) for name, (write, _) in BAD.items())]:
        write(folder / "music" / name, song)
    worker = SeparateWorker(f"{folder}/workspace", SeparateConfig(separator="spleeter", min_s=0.5))
    worker(
        pa.Table.from_pylist(
            [{"track_id": f"{i:032x}", "uri": str(folder / "music" / name)} for i, name in enumerate(names)]
        )
    )
    worker.decoder.close()
    workspace = Workspace(folder / "workspace")
    rows = [
        *tables.read(workspace, "vocals").to_dict("records"),
        *tables.read(workspace, "failures").to_dict("records"),
    ]
    assert len(rows) == len(names)
    return {names[int(row["track_id"], 16)]: row for row in rows}


@pytest.mark.parametrize("name", GOOD)
def test_music_ends_as_vocals(results, name):
    row = results[name]
    assert "error" not in row, row["message"]
    assert row["duration_s"] == pytest.approx(SHORTER.get(name, 1) * LENGTH_S, abs=0.25 if name in SHORTER else 0.2)
    assert row["has_vocals"]
    assert np.isfinite([row["voiced_s"], row["vocal_ratio"], row["vocals_db"]]).all()
    vocals = read(row["vocals_uri"], RATE, 1)
    assert vocals.duration_s == pytest.approx(row["duration_s"], abs=1e-4)
    assert 1e-3 < vocals.samples.std() < 0.9


@pytest.mark.parametrize("name", ["left.wav", "right.wav", "inverted.wav", "nearly-inverted.wav"])
def test_a_voice_is_found_in_any_arrangement_of_channels(results, name):
    assert results[name]["vocal_ratio"] == pytest.approx(results["mono.wav"]["vocal_ratio"], abs=0.1)
    assert results[name]["vocals_db"] == pytest.approx(results["mono.wav"]["vocals_db"], abs=1)


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_not_music_ends_as_one_clear_failure(results, name):
    row = results[name]
    assert row.get("error") == BAD[name][1], row
    assert len(row["message"]) > 15
    assert "Traceback" not in row["message"]
