"""The clip that everybody sends: made once by FFmpeg, the same on each machine with the same FFmpeg."""

import subprocess

WIDTH, HEIGHT, FPS, KBPS, SECONDS = 1280, 720, 30, 2000, 10
# A key frame a second: who joins a running stream that cannot make one waits half a second on average.
KEY_INTERVAL = FPS

SOURCE = f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FPS}:duration={SECONDS}"
# Noise with a seed keeps the rate up in every picture.
NOISE = "noise=alls=12:allf=t:all_seed=7"
ENCODER = [
    "-c:v", "libx264", "-profile:v", "baseline", "-preset", "veryfast", "-tune", "zerolatency", "-threads", "1",
    "-pix_fmt", "yuv420p", "-b:v", f"{KBPS}k", "-maxrate", f"{KBPS}k", "-bufsize", f"{KBPS // 4}k",
    "-g", str(KEY_INTERVAL), "-keyint_min", str(KEY_INTERVAL), "-sc_threshold", "0",
    # Delimiters let simple programs find pictures; parameter sets before each key frame let viewers join.
    "-x264-params", "aud=1:repeat-headers=1:slices=1",
]


def make(folder):
    """The clip as Annex B stream and as MP4; gives both paths."""
    stream, mp4 = folder / "clip.h264", folder / "clip.mp4"
    ffmpeg = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y"]
    if not stream.exists():
        part = folder / "clip.part.h264"
        subprocess.run([*ffmpeg, "-f", "lavfi", "-i", SOURCE, "-vf", NOISE, *ENCODER, part], check=True)
        part.rename(stream)
    if not mp4.exists():
        part = folder / "clip.part.mp4"
        subprocess.run([*ffmpeg, "-framerate", str(FPS), "-i", stream, "-c", "copy", part], check=True)
        part.rename(mp4)
    return stream, mp4
