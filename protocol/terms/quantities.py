"""Quantities a person writes and a machine compares: sizes, cpus, durations, rates of networks.

A size is written `512M`, `4G`, `1.5T` (powers of 1024; a trailing `iB` or `B` is accepted), cpus `2`
or `0.5` or `500m`, a duration `90s`, `30m`, `6h`, `2d`, `1w`. A rate is written `100M`, `2.5G`: bits a second,
powers of 1000, as cables are sold (a trailing `bit` or `bit/s` is accepted).
"""

import re
from typing import NewType

MilliCpu = NewType("MilliCpu", int)
Seconds = NewType("Seconds", float)
BitsPerSecond = NewType("BitsPerSecond", int)

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,6})?)\s*([KMGTP]?)(?:i?B)?")
_RATE_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_RATE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,3}))?\s*([KMGT]?)(?:bit(?:/s)?)?")
_CPUS = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,3}))?")
_MILLI = re.compile(r"([0-9]{1,12})m")
_SPAN = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?)\s*(ms|[smhdw])")


def parse_size(text: str | int) -> int:
    """Bytes of `512M`, `4G`, ... or a plain number of bytes. ValueError says what is accepted."""
    match = _SIZE.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write for example 512M, 4G or 1.5T")
    return (
        int(float(match[1]) * _UNITS[match[2]])
        if "." in match[1]
        else int(match[1]) * _UNITS[match[2]]
    )


def parse_cpus(text: str | int | float) -> MilliCpu:
    """Thousandths of a cpu of `2`, `0.5` or `500m`. ValueError says what is accepted."""
    written = str(text).strip()
    if match := _MILLI.fullmatch(written):
        return MilliCpu(int(match[1]))
    if match := _CPUS.fullmatch(written):
        return MilliCpu(int(match[1]) * 1000 + int((match[2] or "0").ljust(3, "0")))
    raise ValueError(f"{text!r} is not a number of cpus; write for example 2, 0.5 or 500m")


def parse_duration(text: str) -> Seconds:
    """Seconds of `90s`, `30m`, `6h`, `2d`. ValueError says what is accepted."""
    match = _DURATION.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write for example 90s, 30m, 6h or 2d")
    return Seconds(float(match[1]) * _SPAN[match[2]])


def parse_rate(text: str | int | float) -> BitsPerSecond:
    """Bits a second of `100M`, `2.5G` or a plain number. ValueError says what is accepted."""
    match = _RATE.fullmatch(str(text).strip())
    if match is None or (match[2] and not match[3]):
        raise ValueError(f"{text!r} is not a rate; write for example 100M, 1G or 2.5G")
    thousandths = int(match[1]) * 1000 + int((match[2] or "0").ljust(3, "0"))
    return BitsPerSecond(thousandths * _RATE_UNITS[match[3]] // 1000)


def parse_count(text: str | int | float) -> int:
    """A whole number of what is counted, of 18 digits at most. ValueError says what is accepted."""
    written = str(text).strip()
    if not (written.isascii() and written.isdecimal() and len(written) <= 18):
        raise ValueError(f"{text!r} is not a whole number; write for example 500")
    return int(written)


def format_rate(bits_s: int) -> str:
    """`100 Mbit/s`, `2.5 Gbit/s`: at most one decimal, the largest unit that keeps a whole digit."""
    sign, rest = ("-" if bits_s < 0 else ""), abs(bits_s)
    for unit in ("T", "G", "M", "K"):
        scale = _RATE_UNITS[unit]
        if rest >= scale:
            return (
                f"{sign}{rest / scale:.1f}".removesuffix(".0") + f" {unit.replace('K', 'k')}bit/s"
            )
    return f"{sign}{rest} bit/s"


def write_rate(bits_s: int) -> str:
    """As a grid file has it: `1G`, `2500M`, rounded down to a whole unit. Below a megabit, plain bits."""
    megabits = bits_s // 10**6
    if megabits and megabits % 1000 == 0:
        return f"{megabits // 1000}G"
    return f"{megabits}M" if megabits else str(bits_s)


def format_size(size_bytes: int) -> str:
    """`4 GiB`, `1.5 GiB`, `310 MiB`: at most one decimal, the largest unit that keeps a whole digit."""
    sign, rest = ("-" if size_bytes < 0 else ""), abs(size_bytes)
    for unit in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        scale = _UNITS[unit[0]]
        if rest >= scale:
            return f"{sign}{rest / scale:.1f}".removesuffix(".0") + f" {unit}"
    return f"{sign}{rest} B"


def format_byte_rate(bytes_s: int) -> str:
    """`50 MiB/s`: of a disk."""
    return f"{format_size(bytes_s)}/s"


def format_operations(operations_s: int) -> str:
    """`500 operations/s`: reads and writes of a disk."""
    return f"{counted(operations_s, 'operation')}/s"


def write_size(size_bytes: int) -> str:
    """As a grid file has it: `6G`, `3840M`, rounded down to a whole unit. Below a mebibyte, plain bytes."""
    mebibytes = size_bytes >> 20
    if mebibytes and mebibytes % 1024 == 0:
        return f"{mebibytes >> 10}G"
    return f"{mebibytes}M" if mebibytes else str(size_bytes)


def format_cpus(cpus_milli: int) -> str:
    """`2`, `0.5`, `0.25`."""
    return f"{cpus_milli / 1000:.3f}".rstrip("0").rstrip(".")


def counted(count: int, what: str) -> str:
    """`1 host`, `3 hosts`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def cpus_in_words(cpus_milli: int) -> str:
    """`1 cpu`, `0.25 cpus`."""
    return f"{format_cpus(cpus_milli)} cpu{'' if cpus_milli == 1000 else 's'}"


def format_duration(duration_s: float) -> str:
    """`12 s`, `5 min`, `6 h`, `3 d`: the largest unit that keeps a whole digit."""
    for span, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if duration_s >= span:
            return f"{duration_s / span:.1f}".removesuffix(".0") + f" {unit}"
    if duration_s >= 10 or duration_s == int(duration_s):
        return f"{duration_s:.0f} s"
    return f"{duration_s:.1f} s"


def format_age(age_s: float) -> str:
    """`12 s`, `2 min`, `3 h`, `5 d`: whole units, rounded down, as people say how long ago it was."""
    for span, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if age_s >= span:
            return f"{int(age_s / span)} {unit}"
    return f"{max(0, int(age_s))} s"


def format_moment(at_s: float, to_the_second: bool = False) -> str:
    """`2026-11-25 14:00 UTC`, or `14:00:05`, from Unix seconds: the same words in all time zones.

    This is Hinnant's days-to-civil algorithm, because rooms that decide may not import a clock.
    """
    days, second = divmod(int(at_s), 86400)
    era, day_of_era = divmod(days + 719468, 146097)
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month, year = month + 3 if month < 10 else month - 9, year + 400 * era + (month >= 10)
    seconds = f":{second % 60:02d}" if to_the_second else ""
    clock = f"{second // 3600:02d}:{second % 3600 // 60:02d}{seconds}"
    return f"{year:04d}-{month:02d}-{day:02d} {clock} UTC"
