"""Makes recording.webm anew: `python -m scripts.pump.record`. Ten seconds of VP8 and of Opus.

One keyframe, so that a loop has one, and small enough that any bit rate is more: senders fill
pictures up (engine.pyx). Constant Opus frames of 50 bytes, so that packets are of one size.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
from av.filter import Graph
from av.video.frame import PictureType

from scripts.pump.recording import FILE

_SECONDS: Final = 10
_PICTURES_PER_SECOND: Final = 30
_PICTURE: Final = (
    "gradients=size=640x360:rate=30:nb_colors=3:c0=#5b2a6e:c1=#f3c9b5:c2=#2f6f73:seed=7:speed=0.02"
)
_MOVING: Final = "x=40+(t*56):y=120:w=80:h=80:color=white:t=fill"
_TONE: Final = "frequency=330:beep_factor=4:sample_rate=48000:samples_per_frame=960"
_VP8: Final = {
    # No frame but those shown: each is one picture of the RTP stream.
    "auto-alt-ref": "0",
    "lag-in-frames": "0",
    "deadline": "good",
    "cpu-used": "3",
    "qmin": "10",
    "qmax": "56",
}
_OPUS: Final = {"vbr": "off", "application": "voip", "frame_duration": "20"}


def _pictures() -> Iterator[av.VideoFrame]:
    graph = Graph()
    source = graph.add(*_PICTURE.split("=", 1))
    box = graph.add("drawbox", _MOVING)
    form = graph.add("format", "yuv420p")
    sink = graph.add("buffersink")
    source.link_to(box)
    box.link_to(form)
    form.link_to(sink)
    graph.configure()
    for number in range(_SECONDS * _PICTURES_PER_SECOND):
        frame = graph.vpull()
        frame.pts, frame.time_base = number, Fraction(1, _PICTURES_PER_SECOND)
        # The source calls each a keyframe, and the encoder would believe it.
        frame.pict_type = PictureType.NONE
        yield frame


def _sounds() -> Iterator[av.AudioFrame]:
    graph = Graph()
    source = graph.add(
        "sine", "frequency=330:beep_factor=4:sample_rate=48000:samples_per_frame=960"
    )
    volume = graph.add("volume", "0.5")
    sink = graph.add("abuffersink")
    source.link_to(volume)
    volume.link_to(sink)
    graph.configure()
    for _ in range(_SECONDS * 50):
        sound = graph.pull()
        assert isinstance(sound, av.AudioFrame)
        yield sound


def main() -> None:
    with av.open(FILE, "w", format="webm") as container:
        video = container.add_stream("libvpx", rate=_PICTURES_PER_SECOND, options=_VP8)
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        video.bit_rate, video.gop_size = 60_000, 100_000
        audio = container.add_stream("libopus", rate=48_000, options=_OPUS)
        audio.bit_rate, audio.layout = 20_000, "mono"
        for picture in _pictures():
            container.mux(video.encode(picture))
        for sound in _sounds():
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


if __name__ == "__main__":
    main()
