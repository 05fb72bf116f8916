"""Writes sound.json: spectrograms, filters and sounds as librosa computes them.

    pip install librosa==0.11.0 scipy==1.17.1
    python3 sound.py
"""

import json

import librosa
import numpy as np
import scipy.signal


def signal(count, rate):
    """Two tones, one of which rises, and noise that every language can make."""
    at = np.arange(count)
    seconds = at / rate
    steady = 0.5 * np.sin(2 * np.pi * 440 * seconds)
    rising = 0.3 * np.sin(2 * np.pi * (200 * seconds + 700 * seconds**2))
    noise = 0.05 * ((at * 7919 % 1000) / 500 - 1)
    return steady + rising + noise


def spectrogram(settings):
    """The power and the decibels of the test signal."""
    rate, window, hop = (settings[key] for key in ("sample_rate_hz", "window_samples", "hop_samples"))
    power = librosa.feature.melspectrogram(
        y=signal(settings["length_samples"], rate), sr=rate, n_fft=window, hop_length=hop,
        n_mels=settings["bands"], fmin=settings["low_hz"], fmax=settings["high_hz"], dtype=np.float64)
    decibels = librosa.power_to_db(power, ref=np.max, amin=1e-300, top_db=-settings["floor_db"])
    return {"settings": settings, "power": power.T.tolist(), "decibels": decibels.T.tolist()}


def settings(rate, length, window, hop, bands, low, high):
    return {"sample_rate_hz": rate, "length_samples": length, "window_samples": window, "hop_samples": hop,
            "bands": bands, "frames": length // hop + 1, "low_hz": low, "high_hz": high, "floor_db": -80}


def filters(rate, window, bands, low, high):
    """The weights above zero of each band, from the first."""
    weights = librosa.filters.mel(sr=rate, n_fft=window, n_mels=bands, fmin=low, fmax=high, dtype=np.float64)
    return [{"first": int(np.flatnonzero(band)[0]), "weights": band[band > 0].tolist()} for band in weights]


def rebuilt(rate, length, window, hop, iterations):
    """Griffin-Lim from phases of zero."""
    magnitudes = np.abs(librosa.stft(signal(length, rate), n_fft=window, hop_length=hop))
    sound = librosa.griffinlim(magnitudes, n_iter=iterations, hop_length=hop, n_fft=window, momentum=0.99,
                               init=None, length=length)
    return {"magnitudes": magnitudes.T.tolist(), "sound": sound.tolist()}


def unmixed(of):
    """How far the bands of librosa's power spectrum are from those asked for, by their norm."""
    it = of["settings"]
    power = np.array(of["power"]).T
    keys = {"sr": it["sample_rate_hz"], "n_fft": it["window_samples"], "fmin": it["low_hz"], "fmax": it["high_hz"]}
    magnitudes = librosa.feature.inverse.mel_to_stft(power, power=2.0, **keys)
    found = librosa.filters.mel(n_mels=it["bands"], dtype=np.float64, **keys) @ magnitudes**2
    return float(np.linalg.norm(found - power) / np.linalg.norm(power))


def resampled(start, stop, count):
    """A sweep that stays below both halves of the rates."""
    at = np.arange(count) / start
    sweep = np.sin(2 * np.pi * (100 * at + 2000 * at**2)) * np.hanning(count)
    found = scipy.signal.resample_poly(sweep, stop, start, window=("kaiser", 14.0))
    return {"from": start, "to": stop, "sound": found.tolist()}


speech = spectrogram(settings(16000, 15984, 1184, 592, 28, 0, 8000))
narrow = spectrogram(settings(8000, 5520, 500, 240, 24, 60, 3800))
golden = {
    "librosa": librosa.__version__,
    "spectrograms": [speech, narrow],
    "filters": filters(8000, 500, 24, 60, 3800),
    "griffin_lim": rebuilt(4000, 1100, 256, 100, 16),
    "unmixing_error": unmixed(speech),
    "resampled": [resampled(44100, 16000, 4410), resampled(8000, 11025, 1600)],
}


def short(value):
    """Ten digits of each number."""
    if isinstance(value, dict):
        return {key: short(it) for key, it in value.items()}
    if isinstance(value, list):
        return [short(it) for it in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


with open("sound.json", "w") as file:
    json.dump(short(golden), file, separators=(",", ":"))
    file.write("\n")
